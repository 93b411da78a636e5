"""The procedural face: lids glide over eyeballs, the mouth opens onto teeth and tongue, the mesh is sampled anew.

As with a real scanner, every sampling joins other points of the same skin.
"""

import functools

import numpy as np
from jaxtyping import Bool, Float64

from affect4d.array_types import Faces
from affect4d.synthetic.action_units import ACTION_UNITS, ActionWeights
from affect4d.synthetic.face_model import (
    DENSITIES,
    NORMAL_COLUMNS,
    NORMAL_ROWS,
    Blendshapes,
    FaceMesh,
    FaceSurface,
    NormalMap,
    SpacePoints,
    blendshapes,
    eyeballs,
    join_face,
    lower_teeth,
    mouth_grid,
    normal_grid,
    triangulate,
    with_strip,
)
from affect4d.synthetic.procedural.displacement_fields import JAW_DROP, JAW_SLIDE, action_basis
from affect4d.synthetic.procedural.identity import (
    EYE_RADIUS,
    SHAPE_COUNT,
    eye_centre,
    identity_basis,
    neutral_points,
)
from affect4d.synthetic.skin_coordinates import (
    EYE,
    MOUTH,
    MaterialPoints,
    Opening,
    PointScalars,
    brow_height,
    eye_opening,
    mirrored,
    mouth_slit,
)
from affect4d.synthetic.subjects import IdentityShape

SAMPLINGS = 18
"""Different meshes of the same skin that are kept in memory, a third of each density."""
SPACINGS = (0.95, 1.08, 1.22)
"""Factors on the distance of neighbours, one for each density."""
LID_THICKNESS = 0.6
WIDTH_HALF, HEIGHT_CENTRE, HEIGHT_HALF = 104.0, 2.0, 97.0
FINE, COARSE = 3.9, 7.6
"""Distance of neighbours at the features and elsewhere, mm, at spacing 1."""
LONGEST_EDGE = 16.0


class ProceduralFace:
    """The face that ships with the package: no licence, no download."""

    shape_count = SHAPE_COUNT

    def surface(self, shape: IdentityShape, weights: ActionWeights, sampling: int) -> FaceSurface:
        """The face of this identity under these weights; ``sampling`` picks one of ``SAMPLINGS`` meshes."""
        mesh, centres = _mesh(sampling % SAMPLINGS), _eye_centres(shape)
        skin, mouth = _over_eyes(mesh.skin.place(shape, weights), centres), mesh.mouth.place(shape, weights)
        vertices = np.concatenate([skin, mouth, *eyeballs(centres, EYE_RADIUS, weights)])
        landmarks = _over_eyes(_landmark_shapes().place(shape, weights), centres)
        return FaceSurface(
            vertices.astype(np.float32), mesh.faces, mesh.texture_coordinates, landmarks.astype(np.float32)
        )

    def normal_map(self, shape: IdentityShape, weights: ActionWeights) -> NormalMap:
        """Normals over the texture, from a coarse grid of material points."""
        place = _normal_shapes().place(shape, weights).reshape(NORMAL_ROWS, NORMAL_COLUMNS, 3)
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
    """Points of the skin, joined to triangles that leave eyes and mouth open.

    Rings around eyes and mouth, and a jittered lattice elsewhere, which ``spacing`` scales.
    """
    lattice = _lattice(rng, spacing)
    points = np.concatenate([*_rings(rng), lattice])
    faces = triangulate(points)
    return points, faces[~_in_a_hole(points[faces].mean(axis=1)) & _short(points, faces)]


@functools.cache
def _mesh(index: int) -> FaceMesh:
    points, faces = mesh_skin(np.random.default_rng([4, index]), SPACINGS[index % DENSITIES])
    return join_face(_skin_shapes(points), _mouth_shapes(), faces, points)


def _skin_shapes(points: MaterialPoints) -> Blendshapes:
    return blendshapes(neutral_points(points), identity_basis(points), action_basis(points))


@functools.cache
def _landmark_shapes() -> Blendshapes:
    return _skin_shapes(landmark_points())


@functools.cache
def _normal_shapes() -> Blendshapes:
    return _skin_shapes(normal_grid())


@functools.cache
def _socket_shapes() -> Blendshapes:
    return _skin_shapes(np.array([[EYE.p, EYE.q], [-EYE.p, EYE.q]]))


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
    socket = _socket_shapes()
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
    """A jittered hexagonal lattice over the scanned part of the head."""
    columns, rows = np.arange(-WIDTH_HALF, WIDTH_HALF, spacing), np.arange(-96.0, 100.0, spacing * 0.866)
    p, q = np.meshgrid(columns, rows)
    p = p + 0.5 * spacing * (np.arange(len(rows)) % 2)[:, None]
    points = np.stack([p.ravel(), q.ravel()], axis=1) + rng.uniform(-0.5, 0.5, 2) * spacing
    points += rng.uniform(-0.22, 0.22, points.shape) * spacing
    across, along = np.abs(points[:, 0]) / WIDTH_HALF, np.abs(points[:, 1] - HEIGHT_CENTRE) / HEIGHT_HALF
    return np.asarray(points[across**2.4 + along**2.4 < 1.0])


def _moves(points: MaterialPoints) -> Bool[np.ndarray, " points"]:
    """Mask of the part of the face that moves."""
    return np.asarray((points[:, 0] / 56.0) ** 4 + ((points[:, 1] - 1.0) / 66.0) ** 4 < 1.0)


def _rings(rng: np.random.Generator) -> list[MaterialPoints]:
    """Rings around both eyes, then around the mouth."""
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


def _short(points: MaterialPoints, faces: Faces) -> Bool[np.ndarray, " faces"]:
    corners = points[faces]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    return np.asarray(edges.max(axis=1) < LONGEST_EDGE)
