"""What subjects vary beyond a face model: shape, expression basis, back of the head, hair, beard and glasses [ours].

Everything is a function of one frame's surface and the same subject's neutral one, so that it serves every face model.
Landmarks move with the skin. Hair, beard and glasses are geometry; they belong to the subject, in every take.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Float64, Int64

from affect4d.array_types import Faces
from affect4d.synthetic.face_model_and_skin_coordinates import (
    HEIGHT,
    MOUTH,
    P_HALF,
    Q_HIGH,
    Q_LOW,
    STRIP,
    FaceSurface,
    MaterialPoints,
    PointScalars,
    SpacePoints,
    eye_coordinates,
    sigmoid,
    skin_coordinates,
)
from affect4d.synthetic.recipe import VarietyOptions
from affect4d.synthetic.scanner import smooth_field
from affect4d.synthetic.subject_appearance_and_expressive_style import Appearance

SHAPE_MM = 3.0  # root mean square of the non-rigid displacement along each axis at ``shape`` 1
SHAPE_LENGTHS_MM = (35.0, 80.0)  # its correlation lengths
AMPLITUDE, TURN = 0.35, 0.25  # log spread of a movement's amplitude, and its turn in radians, at ``expression`` 1
EXPRESSION_LENGTH_MM = 30.0
HEAD_MIDDLE = np.array([0.0, 0.0, -90.0])  # mm from the tip of the nose; hair and beard grow away from it
HAIR_CLUMP_MM, BEARD_CLUMP_MM = 7.0, 4.0
RIGHT_EYE, LEFT_EYE = slice(0, 8), slice(8, 16)  # landmarks
RIM_POINTS, CRANIUM_ROWS, CRANIUM_DEPTH = 64, 12, 92.0  # the depth in mm behind its middle
CRANIUM_MIDDLE = np.array([0.0, 5.0, -100.0])
RIM_SEGMENTS, TUBE_SEGMENTS = 28, 6
TEMPLE_MM = 85.0


@dataclass(frozen=True, slots=True)
class HeadVariety:
    """One subject's own shape, expression basis, hair and glasses; 0 and None for none."""

    seed: int
    shape: float  # as the option
    expression: float
    hair_mm: float  # thickness of the hair on the skull
    beard_mm: float
    glasses: "Glasses | None"


@dataclass(frozen=True, slots=True)
class Glasses:
    """A frame without lenses, mm."""

    half_width: float
    half_height: float
    tube: float  # radius of the rims
    roundness: float  # exponent of the rims' superellipse: 2 is an ellipse


def draw_head_variety(options: VarietyOptions, appearance: Appearance, rng: np.random.Generator) -> HeadVariety:
    """Draw a subject's variety; beards are of men with a painted beard."""
    hair, beard, glasses = rng.random(3) < options.worn
    thickness = rng.uniform(4.0, 22.0), rng.uniform(2.0, 9.0)
    frame = Glasses(rng.uniform(20, 28), rng.uniform(14, 22), rng.uniform(0.9, 2.2), rng.uniform(2.0, 5.0))
    return HeadVariety(
        seed=int(rng.integers(2**31)),
        shape=options.shape * rng.uniform(0.3, 1.0),
        expression=options.expression * rng.uniform(0.3, 1.0),
        hair_mm=float(thickness[0]) if hair else 0.0,
        beard_mm=float(thickness[1]) if beard and appearance.beard > 0 else 0.0,
        glasses=frame if glasses else None,
    )


def vary_head(moved: FaceSurface, neutral: FaceSurface, variety: HeadVariety) -> FaceSurface:
    """The surface of a frame in the subject's own shape and expression basis, with what the subject wears.

    Args:
        moved: The face model's surface in this frame.
        neutral: The same mesh of the same subject without expression.
        variety: The subject's variety.
    """
    vertices = _own_points(moved.vertices, neutral.vertices, variety)
    landmarks = _own_points(moved.landmarks, neutral.landmarks, variety)
    if variety.hair_mm:
        vertices += _hair(neutral, vertices, variety)
    if variety.beard_mm:
        vertices += _beard(neutral, vertices, variety)
    varied = replace(moved, vertices=vertices.astype(np.float32), landmarks=landmarks.astype(np.float32))
    if variety.glasses is None:
        return varied
    resting = _own_points(neutral.landmarks, neutral.landmarks, variety)
    return join_pieces(varied, _glasses(variety.glasses, resting, varied.vertices.astype(np.float64)))


@dataclass(frozen=True, slots=True)
class Piece:
    """A further mesh of a surface; the points of a constant colour share one texture coordinate."""

    vertices: SpacePoints
    faces: Faces
    texture_coordinates: Float32[np.ndarray, "points 2"]


def join_pieces(surface: FaceSurface, *pieces: Piece) -> FaceSurface:
    """The surface with further meshes, whose vertices follow its own."""
    starts = np.cumsum([len(surface.vertices), *(len(piece.vertices) for piece in pieces)])
    faces = [surface.faces, *(piece.faces + start for piece, start in zip(pieces, starts[:-1], strict=True))]
    coordinates = [surface.texture_coordinates, *(piece.texture_coordinates for piece in pieces)]
    return replace(
        surface,
        vertices=np.concatenate([surface.vertices, *(piece.vertices for piece in pieces)]).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        texture_coordinates=np.concatenate(coordinates).astype(np.float32),
    )


def back_of_head(surface: FaceSurface, neutral: FaceSurface) -> tuple[Piece, ...]:
    """Cranium, ears and neck that continue a face from its outer rim, plain as a mannequin's.

    ``neutral`` is the same mesh without expression; it decides which vertices are the rim.
    """
    rim = surface.vertices[_rim_vertices(neutral)].astype(np.float64)
    rim = (np.roll(rim, 1, axis=0) + rim + np.roll(rim, -1, axis=0)) / 3.0
    wide = float(np.abs(neutral.vertices[:, 0]).max())
    ears = (_ball(np.array([side * (wide + 3.0), 10.0, -96.0]), np.array([6.0, 30.0, 17.0])) for side in (1.0, -1.0))
    return (_cranium(rim), *(_skin_piece(*ear, 60.0) for ear in ears), _skin_piece(*_neck(0.78 * wide), 60.0))


def _rim_vertices(neutral: FaceSurface) -> Int64[np.ndarray, " rim"]:
    """The outermost vertex in each direction of the frontal plane, in the order of the directions."""
    x, y, _ = neutral.vertices.astype(np.float64).T
    sector = ((np.arctan2(y, x) / (2.0 * np.pi) + 0.5) * RIM_POINTS).astype(int).clip(0, RIM_POINTS - 1)
    order = np.lexsort((-np.hypot(x, y), sector))
    _, first = np.unique(sector[order], return_index=True)
    return np.asarray(order[first], dtype=np.int64)


def _cranium(rim: SpacePoints) -> Piece:
    """Rows of points from the rim backwards to one point, the hair's colour above the ears."""
    turn = np.linspace(0.0, 0.5 * np.pi, CRANIUM_ROWS)[:, None]
    away = rim - CRANIUM_MIDDLE
    upwards = np.clip(away[:, 1] / np.linalg.norm(away[:, :2], axis=1), 0.0, 1.0)
    widths = np.cos(turn) * (1.0 + (0.3 + 0.7 * upwards) * np.sin(turn))
    depths = away[:, 2] * np.cos(turn) - CRANIUM_DEPTH * np.sin(turn)
    across = away[None, :, :2] * widths[..., None]
    vertices = (np.concatenate([across, depths[..., None]], axis=2) + CRANIUM_MIDDLE).reshape(-1, 3)
    return _skin_piece(vertices, grid_faces(CRANIUM_ROWS, len(rim), closed=False)[:, ::-1], 95.0)


def _neck(width: float) -> tuple[SpacePoints, Faces]:
    heights, angles = np.linspace(-60.0, -190.0, 10)[:, None], 2.0 * np.pi * np.arange(28) / 28
    x, z = width * np.cos(angles), -106.0 + 0.25 * (heights + 70.0) + 1.05 * width * np.sin(angles)
    vertices = np.stack(np.broadcast_arrays(x, heights, z), axis=2).reshape(-1, 3)
    return vertices, grid_faces(10, 28, closed=False)


def _ball(centre: Float64[np.ndarray, "3"], radii: Float64[np.ndarray, "3"]) -> tuple[SpacePoints, Faces]:
    tilts, angles = np.linspace(0.0, np.pi, 8)[:, None], 2.0 * np.pi * np.arange(14) / 14
    unit = np.broadcast_arrays(np.sin(tilts) * np.cos(angles), np.cos(tilts), np.sin(tilts) * np.sin(angles))
    return centre + radii * np.stack(unit, axis=2).reshape(-1, 3), grid_faces(8, 14, closed=False)


def _skin_piece(vertices: SpacePoints, faces: Faces, beside: float) -> Piece:
    """A piece in the colours that the texture has ``beside`` mm from the midline at each height."""
    p, q = np.where(vertices[:, 0] < 0, -beside, beside), np.clip(vertices[:, 1], Q_LOW + 3.0, Q_HIGH - 1.0)
    return Piece(vertices, faces, skin_coordinates(np.stack([p, q], axis=1)))


def _own_points(moved: np.ndarray, neutral: np.ndarray, variety: HeadVariety) -> SpacePoints:
    """Neutral points displaced smoothly, plus the movement with another amplitude and direction in every region."""
    resting = neutral.astype(np.float64)
    movement = moved.astype(np.float64) - resting
    slow, fast, own = (
        smooth_field(resting, length, np.random.default_rng([variety.seed, number]))
        for number, length in enumerate((*SHAPE_LENGTHS_MM, EXPRESSION_LENGTH_MM))
    )
    amplitude = np.exp(AMPLITUDE * variety.expression * own[:, :1])
    axes = own * np.array([0.0, 1.0, 1.0])
    turned = movement + TURN * variety.expression * np.cross(axes, movement)
    return np.asarray(resting + SHAPE_MM * variety.shape * np.sqrt(0.5) * (slow + fast) + amplitude * turned)


def material_of(surface: FaceSurface) -> MaterialPoints:
    """Material point of every vertex of the skin; NaN for eyes and mouth."""
    u, v = surface.texture_coordinates.astype(np.float64).T
    share = (v * HEIGHT - STRIP) / (HEIGHT - STRIP)
    points = np.stack([(2.0 * u - 1.0) * P_HALF, Q_LOW + (Q_HIGH - Q_LOW) * share], axis=1)
    points[share < 0.0] = np.nan
    return points


def _hair(neutral: FaceSurface, vertices: SpacePoints, variety: HeadVariety) -> SpacePoints:
    """Displacement by hair above a line from the forehead down to the nape, in clumps."""
    resting = neutral.vertices.astype(np.float64)
    above = resting[:, 1] - (84.0 + 0.8 * np.minimum(resting[:, 2] + 45.0, 0.0))
    clumps = _clumps(resting, HAIR_CLUMP_MM, variety.seed + 2)
    return _outwards(vertices, variety.hair_mm * sigmoid(above / 3.5) * clumps)


def _beard(neutral: FaceSurface, vertices: SpacePoints, variety: HeadVariety) -> SpacePoints:
    """Displacement by a beard on chin, cheeks and upper lip, free of the lips."""
    points = np.nan_to_num(material_of(neutral), nan=1e3)
    p, q = np.abs(points[:, 0]), points[:, 1]
    beside_lips, below_cheeks = MOUTH.distance(points) - 9.5, -15.0 - 0.12 * p - q
    area = sigmoid(below_cheeks / 2.0) * sigmoid(beside_lips / 1.2) * sigmoid((78.0 - p) / 5.0)
    clumps = _clumps(neutral.vertices.astype(np.float64), BEARD_CLUMP_MM, variety.seed + 3)
    return _outwards(vertices, variety.beard_mm * area * clumps)


def _clumps(points: SpacePoints, length: float, seed: int) -> PointScalars:
    return np.clip(1.0 + 0.3 * smooth_field(points, length, np.random.default_rng(seed))[:, 0], 0.3, 1.7)


def _outwards(vertices: SpacePoints, distances: PointScalars) -> SpacePoints:
    away = vertices - HEAD_MIDDLE
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True) * distances[:, None])


def _glasses(glasses: Glasses, landmarks: SpacePoints, vertices: SpacePoints) -> Piece:
    """Rims before the eyes, a bridge, and temples as far back as the scan reaches."""
    eyes = ((LEFT_EYE, 1.0), (RIGHT_EYE, -1.0))
    rims = [_rim(glasses, landmarks[eye].mean(axis=0), side, vertices) for eye, side in eyes]
    inner = [rim[np.abs(rim[:, 0]).argmin()] for rim in rims]
    middle = 0.5 * (inner[0] + inner[1]) + np.array([0.0, 4.0, 3.0])
    back = max(float(vertices[:, 2].min()), rims[0][:, 2].mean() - TEMPLE_MM)
    temples = [np.stack([rim[np.abs(rim[:, 0]).argmax()]] * 2) for rim in rims]
    for temple, side in zip(temples, (1.0, -1.0), strict=True):
        beside = vertices[(np.sign(vertices[:, 0]) == side) & (np.abs(vertices[:, 1] - temple[0, 1]) < 10.0)]
        temple[1] = side * (np.abs(beside[:, 0]).max(initial=70.0) + 2.0), temple[0, 1] - 2.0, back
    closed = [_tube(rim, glasses.tube, closed=True) for rim in rims]
    bridge = np.stack([inner[1], middle, inner[0]])
    return _join_tubes([*closed, *(_tube(path, glasses.tube, closed=False) for path in (bridge, *temples))])


def _rim(glasses: Glasses, eye: Float64[np.ndarray, "3"], side: float, vertices: SpacePoints) -> SpacePoints:
    """A rim round an eye, upright, wrapped round the face, in front of all skin that it crosses."""
    angles = 2.0 * np.pi * np.arange(RIM_SEGMENTS) / RIM_SEGMENTS
    cosine, sine = np.cos(angles), np.sin(angles)
    x = eye[0] + 0.5 * side + glasses.half_width * np.sign(cosine) * np.abs(cosine) ** (2.0 / glasses.roundness)
    y = eye[1] - 3.0 + glasses.half_height * np.sign(sine) * np.abs(sine) ** (2.0 / glasses.roundness)
    z = -0.2 * np.abs(x) - 0.1 * (y - eye[1])
    distances = np.linalg.norm(vertices[:, None, :2] - np.stack([x, y], axis=1), axis=2)
    near = (distances < 7.0) & (vertices[:, 2:] > eye[2] - 30.0)
    needed = np.where(near, vertices[:, 2:] - z, -np.inf).max()
    return np.stack([x, y, z + needed + glasses.tube + 1.0], axis=1)


def _tube(path: SpacePoints, radius: float, closed: bool) -> tuple[SpacePoints, Faces]:
    """A tube of constant radius along a path of points."""
    ahead = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0) if closed else np.gradient(path, axis=0)
    along = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    across = np.cross(along, np.array([0.03, 0.05, 1.0]) if closed else np.array([0.05, 1.0, 0.03]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    over = np.cross(along, across)
    angles = 2.0 * np.pi * np.arange(TUBE_SEGMENTS) / TUBE_SEGMENTS
    ring = np.cos(angles)[:, None] * across[:, None] + np.sin(angles)[:, None] * over[:, None]
    vertices = (path[:, None] + radius * ring).reshape(-1, 3)
    return vertices, grid_faces(len(path), TUBE_SEGMENTS, closed)


def grid_faces(rows: int, columns: int, closed: bool) -> Faces:
    """Triangles of a grid whose rows are rings of points; ``closed`` joins the last row to the first."""
    row, column = np.meshgrid(np.arange(rows if closed else rows - 1), np.arange(columns), indexing="ij")
    first, second = row * columns + column, row * columns + (column + 1) % columns
    below, opposite = ((row + 1) % rows) * columns + column, ((row + 1) % rows) * columns + (column + 1) % columns
    pairs = np.stack([first, second, opposite, first, opposite, below], axis=-1)
    return pairs.reshape(-1, 3).astype(np.int32)


def _join_tubes(tubes: Sequence[tuple[SpacePoints, Faces]]) -> Piece:
    """Tubes as one piece in the colour of the pupil, near black."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in tubes)])[:-1]
    vertices = np.concatenate([vertices for vertices, _ in tubes])
    faces = np.concatenate([faces + start for (_, faces), start in zip(tubes, starts, strict=True)])
    dark = eye_coordinates(np.array([[0.0, 0.0, 1.0]]), 1.0)
    return Piece(vertices, faces.astype(np.int32), np.repeat(dark, len(vertices), axis=0))
