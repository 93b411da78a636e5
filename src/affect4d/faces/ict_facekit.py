"""ICT-FaceKit as a face model: a user's clone of the public repository, read where it lies and never copied.

Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020. Only vertices, faces and texture
coordinates are read; the skin is painted by :mod:`affect4d.faces.skin`, whose material plane is laid over the model's
texture plane by its landmarks.
"""

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64
from PIL import Image, ImageDraw
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from affect4d.arrays import Faces, TextureCoordinates
from affect4d.faces.actions import ACTIONS, SIDED, Weights
from affect4d.faces.face_model import Albedo, Appearance, NormalMap, Relief, Shape, Surface
from affect4d.faces.linear_patch import LinearPatch, linear_patch
from affect4d.faces.openings import front_of_eyeball, lower_teeth, mouth_grid, turn_gaze
from affect4d.faces.procedural import landmark_points
from affect4d.faces.sampling import join
from affect4d.faces.skin import (
    HEIGHT,
    P_HALF,
    Q_HIGH,
    Q_LOW,
    STRIP,
    eye_coordinates,
    mouth_coordinates,
    paint_skin,
    skin_coordinates,
    wrinkle_maps,
)

FACE_VERTICES, FACE_FACES = 9409, 9230
EYE_VERTICES = slice(21451, 24591)
MILLIMETRES = 10.0
REACH_MM = 118.0
"""Vertices farther from the tip of the nose are not scanned."""
SAMPLINGS = 8
COVER_PIXELS = 2048
NORMAL_ROWS, NORMAL_COLUMNS = 48, 48

IBUG: tuple[int, ...] = (
    *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443),
    *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360),
    *(1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732),
    *(5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841),
    *(5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
)
"""The model's 68 iBUG landmark vertices, as published in its ``vertex_indices.json``."""

SHAPES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "AU1": MappingProxyType({"browInnerUp": 1.0}),
        "AU2": MappingProxyType({"browOuterUp": 1.0}),
        "AU4": MappingProxyType({"browDown": 1.0}),
        "AU5": MappingProxyType({"eyeWide": 1.0}),
        "AU6": MappingProxyType({"cheekSquint": 1.0}),
        "AU7": MappingProxyType({"eyeSquint": 1.0}),
        "AU9": MappingProxyType({"noseSneer": 1.0}),
        "AU10": MappingProxyType({"mouthUpperUp": 0.9}),
        "AU12": MappingProxyType({"mouthSmile": 0.9}),
        "AU14": MappingProxyType({"mouthDimple": 1.0}),
        "AU15": MappingProxyType({"mouthFrown": 1.0}),
        "AU16": MappingProxyType({"mouthLowerDown": 0.9}),
        "AU20": MappingProxyType({"mouthStretch": 1.0}),
        "AU45": MappingProxyType({"eyeBlink": 1.0}),
        "AU17": MappingProxyType({"mouthShrugLower": 1.0}),
        "AU18": MappingProxyType({"mouthPucker": 1.0}),
        "AU23": MappingProxyType({"mouthPress": 0.5, "mouthRollLower": 0.4, "mouthRollUpper": 0.4}),
        "AU24": MappingProxyType({"mouthPress": 1.0}),
        "AU25": MappingProxyType({"mouthUpperUp": 0.25, "mouthLowerDown": 0.5}),
        "AU26": MappingProxyType({"jawOpen": 0.65}),
    }
)
"""Expression shapes of each action; ``_L`` and ``_R`` are added where the model has both halves."""


@dataclass(frozen=True)
class IctGeometry:
    """What is read of the model: mm, nose tip at the origin, face proper and eyeballs only.

    Attributes:
        rest: Vertices of the face proper.
        identity: What each identity mode adds.
        actions: What each action adds, in the order of ``ACTIONS``.
        faces: Quads (a triangle repeats its last corner).
        texture: Texture coordinates of the vertices, v up.
        eye_centres: Left and right.
        eye_identity: How each mode moves them.
        eye_radius: Of the front of the eyeballs.
    """

    rest: Float64[np.ndarray, "points 3"]
    identity: Float64[np.ndarray, "shape points 3"]
    actions: Float64[np.ndarray, "actions points 3"]
    faces: Int64[np.ndarray, "faces 4"]
    texture: Float64[np.ndarray, "points 2"]
    eye_centres: Float64[np.ndarray, "2 3"]
    eye_identity: Float64[np.ndarray, "shape 2 3"]
    eye_radius: float


@dataclass(frozen=True)
class IctSampling:
    """One mesh of the scanned part: skin, inside of the mouth, left and right eyeball, in this order."""

    skin: LinearPatch
    mouth: LinearPatch
    faces: Faces
    skin_faces: Faces
    texture_coordinates: TextureCoordinates
    material: Float64[np.ndarray, "points 2"]


class IctFace:
    """The face of ICT-FaceKit, thinned and re-meshed as a scanner would see it.

    Args:
        folder: The clone; it holds ``FaceXModel/generic_neutral_mesh.obj``.

    Raises:
        FileNotFoundError: If there is no such clone; the message says what to set and where to get it.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = model_folder(folder)
        self.shape_count = len(load_geometry(self._folder).identity)

    def surface(self, shape: Shape, weights: Weights, sampling: int) -> Surface:
        """The face of this identity under these weights; ``sampling`` picks one of ``SAMPLINGS`` meshes."""
        mesh, geometry = _sampling(self._folder, sampling % SAMPLINGS), load_geometry(self._folder)
        directions, _ = front_of_eyeball()
        centres = geometry.eye_centres + np.tensordot(shape, geometry.eye_identity, axes=1)
        eyes = [centre + geometry.eye_radius * turn_gaze(directions, weights) for centre in centres]
        return Surface(
            np.concatenate([mesh.skin.place(shape, weights), mesh.mouth.place(shape, weights), *eyes]).astype(
                np.float32
            ),
            mesh.faces,
            mesh.texture_coordinates,
            _landmark_patch(self._folder).place(shape, weights).astype(np.float32),
        )

    def normal_map(self, shape: Shape, weights: Weights) -> NormalMap:
        """Normals over the texture, taken from the nearest vertices; straight ahead for the eyes."""
        mesh = _sampling(self._folder, 0)
        normals = _vertex_normals(mesh.skin.place(shape, weights), mesh.skin_faces)
        grid = normals[_nearest_to_pixels(self._folder)].reshape(NORMAL_ROWS, NORMAL_COLUMNS, 3)
        strip = np.zeros((NORMAL_ROWS * STRIP // (HEIGHT - STRIP), NORMAL_COLUMNS, 3))
        strip[..., 2] = 1.0
        return np.concatenate([grid, strip]).astype(np.float32)

    def paint(self, appearance: Appearance) -> Albedo:
        """Our own skin: no albedo comes with the model."""
        return paint_skin(appearance)

    def wrinkles(self, weights: Weights) -> Relief:
        """Folds of forehead, brow, nose, cheeks and eye corners."""
        active = np.clip(weights, 0.0, 1.0).astype(np.float32)
        return np.clip(np.tensordot(active, wrinkle_maps(), axes=1), 0.0, 1.0)


def model_folder(folder: str | None) -> Path:
    """The folder of the model's .obj files.

    Raises:
        FileNotFoundError: If none is given, or the neutral head is not in it.
    """
    remedy = (
        "Run `git clone https://github.com/ICT-VGL/ICT-FaceKit` and name its folder as `ict_folder` in "
        "conf/local/globals.yml (or --params ict_folder=FOLDER), or use the synthetic corpus."
    )
    if folder is None:
        raise FileNotFoundError(f"The face model ict_facekit needs `ict_folder`, and it is not set. {remedy}")
    place = Path(folder).expanduser() / "FaceXModel"
    if not (place / "generic_neutral_mesh.obj").is_file():
        raise FileNotFoundError(f"There is no FaceXModel/generic_neutral_mesh.obj in `ict_folder` = {folder}. {remedy}")
    return place


def ict_fingerprint(folder: str | None) -> list[list[str | int]]:
    """Names and sizes of the model's files, for content keys."""
    return [[path.name, path.stat().st_size] for path in sorted(model_folder(folder).glob("*.obj"))]


@functools.cache
def load_geometry(folder: Path) -> IctGeometry:
    """Read the model, whole or cut to its vertices, once a process.

    Raises:
        ValueError: If a file is not of this model.
    """
    neutral = _vertices(folder / "generic_neutral_mesh.obj")
    identity = [_vertices(path) - neutral for path in sorted(folder.glob("identity[0-9]*.obj"))]
    if not identity:
        raise ValueError(f"There are no identity modes (identity000.obj …) in {folder}; the clone is incomplete.")
    modes = np.stack(identity)
    faces, corners, table = _topology(folder / "generic_neutral_mesh.obj")
    texture = np.zeros((FACE_VERTICES, 2))
    texture[faces.ravel()] = table[corners.ravel()]
    origin = neutral[IBUG[30]]
    centres, moved, radius = _eyeballs(neutral, modes)
    return IctGeometry(
        rest=neutral[:FACE_VERTICES] - origin,
        identity=modes[:, :FACE_VERTICES],
        actions=_action_basis(folder, neutral)[:, :FACE_VERTICES],
        faces=faces,
        texture=texture,
        eye_centres=centres - origin,
        eye_identity=moved,
        eye_radius=radius,
    )


def _vertices(path: Path) -> Float64[np.ndarray, "points 3"]:
    """Vertices of an .obj file, mm."""
    with path.open("rb") as file:
        words = b" ".join(line[2:] for line in file if line.startswith(b"v ")).split()
    values = np.array(words, dtype=np.float64).reshape(-1, 3)
    if len(values) < EYE_VERTICES.stop:
        raise ValueError(f"{path}: {len(values)} vertices, where ICT-FaceKit has 26,719. Is it a file of this model?")
    return values * MILLIMETRES


def _topology(
    path: Path,
) -> tuple[Int64[np.ndarray, "faces 4"], Int64[np.ndarray, "faces 4"], Float64[np.ndarray, "n 2"]]:
    """Vertex and texture indices of the face proper's faces, and all texture coordinates."""
    with path.open() as file:
        lines = file.readlines()
    table = np.array([line.split()[1:3] for line in lines if line.startswith("vt ")], dtype=np.float64)
    rows = itertools.islice((line for line in lines if line.startswith("f ")), FACE_FACES)
    corners = [[pair.split("/")[:2] for pair in line.split()[1:]] for line in rows]
    padded = np.array([face if len(face) == 4 else [*face, face[-1]] for face in corners], dtype=np.int64) - 1
    return padded[..., 0], padded[..., 1], table


def _action_basis(folder: Path, neutral: Float64[np.ndarray, "points 3"]) -> Float64[np.ndarray, "actions points 3"]:
    return np.stack([_action_shape(folder, neutral, action) for action in ACTIONS])


def _action_shape(
    folder: Path, neutral: Float64[np.ndarray, "points 3"], action: str
) -> Float64[np.ndarray, "points 3"]:
    """Sum of the expression shapes of one action."""
    name, _, side = action.partition("_")
    total = np.zeros_like(neutral)
    for shape, weight in SHAPES.get(name, {}).items():
        whole = [f"{shape}_{side}"] if name in SIDED else [shape, f"{shape}_L", f"{shape}_R"]
        for path in (folder / f"{candidate}.obj" for candidate in whole):
            if path.is_file():
                total += weight * (_vertices(path) - neutral)
    return total


def _eyeballs(
    neutral: Float64[np.ndarray, "points 3"], modes: Float64[np.ndarray, "shape points 3"]
) -> tuple[Float64[np.ndarray, "2 3"], Float64[np.ndarray, "shape 2 3"], float]:
    """Centres of left and right eyeball, how identity moves them, and their radius."""
    eyes = neutral[EYE_VERTICES]
    halves = [eyes[:, 0] > 0, eyes[:, 0] < 0]
    centres = np.stack([0.5 * (eyes[half].min(axis=0) + eyes[half].max(axis=0)) for half in halves])
    radius = 0.5 * float(np.ptp(eyes[halves[0]][:, 1]))
    centres[:, 2] = eyes[:, 2].max() - radius
    moved = np.stack([modes[:, EYE_VERTICES][:, half].mean(axis=1) for half in halves], axis=1)
    return centres, moved, radius


@functools.cache
def _landmark_vertices(folder: Path) -> Int64[np.ndarray, " landmarks"]:
    """The 83 landmarks as vertices: curves of the 68, resampled in the texture plane, where the lips lie apart."""
    texture = load_geometry(folder).texture
    _, nearest = cKDTree(texture).query(_landmark_places(texture[list(IBUG)]))
    return np.asarray(nearest, dtype=np.int64)


def _landmark_places(ibug: Float64[np.ndarray, "68 2"]) -> Float64[np.ndarray, "83 2"]:
    """Places of the 83 landmarks in the texture plane; u rises to the subject's left."""
    right_eye = np.concatenate([_resample(ibug[[36, 37, 38, 39]], 5)[:-1], _resample(ibug[[39, 40, 41, 36]], 5)[:-1]])
    left_eye = np.concatenate([_resample(ibug[[45, 44, 43, 42]], 5)[:-1], _resample(ibug[[42, 47, 46, 45]], 5)[:-1]])
    up = np.array([0.0, 0.008])
    right_brow = np.concatenate([ibug[17:22] + up, ibug[17:22][::-1] - up])
    left_brow = np.concatenate([ibug[22:27][::-1] + up, ibug[22:27] - up])
    contour = _resample(ibug[0:17], 15)
    return np.concatenate(
        [right_eye, left_eye, right_brow, left_brow, _nose_places(ibug), ibug[48:60], ibug[60:68], contour]
    )


def _nose_places(ibug: Float64[np.ndarray, "68 2"]) -> Float64[np.ndarray, "12 2"]:
    """Right root, side, upper wing, wing, nostril; base; the left ones back up; tip."""
    right = [
        0.65 * ibug[27] + 0.35 * ibug[39],
        0.45 * ibug[31] + 0.55 * ibug[28],
        [ibug[31, 0], ibug[30, 1]],
        ibug[31] + [-0.012, 0.012],
        ibug[32],
    ]
    left = [
        0.65 * ibug[27] + 0.35 * ibug[42],
        0.45 * ibug[35] + 0.55 * ibug[28],
        [ibug[35, 0], ibug[30, 1]],
        ibug[35] + [0.012, 0.012],
        ibug[34],
    ]
    return np.array([*right, ibug[33], *left[::-1], ibug[30]])


def _resample(curve: Float64[np.ndarray, "points 2"], count: int) -> Float64[np.ndarray, "count 2"]:
    """Points evenly along a polyline, its ends included."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    places = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(places, along, curve[:, axis]) for axis in range(2)], axis=1)


@functools.cache
def _landmark_patch(folder: Path) -> LinearPatch:
    return _skin_patch(folder, _landmark_vertices(folder))


def _skin_patch(folder: Path, vertices: Int[np.ndarray, " points"]) -> LinearPatch:
    geometry = load_geometry(folder)
    return linear_patch(geometry.rest[vertices], geometry.identity[:, vertices], geometry.actions[:, vertices])


@functools.cache
def _material_points(folder: Path) -> Float64[np.ndarray, "points 2"]:
    """Where each vertex lies on our material plane: a thin-plate warp that brings the landmarks together."""
    texture, landmarks = load_geometry(folder).texture, _landmark_vertices(folder)
    warp = RBFInterpolator(texture[landmarks], landmark_points(), kernel="thin_plate_spline", smoothing=1e-5)
    points = warp(texture)
    return np.asarray(np.clip(points, [-P_HALF, Q_LOW], [P_HALF, Q_HIGH]))


@functools.cache
def _sampling(folder: Path, index: int) -> IctSampling:
    kept = _thin(folder, np.random.default_rng([68, index]))
    skin_faces = _join(folder, kept)
    (grid, mouth_faces), (directions, eye_faces) = mouth_grid(), front_of_eyeball()
    starts = np.cumsum([len(kept), len(grid), len(directions)])
    faces = [skin_faces, mouth_faces + starts[0], eye_faces + starts[1], eye_faces + starts[2]]
    material = _material_points(folder)[kept]
    eyes = [eye_coordinates(directions, side) for side in (1.0, -1.0)]
    coordinates = [skin_coordinates(material), mouth_coordinates(*grid.T), *eyes]
    return IctSampling(
        _skin_patch(folder, kept),
        _mouth_patch(folder),
        np.concatenate(faces).astype(np.int32),
        skin_faces,
        np.concatenate(coordinates).astype(np.float32),
        material,
    )


@functools.cache
def _mouth_patch(folder: Path) -> LinearPatch:
    """Teeth and tongue behind the lips: the upper half keeps to the skull, the lower follows the chin."""
    geometry, (grid, _) = load_geometry(folder), mouth_grid()
    corner, lips = abs(geometry.rest[IBUG[54], 0]), [IBUG[62], IBUG[66]]
    place = np.stack([corner * grid[:, 0], 11.0 * grid[:, 1], -9.0 - 9.0 * grid[:, 0] ** 2], axis=1)
    place += geometry.rest[lips].mean(axis=0)
    identity = np.repeat(geometry.identity[:, lips].mean(axis=1)[:, None], len(grid), axis=1)
    actions = np.zeros((len(ACTIONS), len(grid), 3))
    jaw = ACTIONS.index("AU26")
    actions[jaw] = lower_teeth(grid)[:, None] * geometry.actions[jaw, IBUG[8]]
    return linear_patch(place, identity, actions)


def _thin(folder: Path, rng: np.random.Generator) -> Int64[np.ndarray, " kept"]:
    """Vertices no nearer to each other than the scanner resolves; rims of eyes and mouth are all kept."""
    geometry = load_geometry(folder)
    rest = geometry.rest
    spacing = _spacing(geometry)
    rims = _rims(geometry.faces)
    order = np.argsort(rng.random(len(rest)) - 2.0 * rims)
    neighbours = cKDTree(rest).query_ball_point(rest, np.where(rims, 0.0, spacing))
    free = np.linalg.norm(rest, axis=1) < REACH_MM
    kept = []
    for vertex in order:
        if free[vertex]:
            kept.append(vertex)
            free[neighbours[vertex]] = False
            free[vertex] = False
    return np.sort(np.array(kept, dtype=np.int64))


def _spacing(geometry: IctGeometry) -> Float64[np.ndarray, " points"]:
    """Distance of neighbouring samples at each vertex, mm: finer around eyes, nose and mouth."""
    rest = geometry.rest
    mouth = rest[[IBUG[62], IBUG[66]]].mean(axis=0)
    centres = np.stack([*(geometry.eye_centres + np.array([0.0, 0.0, geometry.eye_radius])), mouth])
    distance = np.linalg.norm(rest[:, None] - centres, axis=2).min(axis=1)
    return np.asarray(np.interp(distance, [14.0, 26.0, 60.0, 90.0], [1.7, 2.9, 4.2, 7.0]))


def _rims(faces: Int64[np.ndarray, "faces 4"]) -> Bool[np.ndarray, " points"]:
    """Vertices on an edge that belongs to one face only."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 3]], faces[:, [3, 0]]])
    edges = np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    rim = np.zeros(FACE_VERTICES, dtype=bool)
    rim[unique[counts == 1].ravel()] = True
    return rim


def _join(folder: Path, kept: Int64[np.ndarray, " kept"]) -> Faces:
    """Triangles between the kept vertices, in the texture plane where the model's own faces cover it."""
    texture = load_geometry(folder).texture[kept]
    faces = join(texture)
    pixels = np.clip((texture[faces].mean(axis=1) * COVER_PIXELS).astype(int), 0, COVER_PIXELS - 1)
    covered = _cover(folder)[pixels[:, 1], pixels[:, 0]]
    rest = load_geometry(folder).rest[kept]
    edges = np.linalg.norm(rest[faces] - rest[np.roll(faces, 1, axis=1)], axis=2).max(axis=1)
    return np.asarray(faces[covered & (edges < 18.0)])


@functools.cache
def _cover(folder: Path) -> Bool[np.ndarray, "pixels pixels"]:
    """Where the texture plane is covered by the model's own faces; row 0 is v = 0."""
    geometry = load_geometry(folder)
    picture = Image.new("1", (COVER_PIXELS, COVER_PIXELS))
    draw = ImageDraw.Draw(picture)
    for polygon in geometry.texture[geometry.faces] * COVER_PIXELS:
        draw.polygon([(float(u), float(v)) for u, v in polygon], fill=1)
    return np.array(picture)


@functools.cache
def _nearest_to_pixels(folder: Path) -> Int64[np.ndarray, " pixels"]:
    """The vertex of the first sampling that is nearest to each pixel of the normal map."""
    across, along = np.meshgrid(np.linspace(-P_HALF, P_HALF, NORMAL_COLUMNS), np.linspace(Q_HIGH, Q_LOW, NORMAL_ROWS))
    grid = np.stack([across.ravel(), along.ravel()], axis=1)
    _, nearest = cKDTree(_sampling(folder, 0).material).query(grid)
    return np.asarray(nearest, dtype=np.int64)


def _vertex_normals(vertices: Float64[np.ndarray, "points 3"], faces: Faces) -> Float64[np.ndarray, "points 3"]:
    """Unit normals, weighted by area."""
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    across = np.cross(second - first, third - first)
    normals = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    return np.asarray(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9))
