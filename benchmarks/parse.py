"""Reading scans: bytes on disk (in the page cache) to checked arrays, beside what a user would take instead.

One synthetic face of 35,000 vertices and 69,000 triangles, the size of a BU-4DFE frame, and one range image the size
of a Bosphorus one. No picture lies beside them: textures are not part of this. VTK's importer wants a render window
and is known to crash without one, so it runs in a child process, turn by turn with ours.

The range image has two rows: the file as a checked range image, which its peer gives the bytes of, and as the mesh that
every other stage takes, of which the peer does nothing.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from affect4d.scans.readers import READERS
from affect4d.scans.readers.range_image import read_range_image
from benchmarks.rows import Row, alternate

NAMES = ("parse.wrl", "parse.obj", "parse.bnt", "parse.bnt.mesh")
SIDE = 187
RANGE_SHAPE = (233, 186)
REPEATS, QUICK_REPEATS = 60, 15


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """One row a format."""
    repeats = QUICK_REPEATS if quick else REPEATS
    with tempfile.TemporaryDirectory() as folder:
        for name, measure in zip(NAMES, (_wrl, _obj, _bnt, _bnt_mesh), strict=True):
            if wanted(name):
                yield measure(Path(folder), repeats)


def _wrl(folder: Path, repeats: int) -> Row:
    path = folder / "face.wrl"
    path.write_text(wrl_text())
    note = f"{_size(path):.1f} MB; {_vtk_version()}"
    command = [sys.executable, "-m", "benchmarks.parse", str(path), str(repeats)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=_off_screen())
    if child.returncode:
        ours, _ = alternate(lambda: READERS[".wrl"](path), lambda: None, repeats)
        note += f"; the peer ended with code {child.returncode}"
        return Row("parse.wrl", _size(path) / ours, "MB/s", "vtkVRMLImporter", None, "≥5", note)
    ours, peer = json.loads(child.stdout.splitlines()[-1])
    return Row("parse.wrl", _size(path) / ours, "MB/s", "vtkVRMLImporter", _size(path) / peer, "≥5", note)


def _obj(folder: Path, repeats: int) -> Row:
    import pyvista

    path = folder / "face.obj"
    path.write_text(obj_text())
    ours, peer = alternate(lambda: READERS[".obj"](path), lambda: pyvista.read(path), repeats)
    note = f"{_size(path):.1f} MB; pyvista {pyvista.__version__}, {_vtk_version()}"
    return Row("parse.obj", _size(path) / ours, "MB/s", "pyvista.read", _size(path) / peer, "≥2", note)


def _bnt(folder: Path, repeats: int) -> Row:
    return _range_image("parse.bnt", folder, read_range_image, repeats, "≥0.5")


def _bnt_mesh(folder: Path, repeats: int) -> Row:
    return _range_image("parse.bnt.mesh", folder, READERS[".bnt"], repeats, "–")


def _range_image(name: str, folder: Path, read: Callable[[Path], object], repeats: int, target: str) -> Row:
    path = folder / "face.bnt"
    path.write_bytes(bnt_bytes())
    ours, peer = alternate(lambda: read(path), lambda: np.fromfile(path, np.uint8), 4 * repeats)
    note = f"{_size(path):.1f} MB, {RANGE_SHAPE[0]} by {RANGE_SHAPE[1]}"
    return Row(name, _size(path) / ours, "MB/s", "np.fromfile", _size(path) / peer, target, note)


def _size(path: Path) -> float:
    return path.stat().st_size / 1e6


def _vtk_version() -> str:
    from vtkmodules.vtkCommonCore import vtkVersion

    return f"VTK {vtkVersion.GetVTKVersion()}"


def _off_screen() -> dict[str, str]:
    return {**os.environ, "VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"}


def import_with_vtk(path: Path) -> int:
    """Read a .wrl with VTK's importer; its number of vertices."""
    from vtkmodules.vtkIOImport import vtkVRMLImporter
    from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow

    window = vtkRenderWindow()
    window.SetOffScreenRendering(True)
    renderer = vtkRenderer()
    window.AddRenderer(renderer)
    importer = vtkVRMLImporter()
    importer.SetFileName(str(path))
    importer.SetRenderWindow(window)
    importer.Update()
    actors = renderer.GetActors()
    actors.InitTraversal()
    mapper = actors.GetNextActor().GetMapper()
    mapper.GetInputAlgorithm().Update()
    return int(mapper.GetInput().GetNumberOfPoints())


def grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, texture coordinates and triangles of a noisy dome of ``SIDE`` by ``SIDE`` points."""
    axis = np.linspace(-90, 90, SIDE)
    x, y = np.meshgrid(axis, axis)
    noise = np.random.default_rng(0).normal(0, 0.2, (SIDE, SIDE, 3))
    vertices = np.stack([x, y, 40 - (x**2 + y**2) / 160], axis=-1) + noise
    index = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = np.stack([a, b, c, a, c, d], axis=1).reshape(-1, 3)
    coordinates = (np.stack([x, y], axis=-1).reshape(-1, 2) + 90) / 180
    return vertices.reshape(-1, 3), coordinates, faces


def wrl_text() -> str:
    """The face as BU-4DFE writes it: indices of vertices and texture coordinates coincide."""
    vertices, coordinates, faces = grid()
    points = ",\n".join(f"{x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist())
    texture = ",\n".join(f"{u:.6f} {v:.6f}" for u, v in coordinates.tolist())
    index = ",\n".join(f"{a}, {b}, {c}, -1" for a, b, c in faces.tolist())
    return (
        '#VRML V2.0 utf8\nShape { appearance Appearance { texture ImageTexture { url "face.jpg" } }\n'
        f"geometry IndexedFaceSet {{ coord Coordinate {{ point [\n{points}\n] }}\ncoordIndex [\n{index}\n]\n"
        f"texCoord TextureCoordinate {{ point [\n{texture}\n] }}\ntexCoordIndex [\n{index}\n] }} }}\n"
    )


def obj_text() -> str:
    """The face as BP4D writes it."""
    vertices, coordinates, faces = grid()
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in coordinates.tolist()]
    lines += [f"f {a}/{a} {b}/{b} {c}/{c}" for a, b, c in (faces + 1).tolist()]
    return "\n".join(lines) + "\n"


def bnt_bytes() -> bytes:
    """A range image with a background around a round face."""
    row_count, column_count = RANGE_SHAPE
    y, x = np.meshgrid(np.linspace(-100, 100, row_count), np.linspace(-80, 80, column_count), indexing="ij")
    z = 40 - (x**2 + y**2) / 160
    background = (x / 78) ** 2 + (y / 97) ** 2 > 1
    planes = [np.where(background, -1e9, plane) for plane in (x, y, z)] + [(x + 80) / 160, (100 - y) / 200]
    numbers = np.stack(planes).astype("<f8")
    return (
        struct.pack("<HHdH", row_count, column_count, -1e9, 8)
        + b"face.png"
        + struct.pack("<I", numbers.size)
        + numbers.tobytes()
    )


if __name__ == "__main__":
    scan, times = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(alternate(lambda: READERS[".wrl"](scan), lambda: import_with_vtk(scan), times)))
