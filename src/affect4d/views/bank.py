"""View bank: every image of a corpus in one memory-mapped tensor, without labels and subjects.

A sequence has its own neutral frame. The neutral of a scan alone in its sequence is a reference image of its subject,
found among the subject's single scans without labels, where there are enough of them [ours].
"""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int64, UInt8
from safetensors import safe_open
from torch import Tensor
from tqdm import tqdm

from affect4d.pseudo_labels.landmark_movement import MIN_SCANS, ROUNDS
from affect4d.rendering.shards import Shard, open_shard, pose_channel
from affect4d.store import ContentStore, code_version, content_key
from affect4d.views.apex_detection import frame_table
from affect4d.views.augmentation import AUGMENTATIONS
from affect4d.views.batch_augmentation_and_motion import ScheduledViews
from affect4d.views.derived_channels import derive_channels, needed_images
from affect4d.views.input_options import InputOptions
from affect4d.views.mixed_view_sampling import rendered_head_poses

REFERENCE = -1
"""Sequence and frame of a row that is the neutral image of a subject's single scans."""


@dataclass(frozen=True)
class ViewBank:
    """Images of N frames, V views and C channels, and the sequence of each."""

    images: UInt8[Tensor, "_ views channels height width"]  # unaugmented: N rows, then again in every further head pose
    neutral: Int64[Tensor, " rows"]  # row of each row's neutral frame
    sequence: Int64[Tensor, " rows"]  # position in ``sequences``; ``REFERENCE``: a reference image
    frame: Int64[Tensor, " rows"]
    in_window: Bool[Tensor, " rows"]  # rows that are sampled
    sequences: tuple[str, ...]
    views: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)

    def rows_of(self, sequence: str) -> Int64[Tensor, " rows"]:
        """Rows of one sequence, in order of frame; raises ``KeyError`` for an unknown one."""
        if sequence not in self._rows:
            raise KeyError(f"The bank has no sequence {sequence!r}; it has {len(self.sequences)} others.")
        return self._rows[sequence]

    @functools.cached_property
    def _rows(self) -> dict[str, Tensor]:
        order = torch.argsort(self.sequence, stable=True)
        ends = torch.searchsorted(self.sequence[order], torch.arange(len(self.sequences) + 1)).tolist()
        return {name: order[ends[place] : ends[place + 1]] for place, name in enumerate(self.sequences)}

    def only(self, views: tuple[str, ...]) -> "ViewBank":
        """The bank with some of its views, in the given order; a view may be named twice. All views for none."""
        unknown = [view for view in views if view not in self.views]
        if unknown:
            missing, there = ", ".join(dict.fromkeys(unknown)), ", ".join(self.views)
            raise ValueError(f"The views {missing} were not rendered; there are {there}.")
        if not views or views == self.views:
            return self
        return replace(self, images=self.images[:, [self.views.index(view) for view in views]], views=views)

    def index(self) -> pd.DataFrame:
        """One row a bank row that shows a frame: ``sequence`` (name), ``frame``, ``in_window``."""
        shown = self.sequence != REFERENCE
        names = np.asarray(self.sequences, dtype=object)[self.sequence[shown].numpy()]
        frame, in_window = self.frame[shown].numpy(), self.in_window[shown].numpy()
        return pd.DataFrame({"sequence": names, "frame": frame, "in_window": in_window})


def bank_path(view_manifest: pd.DataFrame, store: ContentStore, options: InputOptions) -> Path:
    """Path of the derived bank of a view manifest, a safetensors file."""
    return store.path(_bank_name(view_manifest, options))


def load_view_bank(view_manifest: pd.DataFrame, store: ContentStore, options: InputOptions) -> ViewBank:
    """The bank of a view manifest, derived now or read from the store.

    No label is read. Of the options only channels and frames matter here; batches apply the rest.

    Raises:
        ValueError: If the manifest is empty, its sequences differ in views or size, or a shard is not what it was.
    """
    views, _ = _common_views(view_manifest)
    name = _bank_name(view_manifest, options)
    if not store.has(name):
        with store.write(name, durable=False) as path:
            _write_bank(path, view_manifest, store, options)
    with safe_open(store.path(name), framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)
    sequences = tuple(map(str, view_manifest["sequence"]))
    return ViewBank(**{**tensors, "in_window": tensors["in_window"].bool()}, sequences=sequences, views=views)


def _common_views(view_manifest: pd.DataFrame) -> tuple[tuple[str, ...], int]:
    kinds = {
        (tuple(views), int(size)) for views, size in zip(view_manifest["views"], view_manifest["size"], strict=True)
    }
    if len(kinds) != 1:
        raise ValueError(f"A bank needs sequences rendered alike; these are: {sorted(kinds) or 'none at all'}.")
    return kinds.pop()


def _bank_name(view_manifest: pd.DataFrame, options: InputOptions) -> str:
    identity = view_manifest.reindex(columns=["sequence", "subject", "shard", "checksum"]).to_numpy().tolist()
    code = code_version(__name__)
    given: dict[str, Any] = {"channels": options.channels, "frames": options.frames.model_dump()}
    given["head_poses"] = rendered_head_poses(view_manifest)
    return f"banks/{content_key(shards=identity, code=code, **given)}.safetensors"


def _write_bank(path: Path, view_manifest: pd.DataFrame, store: ContentStore, options: InputOptions) -> None:
    references = _single_scans_by_subject(view_manifest)
    index = _bank_index(view_manifest, options, references)
    views, size = _common_views(view_manifest)
    rows, poses = len(index["frame"]), rendered_head_poses(view_manifest)
    shape = ((1 + poses) * rows, len(views), len(options.channels), size, size)
    with path.open("wb") as file:
        file.write(_safetensors_header(shape, index, list(view_manifest["shard"])))
        start, bytes_a_row, row = file.tell(), int(np.prod(shape[1:])), 0
        for per_pose in _derived(view_manifest, store, options, poses):
            for pose, images in enumerate(per_pose):
                file.seek(start + (pose * rows + row) * bytes_a_row)
                file.write(images.tobytes())
            row += len(per_pose[0])
        file.truncate(start + shape[0] * bytes_a_row)
        images = np.memmap(path, np.uint8, "r", start, shape)
        for pose in range(1 + poses):
            for place, scans in enumerate(references):
                file.seek(start + (pose * rows + row + place) * bytes_a_row)
                file.write(reference_image(images[pose * rows + scans]).tobytes())
        file.seek(start + shape[0] * bytes_a_row)
        for array in index.values():
            file.write(array.tobytes())


def _safetensors_header(shape: tuple[int, ...], index: dict[str, np.ndarray], shards: list[str]) -> bytes:
    """The header of a file with the images, then the arrays of the index; the shards' names are metadata."""
    header: dict[str, Any] = {"__metadata__": {"shards": json.dumps(shards)}}
    start = 0
    entries = [("images", "U8", shape, int(np.prod(shape)))]
    entries += [(name, "U8" if a.dtype == np.uint8 else "I64", a.shape, a.nbytes) for name, a in index.items()]
    for name, kind, extent, length in entries:
        header[name] = {"dtype": kind, "shape": list(extent), "data_offsets": [start, start + length]}
        start += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _single_scans_by_subject(view_manifest: pd.DataFrame) -> list[Int64[np.ndarray, " scans"]]:
    """Bank rows of the single scans of each subject that has enough of them for a median."""
    counts = view_manifest["frames"].map(len).to_numpy()
    starts = np.cumsum(counts) - counts
    single = view_manifest.reindex(columns=["subject"]).assign(row=starts)[counts == 1]
    return [rows.to_numpy() for _, rows in single.groupby("subject")["row"] if len(rows) >= MIN_SCANS]


def reference_image(
    images: UInt8[np.ndarray, "scans views channels height width"],
) -> UInt8[np.ndarray, "views channels height width"]:
    """Pixel-wise median of the half of a subject's single scans that lie closest together, as of its landmarks.

    See :func:`affect4d.pseudo_labels.landmark_movement.neutral_face`.
    """
    reference = _median(images)
    for _ in range(ROUNDS):
        distances = [np.abs(image.astype(np.int16) - reference).mean() for image in images]
        reference = _median(images[np.argsort(distances, kind="stable")[: max(len(images) // 2, MIN_SCANS)]])
    return reference


def _median(
    images: UInt8[np.ndarray, "scans views channels height width"],
) -> UInt8[np.ndarray, "views channels height width"]:
    """The median of every pixel; of an even number of scans the lower one, so that background does not mix."""
    middle = (len(images) - 1) // 2
    return np.asarray(np.partition(images, middle, axis=0)[middle])


def _bank_index(
    view_manifest: pd.DataFrame, options: InputOptions, references: list[Int64[np.ndarray, " scans"]]
) -> dict[str, np.ndarray]:
    frames = frame_table(view_manifest, options.frames)
    counts = view_manifest["frames"].map(len).to_numpy()
    starts = np.cumsum(counts) - counts
    neutral = np.repeat(starts + view_manifest["neutral"].to_numpy(np.int64), counts).astype(np.int64)
    own = np.arange(len(neutral), len(neutral) + len(references))
    for row, scans in zip(own, references, strict=True):
        neutral[scans] = row
    added = np.full(len(references), REFERENCE)
    return {
        "neutral": np.append(neutral, own),
        "sequence": np.append(np.repeat(np.arange(len(counts)), counts).astype(np.int64), added),
        "frame": np.append(frames["frame"].to_numpy(), added),
        "in_window": np.append(frames["in_window"].to_numpy(np.uint8), np.zeros(len(references), np.uint8)),
    }


def _derived(
    view_manifest: pd.DataFrame, store: ContentStore, options: InputOptions, poses: int
) -> Iterator[list[UInt8[np.ndarray, "frames views channels height width"]]]:
    """The derived channels of every sequence, in the canonical head pose and in every further one."""
    columns = zip(*(view_manifest[name] for name in ("shard", "checksum", "angles")), strict=True)
    bar = tqdm(columns, "deriving channels", total=len(view_manifest), disable=None, dynamic_ncols=True)
    for shard, checksum, angles in bar:
        opened = open_shard(store.path(shard), checksum)
        yield [_derive_pose(opened, list(angles), options, pose) for pose in range(1 + poses)]


def _derive_pose(
    opened: Shard, angles: list[float], options: InputOptions, pose: int
) -> UInt8[np.ndarray, "frames views channels height width"]:
    needed = needed_images(options.channels, opened.header["channels"])
    rendered = {image: opened.stack(pose_channel(image, pose)) for image in needed}
    return derive_channels(rendered, angles, options.channels, opened.header.get("pitches", ()))


def resolve_schedule(bank: ViewBank, schedule: pd.DataFrame) -> ScheduledViews:
    """Find the bank row of every scheduled view; raises ``ValueError`` for a frame or head pose the bank lacks."""
    rows = [
        _bank_rows(bank, schedule[f"source_sequence_{view}"], schedule[f"source_frame_{view}"]) for view in bank.views
    ]
    poses = len(bank.images) // len(bank) - 1
    if (schedule["head_pose"] > poses).any():
        raise ValueError(
            f"The schedule wants head pose {schedule['head_pose'].max()}, and {poses} were rendered: sample it anew."
        )
    offset = torch.from_numpy(schedule["head_pose"].to_numpy(np.int64, copy=True))[:, None] * len(bank)
    mirror, still, textureless = (
        torch.from_numpy(schedule[name].to_numpy(bool, copy=True)) for name in ("mirror", "still", "textureless")
    )
    missing = torch.from_numpy(schedule[[f"missing_{view}" for view in bank.views]].to_numpy(bool, copy=True))
    values = [
        schedule[[f"{one.name}_{view}" for view in bank.views]].to_numpy(np.float32, copy=True) for one in AUGMENTATIONS
    ]
    changes = torch.from_numpy(np.stack(values, axis=-1))
    return ScheduledViews(torch.stack(rows, dim=1) + offset, mirror, still, textureless, missing, changes)


def _bank_rows(bank: ViewBank, sequences: pd.Series, frames: pd.Series) -> Int64[Tensor, " samples"]:
    stride = int(max(bank.frame.max(), frames.max())) + 1
    known = bank.sequence.numpy() * stride + bank.frame.numpy()
    order = np.argsort(known, kind="stable")
    names = pd.Index(bank.sequences).get_indexer(pd.Index(sequences))
    wanted = names * stride + frames.to_numpy(np.int64)
    rows = order[np.searchsorted(known, wanted, sorter=order).clip(max=len(known) - 1)]
    missing = np.flatnonzero((known[rows] != wanted) | (names < 0))
    if len(missing):
        first = missing[0]
        raise ValueError(f"The bank has no frame {frames.iloc[first]} of sequence {sequences.iloc[first]!r}.")
    return torch.from_numpy(rows)
