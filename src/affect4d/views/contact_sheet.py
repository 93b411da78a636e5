"""Many small pictures on one labelled sheet, to look at what a model gets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from affect4d.store import ContentStore
from affect4d.tensors import ViewImages
from affect4d.views.augment import assemble, assemble_plain, resolve_plan
from affect4d.views.bank import ViewBank, load_view_bank
from affect4d.views.inputs import InputOptions

LABEL_HEIGHT = 14
MARGIN = 4
PAPER, INK = (255, 255, 255), (30, 30, 30)


def contact_sheet(
    pictures: Sequence[UInt8[np.ndarray, "..."]], columns: int, labels: Sequence[str] = ()
) -> Image.Image:
    """Lay pictures out in rows, each with its label below.

    Args:
        pictures: uint8 ``[height, width]`` or ``[height, width, 3]``, all of one size.
        columns: Pictures a row.
        labels: One a picture, cut to its width; none for an unlabelled sheet.

    Raises:
        ValueError: If there are no pictures, or their sizes or the labels do not match.
    """
    if not len(pictures) or columns < 1 or len(labels) not in (0, len(pictures)):
        raise ValueError(
            f"A sheet needs pictures and a label for all or none: {len(pictures)} and {len(labels)} given."
        )
    if len({picture.shape[:2] for picture in pictures}) != 1:
        raise ValueError("All pictures of a sheet must have one size.")
    height, width = pictures[0].shape[:2]
    step_x, step_y = width + MARGIN, height + MARGIN + (LABEL_HEIGHT if labels else 0)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * step_x + MARGIN, rows * step_y + MARGIN), PAPER)
    for position, picture in enumerate(pictures):
        left, top = MARGIN + position % columns * step_x, MARGIN + position // columns * step_y
        sheet.paste(Image.fromarray(picture).convert("RGB"), (left, top))
        if labels:
            _write_below(sheet, labels[position], left, top + height, width)
    return sheet


def _write_below(sheet: Image.Image, label: str, left: int, top: int, width: int) -> None:
    """Write a label, shortened until it fits."""
    font = ImageFont.load_default(size=10)
    while label and font.getlength(label) > width:
        label = label[:-1]
    ImageDraw.Draw(sheet).text((left, top), label, INK, font=font)


def augmentation_sheet(bank: ViewBank, plan: pd.DataFrame, options: InputOptions, samples: int = 6) -> Image.Image:
    """The first samples of a plan, two rows each: every view and channel as it is, and as the plan changes it."""
    chosen = resolve_plan(bank, plan.head(samples))
    anchors = resolve_plan(bank, _anchors(plan.head(samples), bank.views)).rows[:, 0]
    before, after = assemble_plain(bank, anchors, options), assemble(bank, chosen, options)
    pictures, labels = [], []
    for sample, row in enumerate(plan.head(samples).to_dict("records")):
        mark = "mirrored" if row["mirror"] else "changed"
        for word, images in ((str(row["sequence"]), before), (mark, after)):
            shown = _as_pictures(images[sample : sample + 1])
            pictures += shown
            labels += [word] * len(shown)
    return contact_sheet(pictures, len(pictures) // (2 * len(chosen)), labels)


def schedule_sheet(
    views: pd.DataFrame, store: ContentStore, plan: pd.DataFrame, options: InputOptions, samples: int = 6
) -> Image.Image:
    """As :func:`augmentation_sheet`, of rendered views."""
    return augmentation_sheet(load_view_bank(views, store, options), plan, options, samples)


def _anchors(plan: pd.DataFrame, views: Sequence[str]) -> pd.DataFrame:
    """The plan with every view from the sample's own scan."""
    own = {f"source_{part}_{view}": plan[part] for part in ("sequence", "frame") for view in views}
    return plan.assign(**own)


def _as_pictures(images: ViewImages) -> list[UInt8[np.ndarray, "height width"]]:
    """Every channel of every view, −1…1 as 0…255."""
    levels = torch.clamp((images + 1.0) * 127.5, 0.0, 255.0).round().to(torch.uint8)
    return list(levels.flatten(0, 2).numpy())
