"""How rightly heads of every kind are posed without landmark files, how still takes are, and what is no face.

``python -m benchmarks align.heads`` over 2,000 heads, ``--quick`` over 60; ``python -m benchmarks.poses 400`` over any
number. Half of the heads stand upright in their file (yaw within ±30°, pitch and roll within ±20°). What all heads of a
generator share is a convention and is taken out. Times are of the process (CPU), the search for a second face included.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as with_changes

import numpy as np
from scipy.spatial.transform import Rotation

from affect4d.scans.alignment import TRUSTED, Alignment, TakeAligner, align
from affect4d.scans.alignment.align import UNITS
from affect4d.scans.scan import FaceScan
from affect4d.synthetic import generate_scans
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from benchmarks.alignment import WRONG
from benchmarks.heads import Head, heads_of, objects_of
from benchmarks.rows import Row

NAMES = ("align.heads", "align.takes", "align.objects")
HEADS, QUICK_HEADS = 2_000, 60
OBJECTS, QUICK_OBJECTS = 100, 10
TAKES, QUICK_TAKES = 12, 2
FRAMES = 25
"""Frames of a take, at 25 a second."""
SEED = 9101
"""Of what is measured here; nothing was tuned on these heads."""


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Degrees at the 95th percentile, degrees from frame to frame, and objects that are believed to be faces."""
    ict = os.environ.get("AFFECT4D_ICT")
    if wanted("align.heads"):
        yield heads_row(QUICK_HEADS if quick else HEADS, ict)
    if wanted("align.takes"):
        yield takes_row(QUICK_TAKES if quick else TAKES, ict)
    if wanted("align.objects"):
        yield objects_row(QUICK_OBJECTS if quick else OBJECTS, ict)


@dataclass
class Poses:
    """What was found of some heads, one entry a head: the error's rotation vector (degrees; NaN: refused)."""

    generators: list[str] = field(default_factory=list)
    upright: list[bool] = field(default_factory=list)
    errors: list[np.ndarray] = field(default_factory=list)
    believed: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, head: Head, found: Alignment | None, seconds: float) -> None:
        """Add what was found of a head; None: it was refused."""
        self.generators.append(head.kind.split()[0])
        self.upright.append(head.position == "upright")
        self.errors.append(np.full(3, np.nan) if found is None else _error(head, found))
        self.believed.append(found is not None and found.confidence >= TRUSTED)
        self.seconds.append(seconds)

    def angles(self) -> np.ndarray:
        """Degrees between found and true poses, less what a generator's heads share; NaN where refused."""
        errors, generators = np.array(self.errors), np.array(self.generators)
        angles = np.full(len(errors), np.nan)
        for generator in set(self.generators):
            own = (generators == generator) & np.isfinite(errors[:, 0])
            turns = Rotation.from_rotvec(errors[own], degrees=True)
            shared = turns[turns.magnitude() < np.radians(2 * WRONG)].mean()
            angles[own] = np.degrees((turns * shared.inv()).magnitude())
        return angles


def _error(head: Head, found: Alignment) -> np.ndarray:
    rotation = found.pose[:3, :3] / UNITS[found.unit]
    return np.asarray(Rotation.from_matrix(rotation @ head.truth[:3, :3].T).as_rotvec(degrees=True))


def heads_row(count: int, ict: str | None) -> Row:
    """Errors and times over heads of every kind."""
    poses = Poses()
    for head in heads_of(count, SEED, ict):
        begun = time.process_time()
        try:
            found = align(head.scan)
        except ValueError:
            found = None
        poses.add(head, found, time.process_time() - begun)
    angles, believed, upright = poses.angles(), np.array(poses.believed), np.array(poses.upright)
    milliseconds, right, placed = 1000 * np.array(poses.seconds), angles <= WRONG, np.isfinite(angles)
    note = (
        f"{count} heads: median {np.median(angles[right]):.1f}°; {np.sum(~right)} wrong by >{WRONG:.0f}° or refused "
        f"({np.mean(~right):.1%}), {np.sum(placed & ~right & believed)} believed; of the right ones "
        f"{np.mean(believed[right]):.1%} believed; of those turned in their file {np.mean(right[~upright]):.1%} found; "
        f"{_times(milliseconds[upright])} upright, {_times(milliseconds[~upright])} turned"
    )
    return Row(
        "align.heads", float(np.percentile(angles[right], 95)), "° at p95", target="≤5; none believed", note=note
    )


def _times(milliseconds: np.ndarray) -> str:
    return f"{np.median(milliseconds):.0f} ms (p95 {np.percentile(milliseconds, 95):.0f})"


def takes_row(count: int, ict: str | None) -> Row:
    """How far poses turn against the head from one frame of a take to the next; by detection alone beside it."""
    tracked, alone = [], []
    for number in range(count):
        frames = list(_frames(number, ict))
        aligner = TakeAligner()
        tracked += _steps(frames, [aligner.align(scan) for scan, _ in frames])
        alone += _steps(frames[:5], [align(scan) for scan, _ in frames[:5]])
    note = (
        f"{count} takes of {FRAMES} frames, 25 fps: median {np.median(tracked):.2f}°, at most {max(tracked):.2f}°; "
        f"frame by frame: median {np.median(alone):.2f}°, p95 {np.percentile(alone, 95):.2f}°"
    )
    p95 = float(np.percentile(tracked, 95))
    return Row("align.takes", p95, "° a frame at p95", target="≤0.3", note=note)


def _steps(frames: list[tuple[FaceScan, np.ndarray]], found: list[Alignment]) -> list[float]:
    rotations = [one.pose[:3, :3] @ turn for one, (_, turn) in zip(found, frames, strict=True)]
    turns = Rotation.from_matrix(rotations)
    return list(np.degrees((turns[1:] * turns[:-1].inv()).magnitude()))


def _frames(number: int, ict: str | None) -> Iterator[tuple[FaceScan, np.ndarray]]:
    """Scans of a take in which head and face move, and the head's rotation in each."""
    recipe = CorpusRecipe(
        face="ict_facekit" if ict and number % 2 else "procedural",
        ict_folder=ict,
        subjects=number // 2 + 1,
        seed=SEED,
        identity_spread=1.0,
        performances=PerformanceOptions(frames=None),
    )
    own = [take for take in generate_scans.takes(recipe) if take.subject == number // 2]
    take = own[number % len(own)]
    _, conditions = generate_scans.perform(recipe, take)
    for frame in range(FRAMES):
        scan = generate_scans.scan_frame(recipe, take, frame)
        turn = Rotation.from_rotvec(conditions.turns[frame], degrees=True).as_matrix()
        yield with_changes(scan, landmarks=None, texture=None), turn


def objects_row(count: int, ict: str | None) -> Row:
    """Things that are no faces: how many are believed, and how long their refusal takes."""
    believed: Counter[str] = Counter()
    seconds = []
    for name, scan in objects_of(count, SEED, ict):
        begun = time.process_time()
        try:
            believed[name] += align(scan).confidence >= TRUSTED
        except ValueError:
            believed[name] += 0
        seconds.append(time.process_time() - begun)
    kinds = ", ".join(believed)
    note = f"{count} of: {kinds}; refused or doubted in {np.median(seconds):.1f} s, at most {max(seconds):.1f} s"
    return Row("align.objects", float(sum(believed.values())), "believed", target="0", note=note)


if __name__ == "__main__":
    chosen = int(sys.argv[1])
    folder = os.environ.get("AFFECT4D_ICT")
    for row in (heads_row(chosen, folder), takes_row(TAKES, folder), objects_row(50, folder)):
        print(f"{row.name}: {row.value:.3g} {row.unit}; {row.note}", flush=True)
