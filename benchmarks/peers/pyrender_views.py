"""pyrender at its best: one off-screen renderer kept, a mesh built once a scan from plain arrays, unlit (FLAT).

Runs in an environment of its own (pyrender pins PyOpenGL 3.1.0) as ``python pyrender_views.py SCANS SIZE``; answers
each line, a number of views, with the seconds and the processor seconds that drawing them took, and the share
covered.
"""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("PYOPENGL_PLATFORM", "egl")

import numpy as np
import pyrender
from PIL import Image

YAWS = (0.0, -45.0, 45.0)


def mesh_of(scan: dict[str, np.ndarray]) -> Any:
    """A textured mesh from plain arrays: no trimesh in between, which would cost more than the drawing."""
    picture = pyrender.Texture(source=Image.fromarray(scan["texture"]), source_channels="RGB")
    material = pyrender.MetallicRoughnessMaterial(baseColorTexture=picture, metallicFactor=0, doubleSided=True)
    parts = {"positions": scan["vertices"], "indices": scan["faces"], "texcoord_0": scan["coordinates"]}
    return pyrender.Mesh([pyrender.Primitive(material=material, **parts)])


def pose_at(yaw: float) -> np.ndarray:
    """The camera's pose at a yaw in degrees, where ours stands."""
    cosine, sine = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    pose = np.eye(4)
    pose[:3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]
    pose[:3, 3] = np.array([0.0, -5.0, -45.0]) + 1000 * pose[:3, 2]
    return pose


def draw_scan(renderer: Any, scan: dict[str, np.ndarray], yaws: tuple[float, ...]) -> Iterator[float]:
    """Share of each view that is covered."""
    scene = pyrender.Scene(bg_color=[0, 0, 0, 0], ambient_light=[1.0, 1.0, 1.0])
    scene.add(mesh_of(scan))
    eye = scene.add(pyrender.OrthographicCamera(95.0, 95.0, znear=1.0, zfar=2000.0), pose=np.eye(4))
    for yaw in yaws:
        scene.set_pose(eye, pose_at(yaw))
        picture, _ = renderer.render(scene, flags=pyrender.RenderFlags.FLAT)
        yield float((picture.max(axis=-1) > 0).mean())


def main(folder: str, size: int) -> None:
    """Draw what each line asks for."""
    scans = [dict(np.load(f"{folder}/{name}.npz")) for name in range(4)]
    renderer = pyrender.OffscreenRenderer(size, size)
    for line in sys.stdin:
        start, busy, count = time.perf_counter(), time.process_time(), int(line)
        covered: list[float] = []
        while len(covered) < count:
            scan = scans[len(covered) // len(YAWS) % len(scans)]
            covered += draw_scan(renderer, scan, YAWS[: count - len(covered)])
        taken = time.perf_counter() - start, time.process_time() - busy
        print(*taken, float(np.mean(covered)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
