"""``render.views``: pictures a second of a dense, changing, textured face, beside pyvista's plotter and pyrender.

Everybody reads the same scans and draws in processes of their own, turn by turn. Ours uses every core, a process each;
a peer is one loop in one process, as its users write it, and Mesa may use every core. ``render.views.driver`` is ours
through the OpenGL driver, Mesa on one thread.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from affect4d.parallel import available_cores
from benchmarks.dense_face import dense_face
from benchmarks.peers.environment import PYRENDER, python_with
from benchmarks.rows import Row

NAMES = ("render.views", "gpu.render")
PEERS = Path(__file__).parent / "peers"
SIZE = 224
VIEWS = 3
WITHOUT_A_GPU = ("llvmpipe", "softpipe", "swrast")


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Rates of ours and the peers', and what a second picture of every view costs."""
    with tempfile.TemporaryDirectory() as scans, ExitStack() as running:
        _write_scans(Path(scans))
        if wanted("render.views"):
            yield from _views(Path(scans), running, rounds=2 if quick else 8)
        if wanted("gpu.render"):
            yield _gpu(Path(scans), running, rounds=2 if quick else 8)


class Drawer:
    """A process that draws as many views as it is told and says how long that took."""

    def __init__(self, running: ExitStack, python: str, script: str, *arguments: object, **environment: str) -> None:
        command = [python, str(PEERS / script), *map(str, arguments)]
        self._log = running.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115  (the stack closes it)
        self._process = running.enter_context(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                env=_environment(environment),
            )
        )
        running.callback(self._process.kill)

    def start(self, views: int) -> None:
        """Begin to draw."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{views}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # wait() says why

    def wait(self) -> "Drawn":
        """What drawing took."""
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().split(" ", 3)
        if len(answer) < 3:
            self._log.seek(0)
            raise RuntimeError(f"{self._process.args!r} ended: {self._log.read()[-600:]}")
        return Drawn(*map(float, answer[:3]), "".join(answer[3:]).strip())


class Drawn(NamedTuple):
    """What drawing some views took, by the clock and of the processors, in seconds; how much of a view is covered."""

    seconds: float
    busy: float
    covered: float
    driver: str


class Rate(NamedTuple):
    """Views by the clock, and for every second that a processor was busy: the second is not disturbed by others."""

    a_second: float
    a_busy_second: float


def _environment(changes: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "LP_NUM_THREADS"}
    source = str(Path(__file__).parents[1] / "src")
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **changes}


def _write_scans(folder: Path) -> None:
    for frame in range(4):
        scan = dense_face(frame)
        parts = {"vertices": scan.vertices, "faces": scan.faces, "coordinates": scan.texture_coordinates}
        np.savez(folder / f"{frame}.npz", texture=scan.texture, **parts)


def _views(scans: Path, running: ExitStack, rounds: int) -> Iterator[Row]:
    cores = available_cores()
    ours, both, driver = (
        [
            Drawer(running, sys.executable, "our_views.py", scans, SIZE, channels, device, LP_NUM_THREADS="1")
            for _ in range(cores)
        ]
        for channels, device in (("texture", "cpu"), ("texture,normals", "cpu"), ("texture", "-1"))
    )
    plotter = [Drawer(running, sys.executable, "plotter_views.py", scans, SIZE)]
    drawers = {
        "ours": (ours, 90),
        "single": (ours[:1], 90),
        "both": (both, 60),
        "driver": (driver, 30),
        "plotter": (plotter, 12),
    }
    found = _rates(drawers, rounds)
    note = f"{SIZE} px, 35k vertices, {cores} processes; the peer is one loop in one process"
    two = f"two pictures a view, the peer's one; {note}"
    yield _row("render.views", found["ours"], "pyvista.Plotter a view", found["plotter"], "≥40", note)
    yield _row("render.views.one_process", found["single"], "pyvista.Plotter a view", found["plotter"], "", note)
    yield _row("render.views.normals", found["both"], "pyvista.Plotter a view", found["plotter"], "", two)
    yield _row("render.views.driver", found["driver"], "pyvista.Plotter a view", found["plotter"], "", note)
    yield _beside_pyrender(scans, running, ours, rounds, note)


def _row(name: str, ours: Rate, peer: str, peers: Rate, target: str, note: str) -> Row:
    busy = f"a processor second: {ours.a_busy_second:.0f} against {peers.a_busy_second:.1f}"
    return Row(name, ours.a_second, "views/s", peer, peers.a_second, target, f"{note}; {busy}")


def _beside_pyrender(scans: Path, running: ExitStack, ours: Sequence[Drawer], rounds: int, note: str) -> Row:
    name = "render.views.pyrender"
    try:
        python = python_with(PYRENDER)
    except RuntimeError as error:
        return Row(name, None, "views/s", "pyrender", None, "≥10", f"pyrender could not be installed: {error}")
    peer = [Drawer(running, python, "pyrender_views.py", scans, SIZE)]
    found = _rates({"ours": (ours, 90), "pyrender": (peer, 12)}, rounds)
    return _row(name, found["ours"], "pyrender, one renderer kept", found["pyrender"], "≥10", note)


def _rates(drawers: dict[str, tuple[Sequence[Drawer], int]], rounds: int) -> dict[str, Rate]:
    """Median rates of each, turn by turn after a first round that is not counted.

    Raises:
        RuntimeError: If they do not draw the same face.
    """
    rates: dict[str, list[Rate]] = {name: [] for name in drawers}
    covered: dict[str, float] = {}
    for _ in range(rounds + 1):
        for name, (processes, views) in drawers.items():
            for process in processes:
                process.start(views)
            drawn = [process.wait() for process in processes]
            total = views * len(processes)
            rates[name].append(Rate(total / max(one.seconds for one in drawn), total / sum(one.busy for one in drawn)))
            covered[name] = drawn[0].covered
    if max(covered.values()) - min(covered.values()) > 0.02:
        raise RuntimeError(f"Not the same picture: {covered} of it is covered.")
    return {name: Rate(*map(statistics.median, zip(*values[1:], strict=True))) for name, values in rates.items()}


def _gpu(scans: Path, running: ExitStack, rounds: int) -> Row:
    """One process on the GPU that EGL offers."""
    drawer = Drawer(running, sys.executable, "our_views.py", scans, SIZE, "texture", "-1")
    drawer.start(VIEWS)
    try:
        device = drawer.wait().driver
    except RuntimeError as error:
        return Row("gpu.render", None, "views/s", target="≥400 a process", note=f"no OpenGL: {error}")
    if any(name in device for name in WITHOUT_A_GPU):
        return Row("gpu.render", None, "views/s", target="≥400 a process", note=f"no GPU: {device}")
    rate = _rates({"ours": ([drawer], 300)}, rounds)["ours"].a_second
    return Row("gpu.render", rate, "views/s", target="≥400 a process", note=f"{SIZE} px, one process", device=device)
