"""How closely scans are aligned by detected landmarks, by shape and by given landmarks; and at what cost.

Faces are generated: identities, expressions, scanner noise, holes and tracker errors as in the synthetic corpora,
turned by up to ±30° (yaw) and ±20° (pitch, roll), moved, half of them with neck, shoulders and hair, half of them
without what is turned away from the scanner. The generator's own head frame is the truth; what a method turns all faces
of a generator by alike is taken out (where "straight ahead" lies is a convention) and told in the note. Whatever was
tuned was tuned on other seeds.
"""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as with_changes

import numpy as np
from scipy.spatial.transform import Rotation

from affect4d.array_types import Faces, Pose, Vertices
from affect4d.pretrained_files import PretrainedModelMissingError
from affect4d.scans.alignment import Alignment, align, canonical_face
from affect4d.scans.geometry import apply_pose, keep_triangles, pose_of
from affect4d.scans.landmark_names import NAMED
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.face_model_and_skin_coordinates import HEIGHT, WIDTH
from affect4d.synthetic.generate_scans import Take, draw_subject, face_model, perform, takes
from affect4d.synthetic.recipe import CorpusRecipe, ScannerOptions
from affect4d.synthetic.scanner import scan_surface
from benchmarks.rows import Row, alternate

NAMES = ("align.procedural", "align.ict", "align.cost")
SUBJECTS, SCANS_EACH = 40, 4
QUICK_SUBJECTS = 6
SEEDS = {"procedural": 202, "ict_facekit": 404}
YAW, TILT = 30.0, 20.0
DENSE = 15_000
"""Vertices from which on a scan is as dense as BU-4DFE's, for the cost."""
WRONG = 15.0
"""Degrees from which on a pose is wrong, not inexact."""


@dataclass(frozen=True)
class Case:
    """A scan, and where its head really is.

    Attributes:
        scan: As a scanner and a tracker give it.
        head: Raw coordinates to the generator's own frame.
        tip: The tip of the nose, raw.
    """

    scan: FaceScan
    head: Pose
    tip: np.ndarray


@dataclass(frozen=True)
class Accuracy:
    """How closely poses were found.

    Attributes:
        median: Of the angle to the true pose, degrees.
        p95: Its 95th percentile.
        tip: Median distance of the nose tip from where it should be, mm.
        tip_p95: Its 95th percentile.
        wrong: Poses wrong by more than ``WRONG`` degrees.
        believed: How many of those had a confidence of a half or more.
        bias: The turn about x that all faces shared, degrees.
    """

    median: float
    p95: float
    tip: float
    tip_p95: float
    wrong: int
    believed: int
    bias: float


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """One row a generator, in degrees at the 95th percentile (less is better), and one of the cost."""
    ict = os.environ.get("AFFECT4D_ICT")
    for name, face in (("align.procedural", "procedural"), ("align.ict", "ict_facekit")):
        if not wanted(name):
            continue
        if face == "ict_facekit" and not ict:
            yield Row(name, None, "° at p95", note="no ICT-FaceKit clone: set AFFECT4D_ICT")
            continue
        cases = list(generated_cases(face, QUICK_SUBJECTS if quick else SUBJECTS, ict))
        bare = [with_changes(case.scan, landmarks=None) for case in cases]
        found = {"detected": accuracy(cases, [align(scan) for scan in bare])}
        with without_detector():
            found["shape"] = accuracy(cases, [align(scan) for scan in bare])
        found["landmarks"] = accuracy(cases, [align(case.scan) for case in cases])
        note = f"{len(cases)} scans; " + "; ".join(f"{name}: {_words(one)}" for name, one in found.items())
        yield Row(name, found["detected"].p95, "° at p95", "by 83 landmarks", found["landmarks"].p95, note=note)
    if wanted("align.cost"):
        yield _cost(5 if quick else 20)


@contextmanager
def without_detector() -> Iterator[None]:
    """Alignment as where no face detector is installed."""

    def missing(*_: object) -> None:
        raise PretrainedModelMissingError("left out")

    module = sys.modules[align.__module__]
    kept, module.detect_pose = module.detect_pose, missing
    try:
        yield
    finally:
        module.detect_pose = kept


def _words(one: Accuracy) -> str:
    wrong = f"{one.wrong} wrong, {one.believed} of them believed" if one.wrong else "none wrong"
    return (
        f"median {one.median:.1f}°, p95 {one.p95:.1f}°, nose tip {one.tip:.1f} mm ({one.tip_p95:.1f} at p95), "
        f"bias {one.bias:+.1f}°, {wrong}"
    )


def _cost(repeats: int) -> Row:
    scan = dense_scan()
    bare = with_changes(scan, landmarks=None)

    def canonicalise(one: FaceScan) -> None:
        canonical_face(one, align(one).pose, 95.0)

    detected, marks = alternate(lambda: canonicalise(bare), lambda: canonicalise(scan), repeats)
    note = f"{len(scan.vertices):,} vertices: alignment, crop and mesh repair"
    return Row("align.cost", 1000 * detected, "ms a scan", "by 83 landmarks", 1000 * marks, note=note)


def dense_scan() -> FaceScan:
    """A generated face without shoulders, about as dense as a scanner's."""
    scan = next(case.scan for case in generated_cases("procedural", 4, None) if np.ptp(case.scan.vertices[:, 0]) < 250)
    while len(scan.vertices) < DENSE:
        scan = refined(scan)
    return scan


def refined(scan: FaceScan) -> FaceScan:
    """The scan with every triangle cut into four."""
    edges = np.sort(scan.faces[:, [[1, 2], [2, 0], [0, 1]]], axis=2).reshape(-1, 2)
    unique, place = np.unique(edges, axis=0, return_inverse=True)
    middle = (place.reshape(-1, 3) + len(scan.vertices)).astype(np.int32)
    a, b, c = scan.faces.T
    opposite_a, opposite_b, opposite_c = middle.T
    corners = ((a, opposite_c, opposite_b), (b, opposite_a, opposite_c), (c, opposite_b, opposite_a), middle.T)
    faces = np.concatenate([np.stack(triangle, axis=1) for triangle in corners])
    vertices = np.concatenate([scan.vertices, scan.vertices[unique].mean(axis=1)])
    return FaceScan(vertices, faces, landmarks=scan.landmarks)


def accuracy(cases: list[Case], found: list[Alignment]) -> Accuracy:
    """Compare found poses with the true ones."""
    turns = Rotation.concatenate(
        [Rotation.from_matrix(one.pose[:3, :3] @ case.head[:3, :3].T) for case, one in zip(cases, found, strict=True)]
    )
    near = turns.magnitude() < np.radians(2 * WRONG)
    shared = turns[near].mean()
    angles = np.degrees((turns * shared.inv()).magnitude())
    tips = np.array([_tip(case, one) for case, one in zip(cases, found, strict=True)])
    offsets = np.linalg.norm(tips - np.median(tips, axis=0), axis=1)
    wrong = angles > WRONG
    return Accuracy(
        median=float(np.median(angles)),
        p95=float(np.percentile(angles, 95)),
        tip=float(np.median(offsets)),
        tip_p95=float(np.percentile(offsets, 95)),
        wrong=int(wrong.sum()),
        believed=int((wrong & (np.array([one.confidence for one in found]) >= 0.5)).sum()),
        bias=float(shared.as_rotvec(degrees=True)[0]),
    )


def _tip(case: Case, found: Alignment) -> np.ndarray:
    """Where the nose tip came to lie, less where it lies in the generator's frame."""
    return (found.pose[:3, :3] - case.head[:3, :3]) @ case.tip + found.pose[:3, 3] - case.head[:3, 3]


def generated_cases(face: str, subjects: int, ict: str | None, seed: int | None = None) -> Iterator[Case]:
    """Scans of that generator's people, ``SCANS_EACH`` of each."""
    still = {"pose_jitter_deg": 0.0, "pose_jitter_mm": 0.0, "pose_drift_deg": 0.0, "pose_drift_mm": 0.0}
    recipe = CorpusRecipe(
        face=face,
        ict_folder=ict,
        subjects=subjects,
        seed=SEEDS[face] if seed is None else seed,
        identity_spread=1.0,
        sensor=ScannerOptions(**still),
    )
    rng = np.random.default_rng([recipe.seed, 77])
    of_subject: dict[int, list[Take]] = {}
    for take in takes(recipe):
        of_subject.setdefault(take.subject, []).append(take)
    for own in of_subject.values():
        for place in rng.integers(len(own), size=SCANS_EACH):
            yield _case(recipe, own[place], rng)


def _case(recipe: CorpusRecipe, take: Take, rng: np.random.Generator) -> Case:
    track, conditions = perform(recipe, take)
    frame = int(rng.integers(len(track)))
    shape = draw_subject(recipe, take.subject).shape
    surface = face_model(recipe).surface(shape, track[frame], int(rng.integers(2**31)))
    scan = scan_surface(surface, np.zeros((HEIGHT, WIDTH, 3), np.uint8), conditions, frame, rng, recipe.sensor)
    bare = FaceScan(scan.vertices, scan.faces, landmarks=scan.landmarks)
    if rng.random() < 0.5:
        bare = joined_with_shoulders(bare, rng)
    away, turn = rng.uniform(-300, 300, 3), rng.uniform(-1, 1, 3) * (YAW, TILT, TILT)
    motion = pose_of(Rotation.from_euler("yxz", turn, degrees=True).as_matrix(), away)
    moved = with_changes(bare, vertices=apply_pose(bare.vertices, motion), landmarks=apply_pose(bare.landmarks, motion))
    tip = apply_pose(surface.landmarks[[NAMED["nose_tip"]]], motion)[0].astype(float)
    seen = _facing_scanner(moved) if rng.random() < 0.5 else moved
    return Case(seen, np.linalg.inv(motion), tip)


def _facing_scanner(scan: FaceScan) -> FaceScan:
    """The scan without the triangles that look away from the scanner, at +z."""
    first, second, third = (scan.vertices[scan.faces[:, corner]] for corner in range(3))
    normals = np.cross(second - first, third - first)
    return keep_triangles(scan, normals[:, 2] > 0.1 * np.linalg.norm(normals, axis=1))


def joined_with_shoulders(scan: FaceScan, rng: np.random.Generator) -> FaceScan:
    """The face with neck, shoulders and hair."""
    return _joined(scan, [*shoulders(rng), _hair(rng)])


def _joined(scan: FaceScan, sheets: list[np.ndarray]) -> FaceScan:
    """The scan with grids of points [rows, columns, 3] joined to it as surfaces."""
    vertices: list[Vertices] = [scan.vertices]
    faces: list[Faces] = [scan.faces]
    for sheet in sheets:
        first = sum(map(len, vertices))
        vertices.append(sheet.reshape(-1, 3).astype(np.float32))
        faces.append(_grid(*sheet.shape[:2]) + np.int32(first))
    return with_changes(scan, vertices=np.concatenate(vertices), faces=np.concatenate(faces))


def grid_surface(sheets: list[np.ndarray]) -> FaceScan:
    """Grids of points [rows, columns, 3] as one scan."""
    empty = FaceScan(np.empty((0, 3), np.float32), np.empty((0, 3), np.int32))
    return _joined(empty, sheets)


@functools.cache
def _grid(rows_: int, columns: int) -> Faces:
    corner = np.arange(rows_ * columns, dtype=np.int32).reshape(rows_, columns)
    a, b, c, d = (part.ravel() for part in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]))
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def shoulders(rng: np.random.Generator) -> list[np.ndarray]:
    """A neck and shoulders of random size."""
    turn, height = np.meshgrid(np.arange(-1.2, 1.2, 0.07), np.arange(-190, -75, 4.0))
    radius, back = rng.uniform(50, 65), rng.uniform(105, 125)
    neck = np.stack([radius * np.sin(turn), height, radius * np.cos(turn) - back], axis=-1)
    x, y = np.meshgrid(np.arange(-220, 220, 8.0), np.arange(-330, -150, 8.0))
    depth = -120 + rng.uniform(20, 50) * np.exp(-(((y + 260) / 120) ** 2)) - (x / 220) ** 2 * rng.uniform(40, 90)
    torso = np.stack([x, y - 0.25 * np.abs(x), depth - 0.8 * np.clip(y + 190, 0, None)], axis=-1)
    return [neck, torso]


def _hair(rng: np.random.Generator) -> np.ndarray:
    """A bumpy cap over forehead and skull."""
    turn, rise = np.meshgrid(np.arange(-1.7, 1.7, 0.045), np.arange(0.45, 1.4, 0.045))
    wide, high, deep = rng.uniform((82, 85, 90), (95, 100, 115))
    waves = np.sin(turn * rng.uniform(5, 12)) * np.sin(rise * rng.uniform(5, 12))
    bumps = 1 + 0.05 * waves + 0.02 * rng.normal(size=turn.shape)
    return np.stack(
        [
            wide * bumps * np.cos(rise) * np.sin(turn),
            20 + high * bumps * np.sin(rise),
            deep * bumps * np.cos(rise) * np.cos(turn) - 100,
        ],
        axis=-1,
    )
