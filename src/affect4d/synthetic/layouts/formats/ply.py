"""PLY with texture coordinates at the vertices: text, or binary in either byte order."""

from typing import Literal

import numpy as np

from affect4d.scans.scan import FaceScan
from affect4d.synthetic.layouts.formats.text import index_lines, number_lines

Encoding = Literal["ascii", "binary_little_endian", "binary_big_endian"]


def ply_bytes(scan: FaceScan, picture: str, encoding: Encoding) -> bytes:
    """A scan as vertices ``x y z s t`` and triangles.

    Args:
        scan: With texture coordinates.
        picture: Name of the texture's file.
        encoding: Of what follows the header.

    Raises:
        ValueError: If the scan has no texture coordinates.
    """
    if scan.texture_coordinates is None:
        raise ValueError("A .ply scan needs texture coordinates, and this one has none.")
    numbers = np.column_stack([scan.vertices, scan.texture_coordinates])
    header = [
        "ply",
        f"format {encoding} 1.0",
        f"comment TextureFile {picture}",
        f"element vertex {len(numbers)}",
        *(f"property float {name}" for name in ("x", "y", "z", "s", "t")),
        f"element face {len(scan.faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    if encoding == "ascii":
        body = number_lines(numbers, 4, b"\n") + index_lines(scan.faces, b"\n", b"3 ", b" ")
    else:
        order = "<" if encoding == "binary_little_endian" else ">"
        triangles = np.empty(len(scan.faces), dtype=[("count", "u1"), ("corners", f"{order}i4", 3)])
        triangles["count"], triangles["corners"] = 3, scan.faces
        body = numbers.astype(f"{order}f4").tobytes() + triangles.tobytes()
    return "\n".join(header).encode() + body
