"""What a user of VTK and pyvista would write for one frame: import the .wrl, read the .jpg, a fresh plotter a view.

``python importer_and_plotter.py SIZE FILE…`` prints the seconds a frame took, the first one not counted.
"""

import sys
import time
from pathlib import Path

import pyvista as pv
from plotter_views import YAWS, draw
from vtkmodules.vtkIOImport import vtkVRMLImporter
from vtkmodules.vtkRenderingCore import vtkRenderWindow


def prepare(path: Path, size: int) -> None:
    """Three pictures of a scan's file."""
    window, importer = vtkRenderWindow(), vtkVRMLImporter()
    window.SetOffScreenRendering(True)
    importer.SetFileName(str(path))
    importer.SetRenderWindow(window)
    importer.Update()
    mesh = pv.wrap(importer.GetRenderer().GetActors().GetLastActor().GetMapper().GetInput())
    texture = pv.read_texture(str(path.with_suffix(".jpg"))).to_array()
    scan = {
        "vertices": mesh.points,
        "faces": mesh.regular_faces,
        "coordinates": mesh.active_texture_coordinates,
        "texture": texture,
    }
    for yaw in YAWS:
        draw(scan, yaw, size)


def main(size: int, files: list[str]) -> None:
    """Prepare every file."""
    taken = []
    for name in files:
        start = time.perf_counter()
        prepare(Path(name), size)
        taken.append(time.perf_counter() - start)
    print(*taken[1:])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
