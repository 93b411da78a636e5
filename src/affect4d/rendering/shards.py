"""A shard: the images of one sequence, lossless, each readable alone, in a safetensors file.

Every image is one zstd frame with a checksum of its own. A channel is the tensor ``NAME``, all its frames end to end
(uint8), and the tensor ``NAME.ends``, where each ends (int64), frame after frame and view after view. The header
holds the rest: ``{"channels": {NAME: {"shape": [frames, views, height, width, components], "dtype": …}}, …}``. Measured
against Zarr and others in ``docs/decisions/0009-shards.md``.
"""

import contextlib
import functools
import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from affect4d.store.content_and_code_digests import file_digest

LEVEL = 1  # compression level of zstd: higher ones take three times as long and save a twentieth
HEADER = "affect4d"


def pose_channel(channel: str, head_pose: int) -> str:
    """A channel's name in one head pose: ``"normals"`` in the canonical one, else ``"normals~1"``."""
    return f"{channel}~{head_pose}" if head_pose else channel


class DamagedShardError(ValueError):
    """A shard's bytes differ from those written; if images are lost, the file is removed."""


class ShardWriter:
    """Collects the images of a sequence frame by frame, compressed."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
        self._frames = 0
        self._pieces: dict[str, list[bytes]] = {}
        self._kinds: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}

    def add(self, images: Mapping[str, np.ndarray]) -> None:
        """Append one frame: channel → ``[views, height, width, components]``; shapes and types as in the first one."""
        kinds = {name: (stack.shape, stack.dtype) for name, stack in images.items()}
        if self._frames and kinds != self._kinds:
            raise ValueError(f"Every frame of a shard has the same images: {kinds} differ from {self._kinds}.")
        self._kinds = kinds
        for name, stack in images.items():
            pieces = self._pieces.setdefault(name, [])
            pieces += [self._compressor.compress(image.tobytes()) for image in stack]
        self._frames += 1

    def save(self, path: Path, header: Mapping[str, Any]) -> None:
        """Write the shard, with further (JSON) fields of its header."""
        tensors: dict[str, np.ndarray] = {}
        for name, pieces in self._pieces.items():
            tensors[name] = np.frombuffer(b"".join(pieces), np.uint8)
            tensors[f"{name}.ends"] = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
        channels = {
            name: {"shape": [self._frames, *shape], "dtype": kind.name} for name, (shape, kind) in self._kinds.items()
        }
        save_file(tensors, path, metadata={HEADER: json.dumps({**header, "channels": channels})})


@dataclass(frozen=True, slots=True)
class _Channel:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    ends: np.ndarray


class Shard:
    """An open shard, mapped into memory; reading an image costs one decompression."""

    def __init__(self, path: Path) -> None:
        """Map a file; raises :class:`DamagedShardError` if its index does not fit its bytes."""
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._path = path
        length = int.from_bytes(self._bytes[:8], "little")
        index = json.loads(self._bytes[8 : 8 + length])
        self.header: dict[str, Any] = json.loads(index["__metadata__"][HEADER])
        self._channels = {
            name: self._channel(kind, 8 + length, index[name]["data_offsets"], index[f"{name}.ends"]["data_offsets"])
            for name, kind in self.header["channels"].items()
        }

    def _channel(self, kind: Mapping[str, Any], base: int, data: list[int], ends: list[int]) -> _Channel:
        offsets = np.frombuffer(self._bytes[base + ends[0] : base + ends[1]], np.int64)
        if (np.diff(offsets, prepend=0) <= 0).any() or offsets[-1:] != [data[1] - data[0]]:
            raise _remove_damaged(self._path)
        return _Channel(tuple(kind["shape"]), np.dtype(kind["dtype"]), base + data[0], offsets)

    def image(self, channel: str, frame: int, view: int) -> np.ndarray:
        """One image, ``[height, width, components]``, checked (DamagedShardError); frame and view are positions."""
        kind = self._channels[channel]
        frames, views = kind.shape[:2]
        if not (0 <= frame < frames and 0 <= view < views):
            raise IndexError(f"{self._path} has {frames} frames of {views} views, not frame {frame}, view {view}.")
        return self._decompress(kind, frame * views + view)

    def stack(self, channel: str) -> np.ndarray:
        """All images of a channel, ``[frames, views, height, width, components]``."""
        kind = self._channels[channel]
        images = np.empty((len(kind.ends), *kind.shape[2:]), kind.dtype)
        for place in range(len(images)):
            images[place] = self._decompress(kind, place)
        return images.reshape(kind.shape)

    def check(self) -> None:
        """Read all images; raises :class:`DamagedShardError` if one of them differs from what was written."""
        for kind in self._channels.values():
            for place in range(len(kind.ends)):
                self._decompress(kind, place)

    def _decompress(self, kind: _Channel, place: int) -> np.ndarray:
        start = kind.start + (int(kind.ends[place - 1]) if place else 0)
        end = kind.start + int(kind.ends[place])
        try:
            plain = zstandard.ZstdDecompressor().decompress(memoryview(self._bytes)[start:end])
        except zstandard.ZstdError as error:
            raise _remove_damaged(self._path) from error
        return np.frombuffer(plain, kind.dtype).reshape(kind.shape[2:])


def open_shard(path: Path, checksum: str) -> Shard:
    """Open a shard and check its bytes (DamagedShardError), once per process."""
    status = path.stat()
    _check(path, checksum, status.st_ino, status.st_size)
    return Shard(path)


@functools.lru_cache(maxsize=65536)
def _check(path: Path, checksum: str, _inode: int, _size: int) -> None:
    """Check a shard once; it is not kept open, since a process may have only about a thousand open files."""
    if file_digest(path) == checksum:
        return
    if not is_whole(path):
        raise _remove_damaged(path)
    try:
        Shard(path).check()
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _remove_damaged(path) from error
    raise DamagedShardError(
        f"{path} is damaged (its checksum differs), or was rendered again since: delete it and render again."
    )


def read_header(path: Path) -> dict[str, Any]:
    """Header of a shard; its images are not read."""
    with safe_open(path, framework="numpy") as file:
        return dict(json.loads(file.metadata()[HEADER]))


def is_whole(path: Path) -> bool:
    """Whether a shard's file is as long as its index says (a power cut may truncate it). Images are not read."""
    try:
        with safe_open(path, framework="numpy") as file:
            return HEADER in (file.metadata() or {})
    except SafetensorError:
        return False


def drop_broken(path: Path) -> None:
    """Remove a shard that a power cut truncated, so that it is rendered again."""
    if path.exists() and not is_whole(path):
        path.unlink(missing_ok=True)


def _remove_damaged(path: Path) -> DamagedShardError:
    with contextlib.suppress(OSError):  # a store that may be read only
        path.unlink(missing_ok=True)
    remedy = "delete it and render again" if path.exists() else "it was removed; run again to render again what is lost"
    return DamagedShardError(f"{path} is damaged (its checksum differs): {remedy}.")
