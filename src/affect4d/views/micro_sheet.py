"""Micro-expressions at a glance: a strip of frames a clip, and at its end what changed, amplified.

Nobody sees a micro-expression in single frames. The amplified difference, apex less onset, shows where skin has moved.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image

from affect4d.arrays import Picture
from affect4d.store import ContentStore
from affect4d.store.shards import open_shard
from affect4d.views.contact_sheet import contact_sheet
from affect4d.views.shown import shown_picture

AMPLIFIED = 8.0
GREY = 128.0


def has_micro(sequences: pd.DataFrame) -> bool:
    """Whether a corpus is of micro-expressions: its clips have onset and apex, and no posed expression."""
    return bool((sequences["apex"].notna() & sequences["onset"].notna()).any() and sequences["expression"].isna().all())


def micro_sheet(
    view_manifest: pd.DataFrame, sequences: pd.DataFrame, store: ContentStore, clips: int = 8, frames: int = 6
) -> Image.Image:
    """A row a clip, seen by the first view: frames from onset to offset, then the amplified difference.

    Args:
        view_manifest: One row a rendered sequence.
        sequences: One row a sequence, with ``label``, ``onset``, ``apex``, ``offset`` (frame numbers).
        store: Where the shards are.
        clips: How many to show, each label in turn.
        frames: Pictures of a clip before the difference.

    Raises:
        ValueError: If no rendered sequence has an onset and an apex.
    """
    timed = sequences.dropna(subset=["onset", "apex"])[["sequence", "label", "onset", "apex", "offset"]]
    rows = view_manifest.merge(timed, on="sequence").sort_values("sequence")
    if rows.empty:
        raise ValueError("No rendered sequence has an onset and an apex: there is no micro-expression to show.")
    turn = rows.groupby("label", dropna=False).cumcount()
    chosen = rows.assign(turn=turn).sort_values(["turn", "label"]).head(clips)
    cells = [cell for row in chosen.to_dict("records") for cell in _strip(row, store, frames)]
    return contact_sheet([picture for picture, _ in cells], frames + 1, [label for _, label in cells])


def amplify(before: UInt8[np.ndarray, "frames h w *c"], after: UInt8[np.ndarray, "frames h w *c"]) -> Picture:
    """Mean of the later frames less mean of the earlier, times ``AMPLIFIED``, about grey; a change of all light is not.

    Frames are averaged against the scanner's noise, and the later ones brought to the earlier ones' mean colour.
    """
    earlier, later = (part.mean(axis=0, dtype=np.float64) for part in (before, after))
    light = earlier.mean(axis=(0, 1)) / np.maximum(later.mean(axis=(0, 1)), 1.0)
    return np.asarray(np.clip(GREY + AMPLIFIED * (later * light - earlier), 0.0, 255.0).round().astype(np.uint8))


def _strip(row: Mapping[Any, Any], store: ContentStore, count: int) -> Iterator[tuple[Picture, str]]:
    """Pictures and labels of one clip: half of them up to the apex, half from there on."""
    shard, numbers = open_shard(store.path(str(row["shard"])), str(row["checksum"])), np.asarray(row["frames"], int)
    onset, apex = (int(np.abs(numbers - int(row[name])).argmin()) for name in ("onset", "apex"))
    last = len(numbers) - 1 if pd.isna(row["offset"]) else int(np.abs(numbers - int(row["offset"])).argmin())
    rise = count // 2 + 1
    halves = np.linspace(onset, apex, rise), np.linspace(apex, max(last, apex), count - rise + 1)[1:]
    for place in np.concatenate(halves).round().astype(int):
        mark = str(row["sequence"]) if place == onset else "apex" if place == apex else f"frame {numbers[place]}"
        yield shown_picture(shard, int(place), 0), mark

    def around(place: int) -> np.ndarray:
        near = range(max(place - 1, 0), min(place + 2, len(numbers)))
        return np.stack([shown_picture(shard, one, 0) for one in near])

    yield amplify(around(onset), around(apex)), f"{AMPLIFIED:g}x {row['label']}"
