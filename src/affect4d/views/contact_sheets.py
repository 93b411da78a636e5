"""Contact sheets of a corpus, of micro-expressions (amplified), of augmented samples; apex image of a sequence."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from affect4d.array_types import ImageArray
from affect4d.rendering.channels import most_photographic
from affect4d.rendering.shards import Shard, open_shard
from affect4d.scans.scan_source_and_corpus_folder import PART_JOINT
from affect4d.store import ContentStore
from affect4d.views.apex_detection import detect_apex
from affect4d.views.input_options import InputOptions

if TYPE_CHECKING:
    from affect4d.tensor_types import ViewImages
    from affect4d.views.bank import ViewBank  # torch costs seconds

AMPLIFICATION = 8.0
GREY = 128.0
LABEL_HEIGHT = 14
MARGIN = 4
PAPER, INK = (255, 255, 255), (30, 30, 30)


def contact_sheet(images: Sequence[UInt8[np.ndarray, "..."]], columns: int, labels: Sequence[str] = ()) -> Image.Image:
    """Lay images of one size, ``[height, width]`` or ``[height, width, 3]``, out in rows, each with its label below."""
    if not len(images) or columns < 1 or len(labels) not in (0, len(images)):
        raise ValueError(f"A sheet needs images and a label for all or none: {len(images)} and {len(labels)} given.")
    if len({image.shape[:2] for image in images}) != 1:
        raise ValueError("All images of a sheet must have one size.")
    height, width = images[0].shape[:2]
    step_x, step_y = width + MARGIN, height + MARGIN + (LABEL_HEIGHT if labels else 0)
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * step_x + MARGIN, rows * step_y + MARGIN), PAPER)
    for position, image in enumerate(images):
        left, top = MARGIN + position % columns * step_x, MARGIN + position // columns * step_y
        sheet.paste(Image.fromarray(image).convert("RGB"), (left, top))
        if labels:
            _write_below(sheet, labels[position], left, top + height, width)
    return sheet


def _write_below(sheet: Image.Image, label: str, left: int, top: int, width: int) -> None:
    font = ImageFont.load_default(size=10)
    while label and font.getlength(label) > width:
        label = label[:-1]
    ImageDraw.Draw(sheet).text((left, top), label, INK, font=font)


def view_sheet(view_manifest: pd.DataFrame, sequences: pd.DataFrame, store: ContentStore) -> Image.Image:
    """:func:`corpus_sheet`, or :func:`micro_sheet` of a corpus of micro-expressions."""
    if has_micro(sequences):
        return micro_sheet(view_manifest, sequences, store)
    return corpus_sheet(view_manifest, store)


def apex_image(row: Mapping[Any, Any], store: ContentStore) -> Image.Image:
    """The apex frame of a row of the view manifest, in the front view or, where there is none, the first."""
    shard = open_shard(store.path(str(row["shard"])), str(row["checksum"]))
    views = list(np.asarray(row["views"]))
    apex = detect_apex(np.asarray(row["activity"], dtype=np.float64)).apex
    return Image.fromarray(preview_image(shard, apex, views.index("front") if "front" in views else 0))


def preview_image(shard: Shard, frame: int, view: int) -> ImageArray:
    """A frame's colours, else the next best channel, [height, width(, 3)]; frame and view are positions."""
    channel = most_photographic(shard.header["channels"])
    image = shard.image(channel, frame, view)
    return image if channel != "depth" else (image[..., 0] >> 8).astype(np.uint8)


def corpus_sheet(view_manifest: pd.DataFrame, store: ContentStore, subjects: int = 4) -> Image.Image:
    """Every view at the apex of each sequence of a few subjects, spread over the corpus; every subject begins a row."""
    names = sorted(view_manifest["subject"].unique())
    chosen = [names[place] for place in np.linspace(0, len(names) - 1, min(subjects, len(names))).round().astype(int)]
    rows = view_manifest[view_manifest["subject"].isin(chosen)].sort_values(["subject", "sequence"])
    cells = [cell for row in rows.to_dict("records") for cell in _apex_images(row, store)]
    longest = int(rows.groupby("subject").size().max())
    columns = _columns(longest * len(cells) // len(rows), len(cells))
    return contact_sheet([image for image, _ in cells], columns, [label for _, label in cells])


def _columns(of_a_subject: int, cells: int) -> int:
    """Columns for which a subject fills whole rows and the sheet is nearest to 3 : 2."""
    possible = [columns for columns in range(1, of_a_subject + 1) if of_a_subject % columns == 0]
    return min(possible, key=lambda columns: abs(math.log(columns * columns / cells / 1.5)))


def _apex_images(row: Mapping[Any, Any], store: ContentStore) -> Iterator[tuple[ImageArray, str]]:
    shard = open_shard(store.path(str(row["shard"])), str(row["checksum"]))
    apex = detect_apex(np.asarray(row["activity"], float)).apex
    name = str(row["sequence"]).rpartition(PART_JOINT)[2]  # a mixture's part would fill the label
    for place, view in enumerate(np.asarray(row["views"])):
        yield preview_image(shard, apex, place), f"{name} {view}"


def has_micro(sequences: pd.DataFrame) -> bool:
    """Whether a corpus is of micro-expressions: clips with onset and apex, none with a posed expression."""
    return bool((sequences["apex"].notna() & sequences["onset"].notna()).any() and sequences["expression"].isna().all())


def micro_sheet(
    view_manifest: pd.DataFrame, sequences: pd.DataFrame, store: ContentStore, clips: int = 8, frames: int = 6
) -> Image.Image:
    """A row per clip in its first view, onset to offset, then the amplified difference; ValueError without clips."""
    timed = sequences.dropna(subset=["onset", "apex"])[["sequence", "label", "onset", "apex", "offset"]]
    rows = view_manifest.merge(timed, on="sequence").sort_values("sequence")
    if rows.empty:
        raise ValueError("No rendered sequence has an onset and an apex: there is no micro-expression to show.")
    number = rows.groupby("label", dropna=False).cumcount()
    chosen = rows.assign(number=number).sort_values(["number", "label"]).head(clips)
    cells = [cell for row in chosen.to_dict("records") for cell in _strip(row, store, frames)]
    return contact_sheet([image for image, _ in cells], frames + 1, [label for _, label in cells])


def amplify(before: UInt8[np.ndarray, "frames h w *c"], after: UInt8[np.ndarray, "frames h w *c"]) -> ImageArray:
    """Difference of the frames' means (against noise) at equal mean colour, times ``AMPLIFICATION``, about grey."""
    earlier, later = (part.mean(axis=0, dtype=np.float64) for part in (before, after))
    light = earlier.mean(axis=(0, 1)) / np.maximum(later.mean(axis=(0, 1)), 1.0)
    return np.asarray(np.clip(GREY + AMPLIFICATION * (later * light - earlier), 0.0, 255.0).round().astype(np.uint8))


def _strip(row: Mapping[Any, Any], store: ContentStore, count: int) -> Iterator[tuple[ImageArray, str]]:
    """Images and labels of one clip: half of them up to the apex, half from there on."""
    shard, numbers = open_shard(store.path(str(row["shard"])), str(row["checksum"])), np.asarray(row["frames"], int)
    onset, apex = (int(np.abs(numbers - int(row[name])).argmin()) for name in ("onset", "apex"))
    last = len(numbers) - 1 if pd.isna(row["offset"]) else int(np.abs(numbers - int(row["offset"])).argmin())
    rise = count // 2 + 1
    halves = np.linspace(onset, apex, rise), np.linspace(apex, max(last, apex), count - rise + 1)[1:]
    for place in np.concatenate(halves).round().astype(int):
        label = str(row["sequence"]) if place == onset else "apex" if place == apex else f"frame {numbers[place]}"
        yield preview_image(shard, int(place), 0), label

    def around(place: int) -> np.ndarray:
        near = range(max(place - 1, 0), min(place + 2, len(numbers)))
        return np.stack([preview_image(shard, one, 0) for one in near])

    yield amplify(around(onset), around(apex)), f"{AMPLIFICATION:g}x {row['label']}"


def augmentation_sheet(
    bank: "ViewBank", schedule: pd.DataFrame, options: InputOptions, samples: int = 6
) -> Image.Image:
    """The first samples of a schedule, two rows each: every view and channel before and after augmentation."""
    from affect4d.views.bank import resolve_schedule
    from affect4d.views.batch_augmentation_and_motion import assemble_batch, assemble_unaugmented

    chosen = resolve_schedule(bank, schedule.head(samples))
    unmixed = {f"source_{part}_{view}": schedule[part] for part in ("sequence", "frame") for view in bank.views}
    rows = resolve_schedule(bank, schedule.assign(**unmixed).head(samples)).rows[:, 0]
    before, after = assemble_unaugmented(bank, rows, options), assemble_batch(bank, chosen, options)
    cells, labels = [], []
    for sample, row in enumerate(schedule.head(samples).to_dict("records")):
        change = "mirrored" if row["mirror"] else "changed"
        for label, images in ((str(row["sequence"]), before), (change, after)):
            of_sample = _as_images(images[sample : sample + 1])
            cells += of_sample
            labels += [label] * len(of_sample)
    return contact_sheet(cells, len(cells) // (2 * len(chosen)), labels)


def schedule_sheet(
    view_manifest: pd.DataFrame, store: ContentStore, schedule: pd.DataFrame, options: InputOptions, samples: int = 6
) -> Image.Image:
    """As :func:`augmentation_sheet`, of rendered views."""
    from affect4d.views.bank import load_view_bank

    return augmentation_sheet(load_view_bank(view_manifest, store, options), schedule, options, samples)


def _as_images(images: "ViewImages") -> list[UInt8[np.ndarray, "height width"]]:
    """Every channel of every view, −1…1 as 0…255."""
    levels = ((images + 1.0) * 127.5).clamp(0.0, 255.0).round().byte()
    return list(levels.flatten(0, 2).numpy())
