"""Our renderer behind the same lines as its peers. ``python our_views.py SCANS SIZE CHANNELS DEVICE``."""

import sys
import time

import numpy as np

from affect4d.rendering.cameras_and_render_backends import Renderer
from affect4d.rendering.options import RenderOptions
from affect4d.scans.scan import FaceScan


def main(folder: str, size: int, channels: tuple[str, ...], device: str) -> None:
    """Draw what each line asks for."""
    held = [np.load(f"{folder}/{name}.npz") for name in range(4)]
    scans = [FaceScan(one["vertices"], one["faces"], one["coordinates"], one["texture"]) for one in held]
    options = {"size": size, "channels": channels, "device": device if device == "cpu" else int(device)}
    renderer = Renderer(RenderOptions.model_validate(options))
    views = len(renderer.options.angles)
    for line in sys.stdin:
        start, busy, covered, count = time.perf_counter(), time.process_time(), [], int(line)
        for turn in range(count // views):
            pictures = renderer.render(scans[turn % len(scans)])
            covered.append(float((pictures[channels[0]].max(axis=-1) > 0).mean()))
        taken = time.perf_counter() - start, time.process_time() - busy
        print(*taken, float(np.mean(covered)), renderer.driver, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), tuple(sys.argv[3].split(",")), sys.argv[4])
