"""Wavefront text (``.obj`` with ``.mtl``), as BP4D uses it."""

import numpy as np

from affect4d.scans.scan import FaceScan
from affect4d.synthetic.layouts.formats.text import index_lines, number_lines


def obj_bytes(scan: FaceScan, material: str, indexed: bool = True) -> bytes:
    """A scan as vertices, texture coordinates and faces.

    Args:
        scan: With texture coordinates.
        material: Name of the material's file.
        indexed: Write ``f 1/1 2/2 3/3``; without, ``f 1 2 3`` beside a ``vt`` list in the order of the vertices, as
            some of BP4D's files.

    Raises:
        ValueError: If the scan has no texture coordinates.
    """
    if scan.texture_coordinates is None:
        raise ValueError("An .obj scan needs texture coordinates, and this one has none.")
    parts = (
        f"mtllib {material}\nusemtl face\n".encode(),
        number_lines(scan.vertices, 3, b"\n", b"v "),
        number_lines(scan.texture_coordinates, 4, b"\n", b"vt "),
        _corners(scan.faces + 1, indexed),
    )
    return b"".join(parts)


def mtl_bytes(picture: str) -> bytes:
    """The one material of a scan, naming its picture."""
    return f"newmtl face\nKa 1 1 1\nKd 1 1 1\nmap_Kd {picture}\n".encode()


def _corners(numbers: np.ndarray, indexed: bool) -> bytes:
    if not indexed:
        return index_lines(numbers, b"\n", b"f ", b" ")
    pairs = numbers[:, [0, 0, 1, 1, 2, 2]]
    return index_lines(pairs, b"\n", b"f ", (b"/", b" ", b"/", b" ", b"/"))
