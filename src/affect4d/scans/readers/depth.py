"""Depth pictures (16-bit PNG, as CAS(ME)³ has them) through a pinhole camera.

A depth picture says nothing about the camera that took it: focal lengths and principal point are the caller's, who must
state where they come from. Depth 0 is invalid. The colour picture is taken to be registered with the depth picture.

Repaired, and noted: a colour picture that is missing or not usable. Refused: pictures that are not one channel of 16
bits.
"""

import warnings
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from affect4d.scans.readers.limits import check_grid, read_bytes
from affect4d.scans.readers.texture import attach_texture
from affect4d.scans.scan import FaceScan, ScanError

DEPTH_MODES = ("I;16", "I;16B", "I;16L", "I")


class Intrinsics(BaseModel):
    """The pinhole camera of a depth sensor, in pixels of its picture, whose top left one has its middle at (0, 0)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fx: float = Field(gt=0, description="Focal length along a row, in pixels.")
    fy: float = Field(gt=0, description="Focal length down a column, in pixels.")
    cx: float = Field(description="Column of the optical axis, in pixels.")
    cy: float = Field(description="Row of the optical axis, in pixels.")
    millimetres_per_unit: float = Field(default=1.0, gt=0, description="Depth of one step of the picture's numbers.")
    near: float = Field(default=100.0, ge=0, description="Nearest depth that is believed, in mm.")
    far: float = Field(default=3000.0, gt=0, description="Farthest depth that is believed, in mm.")


def read_depth(path: Path, texture: Path | None = None, *, intrinsics: Intrinsics) -> FaceScan:
    """Read a depth picture as a face scan; ``functools.partial`` makes a :class:`~affect4d.scans.readers.Reader` of it.

    Args:
        path: The depth picture.
        texture: The colour picture.
        intrinsics: The camera.

    Returns:
        The scan in the camera's frame turned to ours: +y up, +z towards the camera, which is at the origin.

    Raises:
        ScanError: If it is not a depth picture, or no usable surface.
    """
    from affect4d.scans.readers.grid import mesh_of_grid  # the compiler costs half a second

    depth = _read_picture(path) * intrinsics.millimetres_per_unit
    believed = (depth > 0) & (depth >= intrinsics.near) & (depth <= intrinsics.far)
    scan = mesh_of_grid(_planes(depth, intrinsics), np.ascontiguousarray(believed[::-1]), path)
    if texture is None:
        return with_changes(scan, repairs=(*scan.repairs, "texture missing"))
    pixels, repairs = attach_texture(path, None, texture)
    return with_changes(scan, texture=pixels, repairs=scan.repairs + repairs)


def _read_picture(path: Path) -> np.ndarray:
    """Numbers of the picture, ``float64`` [rows, columns]."""
    read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as picture:
                if picture.mode not in DEPTH_MODES:
                    raise ScanError("not-depth", path, f"pixels are {picture.mode}, not one channel of 16 bits")
                check_grid(picture.height, picture.width, path)
                return np.asarray(picture).astype(np.float64)
    except ScanError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error and more on damaged files
        raise ScanError("unreadable", path, f"the depth picture is damaged ({type(error).__name__})") from error


def _planes(depth: np.ndarray, camera: Intrinsics) -> Float64[np.ndarray, "5 rows columns"]:
    """Points of the picture, the lowest row first."""
    rows, columns = depth.shape
    row, column = np.mgrid[:rows, :columns].astype(np.float64)
    x, y = (column - camera.cx) * depth / camera.fx, (camera.cy - row) * depth / camera.fy
    planes = np.stack([x, y, -depth, (column + 0.5) / columns, (row + 0.5) / rows])
    return np.ascontiguousarray(planes[:, ::-1])
