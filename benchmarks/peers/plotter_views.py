"""What a user of pyvista would write: a fresh plotter a view.

Run as ``python plotter_views.py SCANS SIZE``; answers each line, a number of views, with the seconds and the processor
seconds that drawing them took, and the share of a picture that is covered.
"""

import math
import sys
import time

import numpy as np
import pyvista as pv

YAWS = (0.0, -45.0, 45.0)


def draw(scan: dict[str, np.ndarray], yaw: float, size: int) -> np.ndarray:
    """One view in a plotter of its own."""
    mesh = pv.PolyData.from_regular_faces(scan["vertices"], scan["faces"])
    mesh.active_texture_coordinates = scan["coordinates"]
    plotter = pv.Plotter(off_screen=True, window_size=(size, size))
    plotter.add_mesh(mesh, texture=pv.Texture(scan["texture"]), lighting=False)
    plotter.set_background("black")
    turn = math.radians(yaw)
    position = (1000 * math.sin(turn), -5.0, -45.0 + 1000 * math.cos(turn))
    plotter.camera_position = [position, (0.0, -5.0, -45.0), (0.0, 1.0, 0.0)]
    plotter.enable_parallel_projection()
    plotter.camera.parallel_scale = 95.0
    picture = plotter.screenshot(return_img=True)
    plotter.close()
    return np.asarray(picture)


def main(folder: str, size: int) -> None:
    """Draw what each line asks for."""
    scans = [dict(np.load(f"{folder}/{name}.npz")) for name in range(4)]
    for line in sys.stdin:
        start, busy, covered = time.perf_counter(), time.process_time(), []
        for view in range(int(line)):
            picture = draw(scans[view // len(YAWS) % len(scans)], YAWS[view % len(YAWS)], size)
            covered.append(float((picture.max(axis=-1) > 0).mean()))
        taken = time.perf_counter() - start, time.process_time() - busy
        print(*taken, float(np.mean(covered)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
