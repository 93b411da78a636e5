"""ICT-FaceKit as a face model: the files of a user's clone, thinned and joined anew as a scanner would see the face.

Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020. The published files and a version of
them cut to their vertices are both understood. No albedo comes with them: the texture is painted by
:mod:`affect4d.synthetic.face_texture`, whose material plane is laid over the model's texture plane by the landmarks.
"""

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64
from PIL import Image, ImageDraw
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from affect4d.array_types import Faces
from affect4d.store import file_digest
from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL, ActionWeights
from affect4d.synthetic.face_model_and_skin_coordinates import (
    DENSITIES,
    NORMAL_COLUMNS,
    NORMAL_ROWS,
    P_HALF,
    Q_HIGH,
    Q_LOW,
    Blendshapes,
    FaceMesh,
    FaceSurface,
    MaterialPoints,
    ModeBasis,
    NormalMap,
    SpacePoints,
    blendshapes,
    join_face,
    lower_teeth,
    mouth_grid,
    normal_grid,
    triangulate,
    with_strip,
)
from affect4d.synthetic.procedural_face import landmark_points
from affect4d.synthetic.subject_appearance_and_expressive_style import IdentityShape

FACE_VERTICES, FACE_FACES = 9409, 9230
EYE_VERTICES = slice(21451, 24591)
MILLIMETRES = 10.0

IBUG: tuple[int, ...] = (
    *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443),
    *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360),
    *(1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732),
    *(5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841),
    *(5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
)
"""The model's 68 iBUG landmark vertices, as published in its ``vertex_indices.json``."""

SHAPES: Mapping[str, Mapping[str, float]] = {
    "AU1": {"browInnerUp": 1.3},
    "AU2": {"browOuterUp": 1.0},
    "AU4": {"browDown": 1.4},
    "AU5": {"eyeWide": 1.2},
    "AU6": {"cheekSquint": 1.0, "cheekRaiser": 0.5},
    "AU7": {"eyeSquint": 1.3},
    "AU9": {"noseSneer": 1.0},
    "AU10": {"mouthUpperUp": 0.9},
    "AU12": {"mouthSmile": 0.9},
    "AU14": {"mouthDimple": 1.0},
    "AU15": {"mouthFrown": 1.0},
    "AU16": {"mouthLowerDown": 0.9},
    "AU20": {"mouthStretch": 1.0},
    "AU34": {"cheekPuff": 1.0},
    "AU45": {"eyeBlink": 1.0},
    "AU17": {"mouthShrugLower": 1.0},
    "AU18": {"mouthPucker": 1.0},
    "AU22": {"mouthFunnel": 0.9},
    "AU23": {"mouthPress": 0.5, "mouthRollLower": 0.4, "mouthRollUpper": 0.4},
    "AU24": {"mouthPress": 1.0},
    "AU25": {"mouthUpperUp": 0.25, "mouthLowerDown": 0.5},
    "AU26": {"jawOpen": 0.65},
    "AU28": {"mouthRollLower": 0.8, "mouthRollUpper": 0.8},
    "jaw_left": {"jawLeft": 0.8},
    "mouth_left": {"mouthLeft": 0.8},
}
"""Expression shapes of each action unit; ``_L`` and ``_R`` are added where the model has both halves."""
JAW = ("AU26", "jaw_left", "jawOpen", "jawLeft", "jawRight", "jawForward")  # units and shapes that the teeth follow
SAMPLINGS = 9
SPACINGS = (0.95, 1.1, 1.25)  # factors on the distance of neighbours, one for each density
RIM = 3.0  # height over the lower edge, mm, at which the skin's texture ends: below it lie eyes and teeth
REACH_MM = 118.0  # vertices farther from the tip of the nose are not scanned
LONGEST_EDGE = 18.0
COVER_PIXELS = 2048

VertexIndices = Int64[np.ndarray, " vertices"]


@dataclass(frozen=True, eq=False)
class IctGeometry:
    """The face proper and the eyeballs: mm, nose tip at the origin; one object a clone, and a key of caches."""

    units: tuple[str, ...]  # columns of weights: ``ACTION_UNITS``, then single shapes
    neutral: SpacePoints
    identity: ModeBasis
    actions: ModeBasis
    faces: Int64[np.ndarray, "faces 4"]  # quads; a triangle repeats its last corner
    texture: Float64[np.ndarray, "points 2"]  # texture coordinates of the vertices, v up
    eye_centres: Float64[np.ndarray, "2 3"]
    eye_identity: Float64[np.ndarray, "shape 2 3"]
    eye_radius: float  # of the front of the eyeballs


class IctFace:
    """The face of a user's clone; a FileNotFoundError without one names the setting and the source.

    Weights have one column for each of ``shapes``, expression shapes by name, behind those of the action units.
    """

    def __init__(self, folder: str | None, shapes: tuple[str, ...] = ()) -> None:
        self._geometry = load_geometry(model_folder(folder), shapes)
        self.shape_count = len(self._geometry.identity)

    def surface(self, shape: IdentityShape, weights: ActionWeights, sampling: int) -> FaceSurface:
        """The face of this identity under these weights; ``sampling`` picks one of ``SAMPLINGS`` meshes."""
        geometry, (mesh, _, _) = self._geometry, _sampling(self._geometry, sampling % SAMPLINGS)
        centres = geometry.eye_centres + np.tensordot(shape, geometry.eye_identity, axes=1)
        skin, mouth = mesh.skin.place(shape, weights), mesh.mouth.place(shape, weights)
        landmarks = _landmark_shapes(geometry).place(shape, weights)
        return mesh.surface(skin, mouth, centres, geometry.eye_radius, weights, landmarks)

    def normal_map(self, shape: IdentityShape, weights: ActionWeights) -> NormalMap:
        """Normals over the texture, taken from the nearest vertices."""
        mesh, skin_faces, _ = _sampling(self._geometry, 0)
        normals = _vertex_normals(mesh.skin.place(shape, weights), skin_faces)
        return with_strip(normals[_nearest_to_pixels(self._geometry)].reshape(NORMAL_ROWS, NORMAL_COLUMNS, 3))


@functools.cache
def _sampling(geometry: IctGeometry, index: int) -> tuple[FaceMesh, Faces, MaterialPoints]:
    spacing = SPACINGS[index % DENSITIES]
    kept = _thin(geometry, np.random.default_rng([68, index]), spacing)
    faces, material = _join_vertices(geometry, kept, spacing), _material_points(geometry)[kept]
    return join_face(_skin_shapes(geometry, kept), _mouth_shapes(geometry), faces, material), faces, material


@functools.cache
def _landmark_shapes(geometry: IctGeometry) -> Blendshapes:
    return _skin_shapes(geometry, _landmark_vertices(geometry))


def _skin_shapes(geometry: IctGeometry, vertices: VertexIndices) -> Blendshapes:
    return blendshapes(geometry.neutral[vertices], geometry.identity[:, vertices], geometry.actions[:, vertices])


@functools.cache
def _mouth_shapes(geometry: IctGeometry) -> Blendshapes:
    """Teeth and tongue behind the lips: the upper half keeps to the skull, the lower follows the chin."""
    grid, _ = mouth_grid()
    corner, lips = abs(geometry.neutral[IBUG[54], 0]), [IBUG[62], IBUG[66]]
    place = np.stack([corner * grid[:, 0], 11.0 * grid[:, 1], -9.0 - 9.0 * grid[:, 0] ** 2], axis=1)
    place += geometry.neutral[lips].mean(axis=0)
    identity = np.repeat(geometry.identity[:, lips].mean(axis=1)[:, None], len(grid), axis=1)
    actions = np.zeros((len(geometry.units), len(grid), 3))
    for jaw in (column for column, unit in enumerate(geometry.units) if unit in JAW):
        actions[jaw] = lower_teeth(grid)[:, None] * geometry.actions[jaw, IBUG[8]]
    return blendshapes(place, identity, actions)


@functools.cache
def _material_points(geometry: IctGeometry) -> MaterialPoints:
    """Material point of each vertex: a thin-plate warp of the texture plane that brings the landmarks together."""
    texture, landmarks = geometry.texture, _landmark_vertices(geometry)
    warp = RBFInterpolator(texture[landmarks], landmark_points(), kernel="thin_plate_spline", smoothing=1e-5)
    return np.asarray(np.clip(warp(texture), [-P_HALF, Q_LOW + RIM], [P_HALF, Q_HIGH]))


@functools.cache
def _nearest_to_pixels(geometry: IctGeometry) -> Int64[np.ndarray, " pixels"]:
    _, nearest = cKDTree(_sampling(geometry, 0)[2]).query(normal_grid())
    return np.asarray(nearest, dtype=np.int64)


def _vertex_normals(vertices: SpacePoints, faces: Faces) -> SpacePoints:
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    across = np.repeat(np.cross(second - first, third - first), 3, axis=0)
    normals = np.stack([np.bincount(faces.ravel(), column, len(vertices)) for column in across.T], axis=1)
    return np.asarray(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9))


def _thin(geometry: IctGeometry, rng: np.random.Generator, spacing: float) -> VertexIndices:
    """Vertices no nearer to each other than the scanner resolves; rims of eyes and mouth are all kept."""
    neutral, distances = geometry.neutral, spacing * _distances(geometry)
    rims = _rims(geometry.faces)
    order = np.argsort(rng.random(len(neutral)) - 2.0 * rims)
    neighbours = cKDTree(neutral).query_ball_point(neutral, np.where(rims, 0.0, distances))
    free = np.linalg.norm(neutral, axis=1) < REACH_MM
    kept = []
    for vertex in order:
        if free[vertex]:
            kept.append(vertex)
            free[neighbours[vertex]] = False
            free[vertex] = False
    return np.sort(np.array(kept, dtype=np.int64))


def _distances(geometry: IctGeometry) -> Float64[np.ndarray, " points"]:
    neutral = geometry.neutral
    mouth = neutral[[IBUG[62], IBUG[66]]].mean(axis=0)
    centres = np.stack([*(geometry.eye_centres + np.array([0.0, 0.0, geometry.eye_radius])), mouth])
    distance = np.linalg.norm(neutral[:, None] - centres, axis=2).min(axis=1)
    return np.asarray(np.interp(distance, [14.0, 26.0, 60.0, 90.0], [1.7, 2.9, 4.2, 7.0]))


def _rims(faces: Int64[np.ndarray, "faces 4"]) -> Bool[np.ndarray, " points"]:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 3]], faces[:, [3, 0]]])
    edges = np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    rim = np.zeros(FACE_VERTICES, dtype=bool)
    rim[unique[counts == 1].ravel()] = True
    return rim


def _join_vertices(geometry: IctGeometry, kept: VertexIndices, spacing: float) -> Faces:
    """Triangles between the kept vertices, in the texture plane where the model's own faces cover it."""
    texture = geometry.texture[kept]
    faces = triangulate(texture)
    pixels = np.clip((texture[faces].mean(axis=1) * COVER_PIXELS).astype(int), 0, COVER_PIXELS - 1)
    covered = _cover(geometry)[pixels[:, 1], pixels[:, 0]]
    neutral = geometry.neutral[kept]
    edges = np.linalg.norm(neutral[faces] - neutral[np.roll(faces, 1, axis=1)], axis=2).max(axis=1)
    return np.asarray(faces[covered & (edges < LONGEST_EDGE * spacing)])


@functools.cache
def _cover(geometry: IctGeometry) -> Bool[np.ndarray, "pixels pixels"]:
    """Mask of the texture plane that the model's own faces cover; row 0 is v = 0."""
    image = Image.new("1", (COVER_PIXELS, COVER_PIXELS))
    draw = ImageDraw.Draw(image)
    for polygon in geometry.texture[geometry.faces] * COVER_PIXELS:
        draw.polygon([(float(u), float(v)) for u, v in polygon], fill=1)
    return np.array(image)


@functools.cache
def _landmark_vertices(geometry: IctGeometry) -> VertexIndices:
    """Vertices of the 83 landmarks: the model's 68, resampled in the texture plane, where the lips lie apart."""
    texture = geometry.texture
    _, nearest = cKDTree(texture).query(_landmark_places(texture[list(IBUG)]))
    return np.asarray(nearest, dtype=np.int64)


def _landmark_places(ibug: Float64[np.ndarray, "68 2"]) -> Float64[np.ndarray, "83 2"]:
    """Places of the 83 landmarks in the texture plane; u rises to the subject's left."""
    right_eye = np.concatenate([_resample(ibug[[36, 37, 38, 39]], 5)[:-1], _resample(ibug[[39, 40, 41, 36]], 5)[:-1]])
    left_eye = np.concatenate([_resample(ibug[[45, 44, 43, 42]], 5)[:-1], _resample(ibug[[42, 47, 46, 45]], 5)[:-1]])
    up = np.array([0.0, 0.008])
    right_brow = np.concatenate([ibug[17:22] + up, ibug[17:22][::-1] - up])
    left_brow = np.concatenate([ibug[22:27][::-1] + up, ibug[22:27] - up])
    right_nose, left_nose = _nose_side(ibug, 39, (31, 32), -1.0), _nose_side(ibug, 42, (35, 34), 1.0)
    nose = [*right_nose, ibug[33], *left_nose[::-1], ibug[30]]
    contour = _resample(ibug[0:17], 15)
    return np.concatenate([right_eye, left_eye, right_brow, left_brow, nose, ibug[48:60], ibug[60:68], contour])


def _nose_side(ibug: np.ndarray, eye: int, wing: tuple[int, int], side: float) -> list[np.ndarray]:
    """Root, side, upper wing, wing and nostril."""
    outer, nostril = ibug[wing[0]], ibug[wing[1]]
    root, middle = 0.65 * ibug[27] + 0.35 * ibug[eye], 0.45 * outer + 0.55 * ibug[28]
    return [root, middle, np.array([outer[0], ibug[30, 1]]), np.add(outer, (side * 0.012, 0.012)), nostril]


def _resample(curve: Float64[np.ndarray, "points 2"], count: int) -> Float64[np.ndarray, "count 2"]:
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    places = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(places, along, curve[:, axis]) for axis in range(2)], axis=1)


def model_folder(folder: str | None) -> Path:
    """The folder of the model's .obj files; a FileNotFoundError says how to get them."""
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


def ict_digests(folder: str | None) -> list[list[str]]:
    """Names and digests of the model's files, for content keys."""
    return [[path.name, _digest(path, path.stat().st_mtime_ns)] for path in sorted(model_folder(folder).glob("*.obj"))]


@functools.cache
def _digest(path: Path, modified: int) -> str:
    return file_digest(path)


@functools.cache
def load_geometry(folder: Path, shapes: tuple[str, ...] = ()) -> IctGeometry:
    """Read the model, once a process; a ValueError names a file that is missing, or not of this model."""
    neutral = read_vertices(folder / "generic_neutral_mesh.obj")
    modes = np.stack([displacements_of(path, neutral) for path in mode_files(folder)])
    faces, texture = _topology(folder / "generic_neutral_mesh.obj")
    origin = neutral[IBUG[30]]
    centres, moved, radius = _eyeballs(neutral, modes)
    units = [unit_shape(folder, neutral, unit) for unit in ACTION_UNITS]
    units += [displacements_of(folder / f"{shape}.obj", neutral) for shape in shapes]
    return IctGeometry(
        units=(*ACTION_UNITS, *shapes),
        neutral=neutral[:FACE_VERTICES] - origin,
        identity=modes[:, :FACE_VERTICES],
        actions=np.stack(units)[:, :FACE_VERTICES],
        faces=faces,
        texture=texture,
        eye_centres=centres - origin,
        eye_identity=moved,
        eye_radius=radius,
    )


def mode_files(folder: Path) -> list[Path]:
    """``identity000.obj`` and on; a ValueError names the first one missing."""
    found = sorted(folder.glob("identity[0-9]*.obj"))
    numbered = [folder / f"identity{number:03d}.obj" for number in range(len(found))]
    missing = [path.name for path in numbered if path not in found]
    if missing or not found:
        lacking = f"no {missing[0]}" if missing else "no identity modes (identity000.obj …)"
        raise ValueError(f"There is {lacking} in {folder}; the clone is incomplete.")
    return numbered


def read_vertices(path: Path) -> SpacePoints:
    """Vertices of one of the model's files, mm; a ValueError names a damaged file."""
    with path.open("rb") as file:
        words = b" ".join(line[2:] for line in file if line.startswith(b"v ")).split()
    try:
        values = np.array(words, dtype=np.float64).reshape(-1, 3)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): get ICT-FaceKit's file again.") from error
    if len(values) < EYE_VERTICES.stop:
        raise ValueError(f"{path}: {len(values)} vertices, where ICT-FaceKit has 26,719. Is it a file of this model?")
    return values * MILLIMETRES


def displacements_of(path: Path, neutral: SpacePoints) -> SpacePoints:
    """Displacements of a file's vertices from the neutral ones, mm."""
    vertices = read_vertices(path)
    if len(vertices) != len(neutral):
        raise ValueError(
            f"{path} has {len(vertices):,} vertices, and the neutral mesh {len(neutral):,}: get the files again."
        )
    return np.asarray(vertices - neutral)


def _topology(path: Path) -> tuple[Int64[np.ndarray, "faces 4"], Float64[np.ndarray, "points 2"]]:
    with path.open() as file:
        lines = file.readlines()
    table = np.array([line.split()[1:3] for line in lines if line.startswith("vt ")], dtype=np.float64)
    rows = itertools.islice((line for line in lines if line.startswith("f ")), FACE_FACES)
    corners = [[pair.split("/")[:2] for pair in line.split()[1:]] for line in rows]
    if len(corners) < FACE_FACES or len(table) == 0:
        raise ValueError(f"{path} has not the faces and texture coordinates of ICT-FaceKit: get its file again.")
    padded = np.array([face if len(face) == 4 else [*face, face[-1]] for face in corners], dtype=np.int64) - 1
    texture = np.zeros((FACE_VERTICES, 2))
    texture[padded[..., 0].ravel()] = table[padded[..., 1].ravel()]
    return padded[..., 0], texture


def unit_shape(folder: Path, neutral: SpacePoints, unit: str) -> SpacePoints:
    """Sum of the expression shapes of one unit: of both sides where it has none and its shapes are cut in two."""
    name, _, side = unit.partition("_")
    total = np.zeros_like(neutral)
    sided = name in BILATERAL
    for shape, weight in SHAPES.get(name if sided else unit, {}).items():
        cut = any((folder / f"{shape}_{half}.obj").is_file() for half in "LR")
        for file in [f"{shape}_{side}"] if sided else [f"{shape}_L", f"{shape}_R"] if cut else [shape]:
            path = folder / f"{file}.obj"
            if not path.is_file():
                raise ValueError(f"There is no {path.name}, of which {unit} is made, in {folder}: it is incomplete.")
            total += weight * displacements_of(path, neutral)
    return total


def _eyeballs(
    neutral: SpacePoints, modes: ModeBasis
) -> tuple[Float64[np.ndarray, "2 3"], Float64[np.ndarray, "shape 2 3"], float]:
    """Centres of left and right eyeball, how identity moves them, and their radius."""
    eyes = neutral[EYE_VERTICES]
    halves = [eyes[:, 0] > 0, eyes[:, 0] < 0]
    centres = np.stack([0.5 * (eyes[half].min(axis=0) + eyes[half].max(axis=0)) for half in halves])
    radius = 0.5 * float(np.ptp(eyes[halves[0]][:, 1]))
    centres[:, 2] = eyes[:, 2].max() - radius
    moved = np.stack([modes[:, EYE_VERTICES][:, half].mean(axis=1) for half in halves], axis=1)
    return centres, moved, radius
