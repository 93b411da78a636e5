"""Synthetic heads of every kind, without landmark files, and where each head really is.

Faces of both generators as front shells, with neck, shoulders and hair, and ICT-FaceKit's whole heads; 1,000 to 100,000
vertices, white noise, holes, any unit, upright or turned in the file. The truth is the rigid fit of the subject's
neutral face onto the generator's mean one, vertex by vertex: expressions do not move it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from affect4d.array_types import Pose
from affect4d.scans.alignment.align import UNITS
from affect4d.scans.geometry import apply_pose, fit_points, keep_triangles, pose_of
from affect4d.scans.scan import FaceScan
from affect4d.synthetic import ict_facekit
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.generate_scans import face_model
from affect4d.synthetic.recipe import CorpusRecipe
from affect4d.synthetic.varied_heads import EYE_MATERIALS, MOUTH_MATERIALS, SKIN_MATERIALS, whole_head_model

KINDS = ("procedural shell", "procedural with shoulders", "ict shell", "ict with shoulders", "ict whole head")
POSITIONS = ("upright", "upside down", "on its side", "back to front", "on its back", "at random")
FEWEST, MOST = 1_000, 100_000
WHITE_NOISE = 0.6
"""Greatest spread of the white noise, mm."""
YAW, TILT = 30.0, 20.0
"""Greatest turns of an upright head, and of the others beside their position, degrees."""


@dataclass(frozen=True)
class Head:
    """A scan without landmarks and the rigid motion from its millimetres to the frame of the generator's mean face."""

    scan: FaceScan
    truth: Pose
    kind: str
    position: str
    unit: str


def heads_of(count: int, seed: int, ict: str | None, kinds: Sequence[str] = KINDS) -> Iterator[Head]:
    """That many heads, kinds and positions in turn; half of them upright. Without ICT-FaceKit, procedural ones."""
    usable = [kind for kind in kinds if ict or not kind.startswith("ict")]
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        turned = POSITIONS[1 + number // 2 % (len(POSITIONS) - 1)]
        position = turned if number % 2 else POSITIONS[0]
        yield _head(usable[number // 2 % len(usable)], position, ict, rng)


def _head(kind: str, position: str, ict: str | None, rng: np.random.Generator) -> Head:
    from benchmarks.alignment import joined_with_shoulders

    whole = kind == "ict whole head"
    scan, truth = _whole_head(ict, rng) if whole else _shell(kind.split()[0], ict, rng)
    scan = resampled(scan, int(np.exp(rng.uniform(np.log(FEWEST * (1 + 2 * whole)), np.log(MOST)))))
    if kind.endswith("shoulders"):
        scan = joined_with_shoulders(scan, rng)
    scan = _with_holes(scan, rng)
    noise = rng.uniform(0, WHITE_NOISE) * rng.normal(size=scan.vertices.shape)
    motion = pose_of(_position(position, rng).as_matrix(), rng.uniform(-300, 300, 3))
    unit = str(rng.choice(list(UNITS)))
    vertices = apply_pose((scan.vertices + noise).astype(np.float32), motion) / np.float32(UNITS[unit])
    return Head(FaceScan(vertices, scan.faces), truth @ np.linalg.inv(motion), kind, position, unit)


def _position(position: str, rng: np.random.Generator) -> Rotation:
    side = rng.choice([-90.0, 90.0])
    angles = {
        "upside down": ("z", 180.0),
        "on its side": ("z", side),
        "back to front": ("y", 180.0),
        "on its back": ("x", side),
    }
    if position == "at random":
        return Rotation.random(random_state=rng)
    turn = Rotation.from_euler("yxz", rng.uniform(-1, 1, 3) * (YAW, TILT, TILT), degrees=True)
    return Rotation.from_euler(*angles.get(position, ("x", 0.0)), degrees=True) * turn


def random_weights(rng: np.random.Generator) -> np.ndarray:
    """Action-unit weights: a third of the faces at rest, the others with some units of any strength."""
    if rng.random() < 1 / 3:
        return np.zeros(len(ACTION_UNITS))
    return np.asarray(rng.uniform(0, 1, len(ACTION_UNITS)) * (rng.random(len(ACTION_UNITS)) < 0.15))


def _shell(generator: str, ict: str | None, rng: np.random.Generator) -> tuple[FaceScan, Pose]:
    face = "procedural" if generator == "procedural" else "ict_facekit"
    model = face_model(CorpusRecipe(face=face, ict_folder=ict))
    shape, rest = rng.normal(size=model.shape_count), np.zeros(len(ACTION_UNITS))
    surface = model.surface(shape, random_weights(rng), int(rng.integers(2**20)))
    truth = _rigid(model.surface(shape, rest, 0).vertices, model.surface(0 * shape, rest, 0).vertices)
    return FaceScan(surface.vertices, surface.faces), truth


def _rigid(points: np.ndarray, targets: np.ndarray) -> Pose:
    rotation, _, shift = fit_points(points.astype(float), targets.astype(float), np.ones(len(points)))
    return pose_of(rotation, shift)


def _whole_head(ict: str | None, rng: np.random.Generator) -> tuple[FaceScan, Pose]:
    shapes, parts = whole_head_model(ict_facekit.model_folder(ict))
    shape, rest = rng.normal(size=len(shapes.identity)), np.zeros(len(ACTION_UNITS))
    face = slice(0, ict_facekit.FACE_VERTICES)
    truth = _rigid(shapes.place(shape, rest)[face], shapes.place(0 * shape, rest)[face])
    faces = np.concatenate([parts[name] for name in (*SKIN_MATERIALS, *EYE_MATERIALS, *MOUTH_MATERIALS)])
    whole = FaceScan(shapes.place(shape, random_weights(rng)).astype(np.float32), faces)
    return keep_triangles(whole, np.ones(len(faces), bool)), truth


def resampled(scan: FaceScan, count: int) -> FaceScan:
    """The scan with about that many vertices: triangles cut into four, then vertices joined in cubes."""
    from benchmarks.alignment import refined

    while len(scan.vertices) < count:
        scan = refined(scan)
    if len(scan.vertices) < 1.3 * count:
        return scan
    area = np.linalg.norm(_crosses(scan), axis=1).sum() / 2
    cells = np.floor(scan.vertices / np.sqrt(1.2 * area / count)).astype(np.int64)
    _, place = np.unique(cells, axis=0, return_inverse=True)
    place = place.ravel()
    sums = np.stack([np.bincount(place, column) for column in scan.vertices.T], axis=1)
    faces = place[scan.faces].astype(np.int32)
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return FaceScan((sums / np.bincount(place)[:, None]).astype(np.float32), faces[proper])


def _crosses(scan: FaceScan) -> np.ndarray:
    first, second, third = (scan.vertices[scan.faces[:, corner]] for corner in range(3))
    return np.cross(second - first, third - first)


def _with_holes(scan: FaceScan, rng: np.random.Generator) -> FaceScan:
    kept = np.ones(len(scan.vertices), bool)
    for _ in range(rng.poisson(1.5)):
        centre = scan.vertices[rng.integers(len(scan.vertices))]
        kept &= np.linalg.norm(scan.vertices - centre, axis=1) > rng.uniform(3, 12)
    return keep_triangles(scan, kept[scan.faces].all(axis=1))


OBJECTS = ("ball", "cup", "sheet", "torso", "back of a head")


def objects_of(count: int, seed: int, ict: str | None) -> Iterator[tuple[str, FaceScan]]:
    """Scans of things that are no faces, upright and turned, with white noise."""
    usable = [name for name in OBJECTS if ict or name != "back of a head"]
    for number in range(count):
        rng = np.random.default_rng([seed, number, 1])
        name = usable[number % len(usable)]
        scan = _object(name, ict, rng)
        motion = pose_of(_position(POSITIONS[number % 2 * 5], rng).as_matrix(), rng.uniform(-300, 300, 3))
        noise = rng.uniform(0, WHITE_NOISE) * rng.normal(size=scan.vertices.shape)
        yield name, FaceScan(apply_pose((scan.vertices + noise).astype(np.float32), motion), scan.faces)


def _object(name: str, ict: str | None, rng: np.random.Generator) -> FaceScan:
    from benchmarks.alignment import grid_surface, shoulders

    if name == "torso":
        return grid_surface(shoulders(rng))
    if name == "back of a head":
        head, _ = _whole_head(ict, rng)
        return keep_triangles(head, (head.vertices[:, 2] < -90)[head.faces].all(axis=1))
    turn, rise = np.meshgrid(np.linspace(-np.pi, np.pi, 90), np.linspace(-1.5, 1.5, 60))
    if name == "sheet":
        across, up = 40 * turn, 90 * rise
        return grid_surface([np.stack([across, up, rng.uniform(0, 12) * np.sin(across / rng.uniform(8, 60))], -1)])
    waves = np.sin(turn * rng.integers(1, 9)) * np.sin(rise * rng.uniform(1, 12) + rng.uniform(0, 3))
    radius = rng.uniform(60, 110) * (1 + rng.uniform(0, 0.08) * waves)
    level = np.cos(rise) if name == "ball" else np.clip((1.5 - np.abs(rise)) * 20, 0, 1) ** 0.5
    height = np.sin(rise) if name == "ball" else 0.7 * rise
    directions = np.stack([level * np.sin(turn), height * rng.uniform(0.8, 1.4), level * np.cos(turn)], -1)
    return grid_surface([radius[..., None] * directions])
