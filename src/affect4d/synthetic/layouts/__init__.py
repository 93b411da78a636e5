"""Layouts: the synthetic faces in each corpus's own folders and formats, quirks included, one a module.

That is how every reader and corpus is tested without a licence.
"""

from collections.abc import Mapping
from types import MappingProxyType

from affect4d.synthetic.layouts.bosphorus import BOSPHORUS
from affect4d.synthetic.layouts.bp4d import BP4D
from affect4d.synthetic.layouts.bu3dfe import BU3DFE
from affect4d.synthetic.layouts.bu4dfe import BU4DFE
from affect4d.synthetic.layouts.folder import FOLDER
from affect4d.synthetic.layouts.fourdme import FOURDME
from affect4d.synthetic.layouts.layout import Layout, Shown, Written

__all__ = ["LAYOUTS", "Layout", "Shown", "Written", "layout_named"]

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {layout.name: layout for layout in (BU3DFE, BU4DFE, BOSPHORUS, BP4D, FOURDME, FOLDER)}
)


def layout_named(name: str) -> Layout:
    """The layout of that name.

    Raises:
        ValueError: If there is none; the message lists the known ones.
    """
    if name not in LAYOUTS:
        known = "; ".join(f"{layout.name}: {layout.description}" for layout in LAYOUTS.values())
        raise ValueError(f"Synthetic faces cannot be written as {name!r}. Known layouts: {known}.")
    return LAYOUTS[name]
