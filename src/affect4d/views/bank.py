"""Every picture of a corpus in one tensor, with the little a model may know of it: no labels, no subjects.

The bank is derived once from the rendered shards, written to the store, and read back by memory map: opening it costs
nothing, and processes share its pages.
"""

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

from affect4d.progress import track
from affect4d.store import ContentStore, code_version, content_key
from affect4d.store.shards import Shard, open_shard, stance_channel
from affect4d.views.channels import derive_channels, needed_pictures
from affect4d.views.dynamics import encode_dynamics
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import rendered_stances
from affect4d.views.moments import find_moments


@dataclass(frozen=True, slots=True)
class ViewBank:
    """Pictures of N frames from V sides in C channels, and which sequence each belongs to.

    Attributes:
        pictures: As stored, before any augmentation: all N rows, then all of them again in every further stance. With
            ``motion="dynamic"`` the dynamic images follow the channels.
        neutral: Row of each row's neutral frame.
        sequence: Position in ``sequences`` of each row's sequence.
        frame: Frame number of each row.
        in_window: Whether the sampler takes the frame; by default, whether the face is near its apex there.
        sequences: Names.
        views: Names.
    """

    pictures: UInt8[Tensor, "_ views channels height width"]
    neutral: Int64[Tensor, " rows"]
    sequence: Int64[Tensor, " rows"]
    frame: Int64[Tensor, " rows"]
    in_window: Bool[Tensor, " rows"]
    sequences: tuple[str, ...]
    views: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)

    def rows_of(self, sequence: str) -> Int64[Tensor, " rows"]:
        """Rows of one sequence, in order of frame.

        Raises:
            KeyError: If the bank has no such sequence.
        """
        if sequence not in self.sequences:
            raise KeyError(f"The bank has no sequence {sequence!r}; it has {len(self.sequences)} others.")
        return torch.nonzero(self.sequence == self.sequences.index(sequence)).flatten()

    def only(self, views: tuple[str, ...]) -> "ViewBank":
        """The bank with some of its views, in their order; a view may be named twice. Itself where none is named.

        Raises:
            ValueError: If the bank lacks one.
        """
        strangers = [view for view in views if view not in self.views]
        if strangers:
            missing, there = ", ".join(dict.fromkeys(strangers)), ", ".join(self.views)
            raise ValueError(f"The views {missing} were not rendered; there are {there}.")
        if not views or views == self.views:
            return self
        return replace(self, pictures=self.pictures[:, [self.views.index(view) for view in views]], views=views)

    def index(self) -> pd.DataFrame:
        """One row a bank row: ``sequence`` (name), ``frame``, ``in_window``."""
        names = np.asarray(self.sequences, dtype=object)[self.sequence.numpy()]
        return pd.DataFrame({"sequence": names, "frame": self.frame.numpy(), "in_window": self.in_window.numpy()})


def bank_path(view_manifest: pd.DataFrame, store: ContentStore, options: InputOptions) -> Path:
    """Where the bank of a view manifest is, once it was derived: a safetensors file other processes can open."""
    return store.path(_bank_name(view_manifest, options))


def load_view_bank(view_manifest: pd.DataFrame, store: ContentStore, options: InputOptions) -> ViewBank:
    """The bank of a view manifest, derived now or found in the store.

    Args:
        view_manifest: One row a rendered sequence; only shards, views and activity are read, never a label.
        store: Where the shards are, and where the bank goes.
        options: Which channels; the rest of it is applied when pictures are assembled.

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
    """The views and the size all sequences share."""
    kinds = {
        (tuple(views), int(size)) for views, size in zip(view_manifest["views"], view_manifest["size"], strict=True)
    }
    if len(kinds) != 1:
        raise ValueError(f"A bank needs sequences rendered alike; these are: {sorted(kinds) or 'none at all'}.")
    return kinds.pop()


def _bank_name(view_manifest: pd.DataFrame, options: InputOptions) -> str:
    identity = view_manifest[["sequence", "shard", "checksum"]].to_numpy().tolist()
    code = code_version(__name__)
    seen = {"channels": options.channels, "dynamic": options.motion == "dynamic", "frames": options.frames.model_dump()}
    seen["stances"] = rendered_stances(view_manifest)
    return f"banks/{content_key(shards=identity, code=code, **seen)}.safetensors"


def _write_bank(path: Path, view_manifest: pd.DataFrame, store: ContentStore, options: InputOptions) -> None:
    """Write the bank shard by shard (safetensors: a JSON header, then the raw bytes), holding one shard at a time."""
    index = _bank_index(view_manifest, options)
    views, size = _common_views(view_manifest)
    stored = len(options.channels) * (2 if options.motion == "dynamic" else 1)
    rows, stances = len(index["frame"]), rendered_stances(view_manifest)
    shape = ((1 + stances) * rows, len(views), stored, size, size)
    with path.open("wb") as file:
        file.write(_safetensors_header(shape, index, list(view_manifest["shard"])))
        start, bytes_a_row, row = file.tell(), int(np.prod(shape[1:])), 0
        for in_stances in _derived(view_manifest, store, options, stances):
            for stance, pictures in enumerate(in_stances):
                file.seek(start + (stance * rows + row) * bytes_a_row)
                file.write(pictures.tobytes())
            row += len(in_stances[0])
        file.seek(start + shape[0] * bytes_a_row)
        for array in index.values():
            file.write(array.tobytes())


def _safetensors_header(shape: tuple[int, ...], index: dict[str, np.ndarray], shards: list[str]) -> bytes:
    """The header of a file that holds the pictures, then the arrays of the index; says what it was derived from."""
    header: dict[str, Any] = {"__metadata__": {"shards": json.dumps(shards)}}
    start = 0
    entries = [("pictures", "U8", shape, int(np.prod(shape)))]
    entries += [(name, "U8" if a.dtype == np.uint8 else "I64", a.shape, a.nbytes) for name, a in index.items()]
    for name, kind, extent, length in entries:
        header[name] = {"dtype": kind, "shape": list(extent), "data_offsets": [start, start + length]}
        start += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bank_index(view_manifest: pd.DataFrame, options: InputOptions) -> dict[str, np.ndarray]:
    """Neutral row, sequence, frame and window of every row, sequence after sequence."""
    moments = find_moments(view_manifest, options.frames)
    counts = view_manifest["frames"].map(len).to_numpy()
    starts = np.cumsum(counts) - counts
    return {
        "neutral": np.repeat(starts + view_manifest["neutral"].to_numpy(np.int64), counts).astype(np.int64),
        "sequence": np.repeat(np.arange(len(counts)), counts).astype(np.int64),
        "frame": moments["frame"].to_numpy(),
        "in_window": moments["in_window"].to_numpy(np.uint8),
    }


def _derived(
    view_manifest: pd.DataFrame, store: ContentStore, options: InputOptions, stances: int
) -> Iterator[list[UInt8[np.ndarray, "frames views channels height width"]]]:
    """Of every sequence, its channels in the canonical stance and in every further one."""
    columns = zip(*(view_manifest[name] for name in ("shard", "checksum", "angles")), strict=True)
    for shard, checksum, angles in track(columns, "deriving channels", total=len(view_manifest)):
        opened = open_shard(store.path(shard), checksum)
        yield [_in_stance(opened, list(angles), options, stance) for stance in range(1 + stances)]


def _in_stance(
    opened: Shard, angles: list[float], options: InputOptions, stance: int
) -> UInt8[np.ndarray, "frames views channels height width"]:
    needed = needed_pictures(options.channels, opened.header["channels"])
    drawn = {picture: opened.stack(stance_channel(picture, stance)) for picture in needed}
    pictures = derive_channels(drawn, angles, options.channels, opened.header.get("pitches", ()))
    dynamic = options.motion == "dynamic"
    return np.concatenate([pictures, encode_dynamics(pictures)], axis=2) if dynamic else pictures
