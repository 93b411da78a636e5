"""The procedural face, and its mesh sampled anew as a scanner would: 180 mm hairline to chin, of no person's scan."""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64
from scipy.interpolate import PchipInterpolator

from affect4d.array_types import Faces
from affect4d.synthetic.action_units import ACTION_UNITS, ActionWeights
from affect4d.synthetic.displacement_fields import JAW_DROP, JAW_SLIDE, Bump, action_basis, both_sides
from affect4d.synthetic.face_model_and_skin_coordinates import (
    DENSITIES,
    EYE,
    MOUTH,
    NORMAL_COLUMNS,
    NORMAL_ROWS,
    Blendshapes,
    FaceMesh,
    FaceSurface,
    MaterialPoints,
    NormalMap,
    Opening,
    PointScalars,
    SpacePoints,
    blendshapes,
    brow_height,
    eye_opening,
    join_face,
    lower_teeth,
    mirrored,
    mouth_grid,
    mouth_slit,
    normal_grid,
    sigmoid,
    triangulate,
    with_strip,
)
from affect4d.synthetic.subject_appearance_and_expressive_style import IdentityShape

HEIGHTS = np.array([-95, -88, -78, -68, -56, -46, -32, -20, -8, 15, 35, 52, 62, 80, 100], dtype=float)
DEPTHS = np.array([-58, -46, -30, -21, -19, -23, -21, -22, -24, -24, -22, -17, -18, -25, -42], dtype=float)
HALF_WIDTHS = np.array([40, 44, 49, 54, 60, 63, 67, 70, 72, 74, 75, 74, 73, 70, 64], dtype=float)
HEAD_DEPTH = 88.0
EYE_RADIUS = 15.5
EYE_SINK = 12.0  # the eyeball's centre lies this far behind the skin that would cover the socket

_depth, _half_width = PchipInterpolator(HEIGHTS, DEPTHS), PchipInterpolator(HEIGHTS, HALF_WIDTHS)
_bridge = PchipInterpolator([-16, -12, -7, -2, 2, 12, 25, 36, 48], [0, 3, 15, 22.5, 23.5, 17.5, 9.5, 3.5, 0])
_bridge_width = PchipInterpolator([-16, -2, 2, 12, 25, 36, 48], [9, 8.5, 8, 6.5, 5.5, 7, 9])

FORM: tuple[Bump, ...] = (
    Bump((13.0, -5.0), (5.0, 5.5), (0, 0, 8.5)),  # nose wing
    Bump((30.0, 53.0), (18, 5.0), (0, 0, 3.5)),  # brow ridge
    Bump((44.0, 8.0), (12, 11), (0, 0, 5.0)),  # cheekbone
    Bump((34.0, 38.0), (15, 9.0), (0, 0, -5.0)),  # socket
    Bump((16.0, 36.0), (6, 8.0), (0, 0, -6.0)),  # inner corner
    Bump((0.0, -20.0), (2.5, 5.0), (0, 0, -1.5)),  # philtrum
    Bump((0.0, -60.0), (13, 8.0), (0, 0, 3.0)),  # chin
    Bump((0.0, -46.0), (14, 4.0), (0, 0, -2.0)),  # fold under the lip
    Bump((20.0, -12.0), (4, 9.0), (0, 0, -2.0)),  # nasolabial fold
    Bump((27.5, -32.0), (3.5, 4.0), (0, 0, -2.5)),  # mouth corner
    Bump((72.0, 45.0), (9, 22.0), (0, 0, -3.0)),  # temple
)

IDENTITY: tuple[tuple[Bump, ...], ...] = (
    (Bump((70, 10), (40, 80), (4.0, 0, 0)),),  # wide face
    (Bump((60, -55), (25, 25), (4.5, 0, 0)),),  # wide jaw
    (Bump((0, -80), (60, 26), (0, -5.0, 0)),),  # long chin
    (Bump((0, -64), (20, 14), (0, 0, 3.5)),),  # prominent chin
    (Bump((0, 85), (70, 25), (0, 4.0, 5.0)),),  # high, upright forehead
    (Bump((30, 53), (22, 6), (0, -0.5, 2.2)),),  # brow ridge
    (Bump((EYE.p, 42), (19, 15), (2.6, 0, 0)),),  # eyes wide apart
    (Bump((EYE.p, 44), (18, 8), (0, 1.3, 0)), Bump((EYE.p, 32), (18, 6), (0, -0.5, 0))),  # open eyes
    (Bump((46, 40), (9, 9), (0, 1.6, 0)), Bump((18, 38), (8, 8), (0, -0.8, 0))),  # slanted eyes
    (Bump((30, 54), (22, 8), (0, 2.6, 0)),),  # high brows
    (Bump((46, 54), (9, 7), (0, 2.2, 0)),),  # arched brows
    (Bump((0, -2), (11, 13), (0, 0, 3.0)),),  # prominent nose
    (Bump((0, -4), (16, 11), (0, -3.0, 0)),),  # long nose
    (Bump((14, -5), (9, 9), (2.2, 0, 0)),),  # wide nose
    (Bump((0, 20), (6, 10), (0, 0, 2.5)),),  # bridge
    (Bump((0, 0), (8, 5), (0, 2.5, 0)),),  # turned-up tip
    (Bump((27, -32), (12, 12), (2.8, 0, 0)),),  # wide mouth
    (Bump((0, -26), (20, 3.5), (0, 1.2, 1.2), "upper"), Bump((0, -38), (20, 4), (0, -1.4, 1.4), "lower")),  # full lips
    (Bump((0, -34), (32, 11), (0, -3.2, 0)),),  # low mouth
    (Bump((45, 8), (14, 12), (1.0, 0, 3.0)),),  # cheekbones
    (Bump((42, -25), (17, 18), (1.5, 0, 3.5)),),  # full cheeks
    (Bump((0, -30), (30, 15), (0, 0, 2.8)),),  # prominent mouth
    (Bump((27, -32), (7, 6), (0, 1.2, 0)),),  # mouth corners up
    (Bump((75, 40), (22, 40), (3.0, 0, -2.0)),),  # wide temples
)
"""One field for each parameter, at one standard deviation."""
FREE_MODES = 12  # further smooth, asymmetric modes without a name
SIZE_SPREAD = 0.045  # standard deviation of the head size, as a share of it
SHAPE_COUNT = 1 + len(IDENTITY) + FREE_MODES
SAMPLINGS = 18  # different meshes of the same skin that are kept in memory, a third of each density
SPACINGS = (0.95, 1.08, 1.22)  # factors on the distance of neighbours, one for each density
LID_THICKNESS = 0.6
WIDTH_HALF, HEIGHT_CENTRE, HEIGHT_HALF = 104.0, 2.0, 97.0
FINE, COARSE = 3.9, 7.6  # distance of neighbours at the features and elsewhere, mm, at spacing 1
LONGEST_EDGE = 16.0


def neutral_points(points: MaterialPoints) -> SpacePoints:
    """Points of the mean face in space, mouth closed, mm."""
    p, q = points[:, 0], points[:, 1]
    width = _half_width(np.clip(q, HEIGHTS[0], HEIGHTS[-1]))
    angle = p / 74.0
    place = np.stack([width * np.sin(angle), q + _slit_closing(points), _skull(q, angle)], axis=1)
    place += both_sides(points, FORM)
    place[:, 2] += _nose(points) + _lips(points)
    place[:, 2] = _hug_eyes(points, place)
    return place


def identity_basis(points: MaterialPoints) -> Float64[np.ndarray, "shape points 3"]:
    """Displacements of each identity parameter, mm at one standard deviation; the first is the size of the head."""
    named = [both_sides(points, bumps) for bumps in IDENTITY]
    free = [_free_mode(points, index) for index in range(FREE_MODES)]
    return np.stack([SIZE_SPREAD * neutral_points(points), *named, *free])


def eye_centre(side: float) -> Float64[np.ndarray, "3"]:
    """Centre of an eyeball of the mean face, mm; ``side`` is 1 for the left and −1 for the right."""
    point = np.array([[EYE.p, EYE.q]])
    angle = point[:, 0] / 74.0
    z = _skull(point[:, 1], angle)[0] - EYE_SINK - 5.0
    x = float(_half_width(EYE.q)) * np.sin(angle[0])
    return np.array([side * x, EYE.q, z])


def _skull(q: PointScalars, angle: PointScalars) -> PointScalars:
    return np.asarray(_depth(np.clip(q, HEIGHTS[0], HEIGHTS[-1])) - HEAD_DEPTH * (1.0 - np.cos(angle)))


def _slit_closing(points: MaterialPoints) -> PointScalars:
    offset = points[:, 1] - MOUTH.q
    gap = mouth_slit(points)
    return np.asarray(-np.sign(offset) * gap * np.exp(-np.clip(np.abs(offset) - gap, 0.0, None) / 6.0))


def _nose(points: MaterialPoints) -> PointScalars:
    q = np.clip(points[:, 1], -16.0, 48.0)
    return np.asarray(_bridge(q) * np.exp(-0.5 * (points[:, 0] / _bridge_width(q)) ** 2))


def _lips(points: MaterialPoints) -> PointScalars:
    t = points[:, 0] / (MOUTH.half + 2.0)
    taper = np.clip(1.0 - t**2, 0.0, None)
    q = points[:, 1] - 0.8 * np.cos(2.2 * np.pi * t) * taper * (points[:, 1] > MOUTH.q)
    upper = 4.6 * np.exp(-0.5 * ((q + 27.8) / 2.9) ** 2)
    lower = 5.4 * np.exp(-0.5 * ((q + 37.2) / 3.3) ** 2)
    line = -2.6 * np.exp(-0.5 * ((q + 32.0) / 1.6) ** 2)
    return np.asarray((upper + lower + line) * np.sqrt(taper))


def _hug_eyes(points: MaterialPoints, place: SpacePoints) -> PointScalars:
    """Depth with the lid margins laid onto the eyeballs."""
    z = place[:, 2].copy()
    for side in (1.0, -1.0):
        centre = eye_centre(side)
        lateral = ((place[:, :2] - centre[:2]) ** 2).sum(axis=1)
        ball = centre[2] + np.sqrt(np.clip((EYE_RADIUS + 0.6) ** 2 - lateral, 9.0, None))
        opening = eye_opening(points * np.array([side, 1.0]))
        beside = np.clip(np.abs(side * points[:, 0] - EYE.p) - EYE.half, 0.0, None)
        hug = np.exp(-(((np.clip(opening, 0.0, None) + beside) / 4.5) ** 2))
        z += hug * (np.maximum(ball, z - 8.0) - z)
    return z


def _free_mode(points: MaterialPoints, index: int) -> SpacePoints:
    """A smooth ripple, different for each index, strongest at the front."""
    rng = np.random.default_rng([83, index])
    wave = rng.normal(0.0, 1.0, 2) / np.array([45.0, 45.0])
    phase, direction = rng.uniform(0.0, 2.0 * np.pi), rng.normal(0.0, 0.55, 3)
    ripple = np.sin(points @ wave + phase) * sigmoid((85.0 - np.abs(points[:, 0])) / 8.0)
    return np.asarray(ripple[:, None] * direction)


class ProceduralFace:
    """The face that ships with the package: no licence, no download."""

    shape_count = SHAPE_COUNT

    def surface(self, shape: IdentityShape, weights: ActionWeights, sampling: int) -> FaceSurface:
        """The face of this identity under these weights; ``sampling`` picks one of ``SAMPLINGS`` meshes."""
        mesh, centres = _mesh(sampling % SAMPLINGS), _eye_centres(shape)
        skin, mouth = _over_eyes(mesh.skin.place(shape, weights), centres), mesh.mouth.place(shape, weights)
        landmarks = _over_eyes(_shapes_at(landmark_points).place(shape, weights), centres)
        return mesh.surface(skin, mouth, centres, EYE_RADIUS, weights, landmarks)

    def normal_map(self, shape: IdentityShape, weights: ActionWeights) -> NormalMap:
        """Normals over the texture, from a coarse grid of material points."""
        place = _shapes_at(normal_grid).place(shape, weights).reshape(NORMAL_ROWS, NORMAL_COLUMNS, 3)
        normals = np.cross(np.gradient(place, axis=1), -np.gradient(place, axis=0))
        normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-9
        return with_strip(normals)


def landmark_points() -> MaterialPoints:
    """Material points of the 83 landmarks, in the order of :mod:`affect4d.scans.landmark_names`."""
    left_eye = EYE.ring(_even_angles(8))
    left_brow = _brow_outline()
    left_nose = np.array([[-7, 33], [-10, 14], [-13, 2], [-16, -5], [-8, -11]], dtype=float)
    nose = np.concatenate([left_nose, [[0.0, -13.0]], mirrored(left_nose)[::-1], [[0.0, 0.0]]])
    outer = mirrored(Opening(MOUTH.p, MOUTH.q, MOUTH.half + 1.5, 6.5, 7.5).ring(_even_angles(12)))
    inner = mirrored(MOUTH.ring(_even_angles(8)))
    angles = np.linspace(0.06 * np.pi, -1.06 * np.pi, 15)
    contour = np.stack([-92.0 * np.cos(angles), 6.0 + 82.0 * np.sin(angles)], axis=1)
    return np.concatenate([mirrored(left_eye), left_eye, mirrored(left_brow), left_brow, nose, outer, inner, contour])


def mesh_skin(rng: np.random.Generator, spacing: float = 1.0) -> tuple[MaterialPoints, Faces]:
    """Skin points and triangles: rings around open eyes and mouth, elsewhere a jittered lattice of ``spacing``."""
    lattice = _lattice(rng, spacing)
    points = np.concatenate([*_rings(rng), lattice])
    faces = triangulate(points)
    corners = points[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    return points, faces[~_in_a_hole(corners.mean(axis=1)) & (longest < LONGEST_EDGE)]


@functools.cache
def _mesh(index: int) -> FaceMesh:
    points, faces = mesh_skin(np.random.default_rng([4, index]), SPACINGS[index % DENSITIES])
    return join_face(_skin_shapes(points), _mouth_shapes(), faces, points)


def _skin_shapes(points: MaterialPoints) -> Blendshapes:
    return blendshapes(neutral_points(points), identity_basis(points), action_basis(points))


@functools.cache
def _shapes_at(places: Callable[[], MaterialPoints]) -> Blendshapes:
    return _skin_shapes(places())


def _sockets() -> MaterialPoints:
    return np.array([[EYE.p, EYE.q], [-EYE.p, EYE.q]])


def _mouth_shapes() -> Blendshapes:
    """Teeth and tongue behind the lips: the upper half keeps to the skull, the lower follows the jaw."""
    grid, _ = mouth_grid()
    at_lips = np.stack([MOUTH.half * grid[:, 0], np.full(len(grid), MOUTH.q + MOUTH.upper)], axis=1)
    place = neutral_points(at_lips)
    place[:, 0] *= 0.9
    place[:, 1] = MOUTH.q + 8.5 * grid[:, 1]
    place[:, 2] -= 7.5 + 3.5 * grid[:, 0] ** 2
    actions = action_basis(at_lips) * np.array([0.6, 0.0, 1.0])
    actions[:, :, 2] = np.minimum(actions[:, :, 2], 0.0)
    actions[ACTION_UNITS.index("mouth_left")] = 0.0
    for unit, motion in (("AU26", JAW_DROP), ("jaw_left", JAW_SLIDE)):
        actions[ACTION_UNITS.index(unit)] = lower_teeth(grid)[:, None] * np.asarray(motion)
    return blendshapes(place, identity_basis(at_lips), actions)


def _eye_centres(shape: IdentityShape) -> Float64[np.ndarray, "2 3"]:
    """Centres of left and right eyeball; they move with identity, never with action units."""
    socket = _shapes_at(_sockets)
    moved = socket.place(shape, np.zeros(len(ACTION_UNITS))) - socket.neutral
    return np.asarray(np.stack([eye_centre(1.0), eye_centre(-1.0)]) + moved)


def _over_eyes(points: SpacePoints, centres: Float64[np.ndarray, "2 3"]) -> SpacePoints:
    """Lids glide over the eyeballs: points inside one are lifted onto it."""
    for centre in centres:
        offset = points - centre
        distance = np.linalg.norm(offset, axis=1)
        inside = (distance < EYE_RADIUS + LID_THICKNESS) & (offset[:, 2] > 0)
        points[inside] = centre + offset[inside] * ((EYE_RADIUS + LID_THICKNESS) / distance[inside])[:, None]
    return points


def _even_angles(count: int) -> PointScalars:
    return 2.0 * np.pi * np.arange(count) / count


def _brow_outline() -> MaterialPoints:
    """The left brow: upper edge outer → inner, lower edge inner → outer."""
    p = np.linspace(49.0, 12.0, 5)
    upper, lower = brow_height(p) + 2.5, brow_height(p) - 2.5
    return np.concatenate([np.stack([p, upper], axis=1), np.stack([p, lower], axis=1)[::-1]])


def _lattice(rng: np.random.Generator, spacing: float) -> MaterialPoints:
    """Lattice points away from the rings, finer where the face moves."""
    fine, coarse = _hexagons(FINE * spacing, rng), _hexagons(COARSE * spacing, rng)
    points = np.concatenate([fine[_moves(fine)], coarse[~_moves(coarse)]])
    eyes = np.minimum(EYE.distance(points), EYE.distance(mirrored(points)))
    return np.asarray(points[(eyes > 8.5) & (MOUTH.distance(points) > 9.5)])


def _hexagons(spacing: float, rng: np.random.Generator) -> MaterialPoints:
    columns, rows = np.arange(-WIDTH_HALF, WIDTH_HALF, spacing), np.arange(-96.0, 100.0, spacing * 0.866)
    p, q = np.meshgrid(columns, rows)
    p = p + 0.5 * spacing * (np.arange(len(rows)) % 2)[:, None]
    points = np.stack([p.ravel(), q.ravel()], axis=1) + rng.uniform(-0.5, 0.5, 2) * spacing
    points += rng.uniform(-0.22, 0.22, points.shape) * spacing
    across, along = np.abs(points[:, 0]) / WIDTH_HALF, np.abs(points[:, 1] - HEIGHT_CENTRE) / HEIGHT_HALF
    return np.asarray(points[across**2.4 + along**2.4 < 1.0])


def _moves(points: MaterialPoints) -> Bool[np.ndarray, " points"]:
    return np.asarray((points[:, 0] / 56.0) ** 4 + ((points[:, 1] - 1.0) / 66.0) ** 4 < 1.0)


def _rings(rng: np.random.Generator) -> list[MaterialPoints]:
    rings = []
    for outside in (0.0, 1.6, 3.6, 6.3):
        left, right = (EYE.ring(_turn(20, rng), outside) for _ in range(2))
        rings += [left, mirrored(right)]
    return rings + [MOUTH.ring(_turn(30, rng), outside) for outside in (0.0, 2.0, 4.4, 7.0)]


def _turn(count: int, rng: np.random.Generator) -> PointScalars:
    """Angles of a ring; the two corners always belong to it, the others slide."""
    half = np.pi * np.arange(count // 2) / (count // 2)
    slide = rng.uniform(-0.3, 0.3, count // 2) * np.pi / (count // 2) * (np.arange(count // 2) > 0)
    return np.concatenate([half + slide, np.pi + half + slide[::-1] * (np.arange(count // 2) > 0)])


def _in_a_hole(centres: MaterialPoints) -> Bool[np.ndarray, " faces"]:
    eyes = (eye_opening(centres) < -0.05) | (eye_opening(mirrored(centres)) < -0.05)
    mouth = np.abs(centres[:, 1] - MOUTH.q) < mouth_slit(centres) - 0.02
    return np.asarray(eyes | mouth)
