"""Contact sheets that are drawn once: the same views, plan and code give the picture that is there already."""

from collections.abc import Callable

from PIL import Image

from affect4d.store import ContentStore


def keep_sheet(store: ContentStore, key: str, draw: Callable[[], Image.Image]) -> Image.Image:
    """The sheet of that key, drawn and kept if it is not there.

    Args:
        store: Where views are kept; sheets lie beside them.
        key: Digest of everything the sheet depends on.
        draw: Draws it.
    """
    name = f"sheets/{key}.png"
    if not store.has(name):
        with store.write(name) as partial:
            draw().save(partial, format="PNG")
    with Image.open(store.path(name), formats=["PNG"]) as sheet:
        sheet.load()
        return sheet
