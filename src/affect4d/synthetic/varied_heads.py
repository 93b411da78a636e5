"""Heads of many kinds with exact landmarks: both face models, varied beyond what either of them spans.

Shells and whole heads, with and without eyeballs, teeth, hair, neck and shoulders; holes, noise, cut edges; identities
bent by smooth random fields and stretched along each axis, landmarks along with the surface.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from affect4d.array_types import Faces, Landmarks, Vertices
from affect4d.scans.expression import EXPRESSIONS
from affect4d.synthetic.action_units import ACTION_UNITS, ActionWeights
from affect4d.synthetic.face_model_and_skin_coordinates import (
    Blendshapes,
    FaceSurface,
    SpacePoints,
    blendshapes,
    front_of_eyeball,
    mouth_grid,
)
from affect4d.synthetic.ict_facekit import (
    IBUG,
    IctFace,
    displacements_of,
    mode_files,
    model_folder,
    read_vertices,
    unit_shape,
)
from affect4d.synthetic.procedural_face import ProceduralFace
from affect4d.synthetic.recipe import ActionUnitOptions
from affect4d.synthetic.scanner import smooth_field, surface_noise
from affect4d.synthetic.subject_appearance_and_expressive_style import (
    STRONGEST,
    IdentityShape,
    apex_weights,
    draw_style,
)

GENERATORS = ("procedural", "ict_facekit")
SKIN_MATERIALS = ("M_Face", "M_BackHead")
EYE_MATERIALS = ("M_ScleraLeft", "M_IrisLeft", "M_ScleraRight", "M_IrisRight")
MOUTH_MATERIALS = ("M_GumsTongue", "M_Teeth")


@dataclass(frozen=True)
class VariedHead:
    """A head in the face model's own frame, mm."""

    vertices: Vertices
    faces: Faces
    landmarks: Landmarks


@dataclass(frozen=True)
class Variation:
    """Everything about a head but identity and expression; the same for all scans of one subject."""

    seed: int
    whole: bool  # the face model's whole head where it has one
    stretch: Float64[np.ndarray, "3"]
    bend: float  # spread of the smooth displacement, mm
    bend_length: float  # its correlation length, mm
    noise: float  # mm
    eyeballs: bool
    teeth: bool
    holes: int
    cut: float  # radius around the nose tip, mm, at which the surface ends
    shell: bool  # without what is turned away from the scanner
    hair: bool
    neck: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, strength: float = 1.0) -> "Variation":
        """A random variation; ``strength`` 0 leaves the face model's shape as it is."""
        return cls(
            seed=int(rng.integers(2**31)),
            whole=rng.random() < 0.5,
            stretch=np.exp(strength * np.clip(rng.normal(0, 0.05, 3), -0.12, 0.12)),
            bend=strength * rng.uniform(0.0, 3.0),
            bend_length=rng.uniform(20.0, 60.0),
            noise=rng.uniform(0.0, 0.6),
            eyeballs=rng.random() < 0.7,
            teeth=rng.random() < 0.7,
            holes=int(rng.integers(0, 5)),
            cut=rng.uniform(95.0, 135.0) if rng.random() < 0.4 else np.inf,
            shell=rng.random() < 0.5,
            hair=rng.random() < 0.4,
            neck=rng.random() < 0.4,
        )


@functools.cache
def head_model(generator: str, ict_folder: str | None) -> ProceduralFace | IctFace:
    """The face model of that name."""
    return ProceduralFace() if generator == "procedural" else IctFace(ict_folder)


def draw_weights(rng: np.random.Generator, neutral: float = 0.2) -> ActionWeights:
    """Random action units: none (by the chance ``neutral``), an emotion's up to full strength, or any mixture."""
    weights, options = np.zeros(len(ACTION_UNITS)), ActionUnitOptions()
    kind = rng.random()
    if kind < neutral:
        return weights
    if kind < 0.6:
        emotion = EXPRESSIONS[int(rng.integers(len(EXPRESSIONS)))]
        weights = apex_weights(draw_style(rng, options).posed(emotion), rng.uniform(0.3, 1.1), rng, options)
    else:
        weights = np.where(rng.random(len(weights)) < 0.15, rng.uniform(0.0, 1.1, len(weights)), 0.0)
    for unit, chance, low in (("AU26", 0.2, 0.1), ("jaw_left", 0.08, -1.0), ("mouth_left", 0.08, -1.0)):
        if rng.random() < chance:
            weights[ACTION_UNITS.index(unit)] = rng.uniform(low, 1.0)
    if rng.random() < 0.12:
        weights[[ACTION_UNITS.index("AU45_L"), ACTION_UNITS.index("AU45_R")]] = rng.uniform(0.3, 1.0)
    for unit in ("gaze_left", "gaze_up"):
        weights[ACTION_UNITS.index(unit)] = rng.normal(0.0, 0.4)
    return np.clip(weights, -1.0, STRONGEST)


def make_head(
    generator: str, ict_folder: str | None, shape: IdentityShape, weights: ActionWeights, variation: Variation
) -> VariedHead:
    """A head of that identity, expression and variation."""
    rng = np.random.default_rng([variation.seed, 5])
    model = head_model(generator, ict_folder)
    surface = model.surface(shape, weights, int(rng.integers(2**20)))
    vertices, faces = _parts(surface, generator, ict_folder, shape, weights, variation)
    points = np.concatenate([vertices, surface.landmarks]).astype(np.float64) * variation.stretch
    points += variation.bend * smooth_field(points, variation.bend_length, rng)
    points, landmarks = points[: len(vertices)], points[len(vertices) :]
    points += surface_noise(points, variation.noise, 7.0, rng)
    kept = _kept(points, faces, landmarks, variation, rng)
    sheets = ([_hair(rng)] if variation.hair else []) + ([_neck(rng), _torso(rng)] if variation.neck else [])
    joined, triangles = _joined(points.astype(np.float32), faces[kept], sheets)
    return VariedHead(joined, triangles, landmarks.astype(np.float32))


def _parts(
    surface: FaceSurface,
    generator: str,
    ict_folder: str | None,
    shape: IdentityShape,
    weights: ActionWeights,
    variation: Variation,
) -> tuple[Vertices, Faces]:
    if generator == "ict_facekit" and variation.whole:
        shapes, parts = whole_head_model(model_folder(ict_folder))
        wanted = (SKIN_MATERIALS, EYE_MATERIALS * variation.eyeballs, MOUTH_MATERIALS * variation.teeth)
        return shapes.place(shape, weights), np.concatenate([parts[name] for name in itertools.chain(*wanted)])
    eyes, mouth = 2 * len(front_of_eyeball()[0]), len(mouth_grid()[0])
    first_eye = len(surface.vertices) - eyes
    corner = surface.faces.max(axis=1)
    eye, tooth = corner >= first_eye, (corner >= first_eye - mouth) & (corner < first_eye)
    kept = (variation.eyeballs | ~eye) & (variation.teeth | ~tooth)
    return surface.vertices, surface.faces[kept]


@functools.cache
def whole_head_model(folder: Path) -> tuple[Blendshapes, dict[str, Faces]]:
    """ICT-FaceKit's head as published, nose tip at the origin, and its triangles by material; the eyes do not turn."""
    path = folder / "generic_neutral_mesh.obj"
    neutral, name = read_vertices(path), ""
    triangles: dict[str, list[list[int]]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("usemtl"):
            name = line.split()[1]
        elif line.startswith("f "):
            first, *rest = (int(corner.split("/")[0]) - 1 for corner in line.split()[1:])
            triangles.setdefault(name, []).extend([first, *pair] for pair in itertools.pairwise(rest))
    modes = np.stack([displacements_of(mode, neutral) for mode in mode_files(folder)])
    actions = np.stack([unit_shape(folder, neutral, unit) for unit in ACTION_UNITS])
    shapes = blendshapes(neutral - neutral[IBUG[30]], modes, actions)
    return shapes, {name: np.array(rows, np.int32) for name, rows in triangles.items()}


def _kept(
    points: SpacePoints, faces: Faces, landmarks: SpacePoints, variation: Variation, rng: np.random.Generator
) -> np.ndarray:
    """Triangles left by cuts and holes."""
    corners = points[faces]
    centres = corners.mean(axis=1)
    kept = np.linalg.norm(centres - landmarks[47], axis=1) < variation.cut
    for _ in range(variation.holes):
        middle = centres[rng.integers(len(centres))]
        kept &= np.linalg.norm(centres - middle, axis=1) > rng.uniform(2.5, 11.0)
    if variation.shell:
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        kept &= normals[:, 2] > 0.1 * np.linalg.norm(normals, axis=1)
    return np.asarray(kept)


def _joined(vertices: Vertices, faces: Faces, sheets: Sequence[SpacePoints]) -> tuple[Vertices, Faces]:
    """The surface with grids of points [rows, columns, 3] joined to it."""
    points, triangles = [vertices], [faces]
    for sheet in sheets:
        first = sum(map(len, points))
        points.append(sheet.reshape(-1, 3).astype(np.float32))
        triangles.append(_grid(*sheet.shape[:2]) + np.int32(first))
    return np.concatenate(points), np.concatenate(triangles)


def _grid(rows: int, columns: int) -> Faces:
    corner = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]))
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def _neck(rng: np.random.Generator) -> SpacePoints:
    turn, height = np.meshgrid(np.arange(-1.2, 1.2, 0.1), np.arange(-190, -75, 6.0))
    radius, back = rng.uniform(50, 65), rng.uniform(105, 125)
    return np.stack([radius * np.sin(turn), height, radius * np.cos(turn) - back], axis=-1)


def _torso(rng: np.random.Generator) -> SpacePoints:
    x, y = np.meshgrid(np.arange(-220, 220, 12.0), np.arange(-330, -150, 12.0))
    depth = -120 + rng.uniform(20, 50) * np.exp(-(((y + 260) / 120) ** 2)) - (x / 220) ** 2 * rng.uniform(40, 90)
    return np.stack([x, y - 0.25 * np.abs(x), depth - 0.8 * np.clip(y + 190, 0, None)], axis=-1)


def _hair(rng: np.random.Generator) -> SpacePoints:
    """A bumpy cap over forehead and skull."""
    turn, rise = np.meshgrid(np.arange(-1.7, 1.7, 0.06), np.arange(0.45, 1.4, 0.06))
    wide, high, deep = rng.uniform((78, 82, 88), (95, 100, 112))
    waves = np.sin(turn * rng.uniform(5, 12)) * np.sin(rise * rng.uniform(5, 12))
    bumps = 1 + 0.05 * waves + 0.02 * rng.normal(size=turn.shape)
    x, y = wide * np.cos(rise) * np.sin(turn), high * np.sin(rise)
    return np.stack([x * bumps, 20 + y * bumps, deep * bumps * np.cos(rise) * np.cos(turn) - 100], axis=-1)
