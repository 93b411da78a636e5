"""A small, bumpy, generated surface: something to render that is nobody's face; and shards of arrays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affect4d.rendering.shards import ShardWriter
from affect4d.scans.scan import FaceScan

SIDE = 41
"""Points along one side of the surface; odd, so that one column of them lies in the plane of symmetry."""


def bumpy_scan(lopsided: float = 0.0, textured: bool = True) -> FaceScan:
    """A domed surface with a nose and two dents; symmetric in shape and texture unless ``lopsided`` (mm)."""
    across, up = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    depth = -55 * (across**2 + up**2) + 22 * np.exp(-(30 * across**2 + 10 * up**2))
    depth -= 8 * np.exp(-40 * ((np.abs(across) - 0.4) ** 2 + (up - 0.35) ** 2))
    depth += lopsided * np.exp(-30 * ((across - 0.4) ** 2 + (up + 0.4) ** 2))
    vertices = np.stack([70 * across, 85 * up - 5, depth - 20], axis=-1).reshape(-1, 3).astype(np.float32)
    coordinates = (np.stack([across, up], axis=-1).reshape(-1, 2) / 2 + 0.5).astype(np.float32)
    texture = symmetric_texture() if textured else None
    return FaceScan(vertices, symmetric_faces(), coordinates if textured else None, texture)


def symmetric_faces() -> np.ndarray:
    """Two triangles a cell, cut along diagonals that mirror each other, counter-clockwise from the front."""
    corner = np.arange(SIDE * SIDE, dtype=np.int32).reshape(SIDE, SIDE)
    low_left, low_right, top_left, top_right = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    rising = [(low_left, low_right, top_right), (low_left, top_right, top_left)]
    falling = [(low_left, low_right, top_left), (low_right, top_right, top_left)]
    half = (SIDE - 1) // 2
    cells = [np.stack([part[:, :half] for part in triangle], axis=-1) for triangle in rising]
    cells += [np.stack([part[:, half:] for part in triangle], axis=-1) for triangle in falling]
    return np.concatenate([cell.reshape(-1, 3) for cell in cells]).astype(np.int32)


def symmetric_texture() -> np.ndarray:
    """Skin with a red band above the middle and a lighter strip in the plane of symmetry."""
    texture = np.full((64, 64, 3), (190, 150, 120), np.uint8)
    texture[16:24] = (200, 40, 40)
    texture[:, 28:36] = (230, 200, 180)
    return texture


def write_shard(path: Path, images: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    """Write stacks that are in memory: channel → ``[frames, views, height, width, components]``."""
    writer = ShardWriter()
    for frame in range(len(next(iter(images.values())))):
        writer.add({name: stack[frame] for name, stack in images.items()})
    writer.save(path, header)
