"""Contact sheet of augmented samples: before and after."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8
from PIL import Image

from affect4d.store import ContentStore
from affect4d.tensor_types import ViewImages
from affect4d.views.bank import ViewBank, load_view_bank, resolve_schedule
from affect4d.views.batches import assemble_batch, assemble_unaugmented
from affect4d.views.contact_sheets import contact_sheet
from affect4d.views.input_options import InputOptions


def augmentation_sheet(bank: ViewBank, schedule: pd.DataFrame, options: InputOptions, samples: int = 6) -> Image.Image:
    """The first samples of a schedule, two rows each: every view and channel before and after augmentation."""
    chosen = resolve_schedule(bank, schedule.head(samples))
    anchors = resolve_schedule(bank, _anchors(schedule.head(samples), bank.views)).rows[:, 0]
    before, after = assemble_unaugmented(bank, anchors, options), assemble_batch(bank, chosen, options)
    cells, labels = [], []
    for sample, row in enumerate(schedule.head(samples).to_dict("records")):
        mark = "mirrored" if row["mirror"] else "changed"
        for word, images in ((str(row["sequence"]), before), (mark, after)):
            shown = _as_images(images[sample : sample + 1])
            cells += shown
            labels += [word] * len(shown)
    return contact_sheet(cells, len(cells) // (2 * len(chosen)), labels)


def schedule_sheet(
    view_manifest: pd.DataFrame, store: ContentStore, schedule: pd.DataFrame, options: InputOptions, samples: int = 6
) -> Image.Image:
    """As :func:`augmentation_sheet`, of rendered views."""
    return augmentation_sheet(load_view_bank(view_manifest, store, options), schedule, options, samples)


def _anchors(schedule: pd.DataFrame, views: Sequence[str]) -> pd.DataFrame:
    """The schedule with every view from the sample's own scan."""
    own = {f"source_{part}_{view}": schedule[part] for part in ("sequence", "frame") for view in views}
    return schedule.assign(**own)


def _as_images(images: ViewImages) -> list[UInt8[np.ndarray, "height width"]]:
    """Every channel of every view, −1…1 as 0…255."""
    levels = torch.clamp((images + 1.0) * 127.5, 0.0, 255.0).round().to(torch.uint8)
    return list(levels.flatten(0, 2).numpy())
