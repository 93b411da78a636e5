"""How closely the 83 landmarks are found on scans without landmark files, how much of a movement, and at what cost.

Heads are those of the network's training, of other subjects and in the face models' own shapes: neutral first, then
with expressions. Poses are those of ``align``.
"""

import os
from collections.abc import Callable, Iterator

import numpy as np

from affect4d.scans.alignment import align
from affect4d.scans.alignment.landmark_network import find_landmarks
from affect4d.scans.alignment.mean_face import MEAN_LANDMARKS
from affect4d.scans.geometry import apply_pose
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.varied_heads import Variation, VariedHead, draw_weights, head_model, make_head
from benchmarks.rows import Row, alternate

NAMES = ("landmarks.procedural", "landmarks.ict", "landmarks.cost")
SEED = 3
SUBJECTS, QUICK_SUBJECTS = 40, 6
FRAMES = 3  # expressions of a subject beside the neutral scan


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Median error on each generator, beside that of the mean face in the same pose; and the cost."""
    ict = os.environ.get("AFFECT4D_ICT")
    for name, generator in (("landmarks.procedural", "procedural"), ("landmarks.ict", "ict_facekit")):
        if not wanted(name):
            continue
        if generator == "ict_facekit" and not ict:
            yield Row(name, None, "mm, median", note="no ICT-FaceKit clone: set AFFECT4D_ICT")
            continue
        yield _accuracy(name, [_subject(generator, ict, i) for i in range(QUICK_SUBJECTS if quick else SUBJECTS)])
    if wanted("landmarks.cost"):
        yield _cost(_subject("procedural", None, 0)[0], 5 if quick else 20)


def _subject(generator: str, ict: str | None, index: int) -> list[VariedHead]:
    """Scans of one subject, the neutral one first."""
    rng = np.random.default_rng([SEED, index])
    shape = rng.normal(size=head_model(generator, ict).shape_count)
    variation = Variation.draw(rng, strength=0.0)
    weights = [draw_weights(rng, neutral=float(frame == 0)) for frame in range(FRAMES + 1)]
    return [make_head(generator, ict, shape, each, variation) for each in weights]


def _accuracy(name: str, subjects: list[list[VariedHead]]) -> Row:
    errors, mean_errors, found_moves, true_moves, refused = [], [], [], [], 0
    for heads in subjects:
        alignments = [align(FaceScan(head.vertices, head.faces)) for head in heads]
        refused += sum(one.landmarks is None for one in alignments)
        neutral: tuple[np.ndarray, np.ndarray] | None = None
        for place, (head, one) in enumerate(zip(heads, alignments, strict=True)):
            if one.landmarks is None:
                continue
            own = np.linalg.inv(one.pose)
            found = apply_pose(one.landmarks, own)
            errors.append(np.linalg.norm(found - head.landmarks, axis=1))
            mean_errors.append(np.linalg.norm(apply_pose(MEAN_LANDMARKS, own) - head.landmarks, axis=1))
            if place == 0:
                neutral = found, head.landmarks
            elif neutral is not None:
                found_moves.append((found - neutral[0]).ravel())
                true_moves.append((head.landmarks - neutral[1]).ravel())
    found_move, true_move = np.concatenate(found_moves), np.concatenate(true_moves)
    note = (
        f"{len(errors)} scans, {refused} more refused; {np.percentile(errors, 95):.1f} mm at p95; "
        f"gain of movement {found_move @ true_move / (true_move @ true_move):.2f}"
    )
    return Row(name, float(np.median(errors)), "mm, median", "mean face", float(np.median(mean_errors)), "–", note)


def _cost(head: VariedHead, repeats: int) -> Row:
    scan = FaceScan(head.vertices, head.faces)
    pose = align(scan).pose
    placed = apply_pose(scan.vertices, pose)
    ours, whole = alternate(lambda: find_landmarks(placed, scan.faces), lambda: align(scan), repeats)
    note = f"{len(scan.vertices):,} vertices"
    return Row(
        "landmarks.cost", 1000 * ours, "ms a scan", "alignment, landmarks included", 1000 * whole, "≤15 ms", note
    )
