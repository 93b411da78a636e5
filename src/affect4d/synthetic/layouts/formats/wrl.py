"""VRML 2.0 text (``.wrl``), as BU-3DFE and BU-4DFE use it."""

from affect4d.scans.scan import FaceScan
from affect4d.synthetic.layouts.formats.text import index_lines, number_lines


def wrl_bytes(scan: FaceScan, picture: str, newline: bytes = b"\n", between: bytes = b" ") -> bytes:
    """A scan as one IndexedFaceSet whose vertex and texture indices coincide, v up.

    Args:
        scan: With texture coordinates.
        picture: Name of the texture's file.
        newline: What ends a line; BU-3DFE has files with CRLF.
        between: What separates the numbers of a row: a blank, or a comma and a blank.

    Raises:
        ValueError: If the scan has no texture coordinates.
    """
    if scan.texture_coordinates is None:
        raise ValueError("A .wrl scan needs texture coordinates, and this one has none.")
    faces = index_lines(scan.faces, b", -1,\n")
    parts = (
        b"#VRML V2.0 utf8\n\nShape {\n appearance Appearance {\n  material Material { diffuseColor 1 1 1 }\n",
        f'  texture ImageTexture {{ url "{picture}" }}\n }}\n geometry IndexedFaceSet {{\n'.encode(),
        b"  coord Coordinate {\n   point [\n",
        number_lines(scan.vertices, 3, b",\n", between=between),
        b"   ]\n  }\n  coordIndex [\n",
        faces,
        b"  ]\n  texCoord TextureCoordinate {\n   point [\n",
        number_lines(scan.texture_coordinates, 4, b",\n", between=between),
        b"   ]\n  }\n  texCoordIndex [\n",
        faces,
        b"  ]\n }\n}\n",
    )
    return b"".join(parts).replace(b"\n", newline)
