"""Writers of small synthetic scans: a bumpy grid with a nose, no person's face."""

from pathlib import Path

import numpy as np
from PIL import Image

from affect4d.scans.geometry import TEMPLATE
from affect4d.scans.scan import FaceScan

MARKS = TEMPLATE + np.float32(0.5)
"""Landmarks of the grid; not the template itself, whose nose tip at 0 0 0 reads as untracked."""


def bumpy_grid(size: int = 24) -> FaceScan:
    """A dome of ±90 mm with a nose at the origin, triangles counter-clockwise seen from +z."""
    axis = np.linspace(-90, 90, size)
    x, y = np.meshgrid(axis, axis)
    z = -(x**2 + y**2) / 160 - 18 + 18 * np.exp(-(x**2 + 0.6 * y**2) / 250)
    z -= 8 * np.exp(-((abs(x) - 32) ** 2 + (y - 36) ** 2) / 150)  # two eyes
    z += 6 * np.exp(-(x**2 / 300 + (y + 38) ** 2 / 60))  # a mouth
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32)
    index = np.arange(size * size, dtype=np.int32).reshape(size, size)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return FaceScan(vertices, faces, ((vertices[:, :2] + 90) / 180).astype(np.float32))


def wrl_text(scan: FaceScan, url: str | None = "000.jpg", texture_faces: np.ndarray | None = None) -> str:
    picture = "" if url is None else f'appearance Appearance {{ texture ImageTexture {{ url "{url}" }} }}'
    parts = [
        "#VRML V2.0 utf8\n# written by a test\n",
        f"Group {{ children [ Shape {{ {picture}\n geometry IndexedFaceSet {{ ccw TRUE solid FALSE\n",
        "  coord Coordinate {\n   point [\n",
        ",\n".join(" ".join(f"{number:.9g}" for number in row) for row in scan.vertices),
        " ]\n  }\n  coordIndex [ ",
        _indices(scan.faces),
        " ]\n",
    ]
    if scan.texture_coordinates is not None:
        rows = ",\n".join(" ".join(f"{number:.9g}" for number in row) for row in scan.texture_coordinates)
        own = scan.faces if texture_faces is None else texture_faces
        parts.append(f"  texCoord TextureCoordinate {{ point [ {rows} ] }}\n  texCoordIndex [ {_indices(own)} ]\n")
    return "".join([*parts, " } } ] }\n"])


def _indices(faces: np.ndarray) -> str:
    return ",\n".join(", ".join(str(index) for index in (*face, -1)) for face in faces)


def obj_text(scan: FaceScan, corner: str = "{0}/{0}", material: str | None = None) -> str:
    lines = [f"mtllib {material}"] if material else ["# written by a test"]
    lines += ["v " + " ".join(f"{number:.9g}" for number in row) for row in scan.vertices]
    if scan.texture_coordinates is not None:
        lines += ["vt " + " ".join(f"{number:.9g}" for number in row) for row in scan.texture_coordinates]
    lines += ["f " + " ".join(corner.format(index + 1) for index in face) for face in scan.faces]
    return "\n".join(lines) + "\n"


def bnd_text(points: np.ndarray = MARKS) -> str:
    return "".join(f"{row} {x:.9g} {y:.9g} {z:.9g}\r\n" for row, (x, y, z) in enumerate(points))


def write_picture(path: Path, size: tuple[int, int] = (8, 6)) -> None:
    Image.new("RGB", size, (200, 150, 120)).save(path)


def write_corpus(root: Path, subjects: tuple[str, ...] = ("F001", "M001"), frames: int = 2) -> Path:
    """A BU-4DFE tree of two expressions a subject, with textures and landmarks."""
    scan = bumpy_grid()
    for subject in subjects:
        for word in ("Angry", "Happy"):
            folder, marks = root / subject / word, root / "BU4DFE_BND_V1.1" / subject / word
            folder.mkdir(parents=True)
            marks.mkdir(parents=True)
            for frame in range(frames):
                (folder / f"{frame:03d}.wrl").write_text(wrl_text(scan, f"{frame:03d}.jpg"))
                write_picture(folder / f"{frame:03d}.jpg")
                (marks / f"{frame:03d}.bnd").write_text(bnd_text())
    return root
