"""ICT-FaceKit's files: vertices, faces, texture coordinates and shapes of a user's clone, read in place.

Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020. The published files and a version of
them cut to their vertices are both understood.
"""

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from affect4d.store import file_digest
from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL
from affect4d.synthetic.face_model import ModeBasis, SpacePoints

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


@dataclass(frozen=True)
class IctGeometry:
    """The face proper and the eyeballs: mm, nose tip at the origin."""

    neutral: SpacePoints
    identity: ModeBasis
    actions: ModeBasis
    faces: Int64[np.ndarray, "faces 4"]  # quads; a triangle repeats its last corner
    texture: Float64[np.ndarray, "points 2"]  # texture coordinates of the vertices, v up
    eye_centres: Float64[np.ndarray, "2 3"]
    eye_identity: Float64[np.ndarray, "shape 2 3"]
    eye_radius: float  # of the front of the eyeballs


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
    """Of a file, read once a process unless it changes."""
    return file_digest(path)


@functools.cache
def load_geometry(folder: Path) -> IctGeometry:
    """Read the model, once a process; a ValueError names a file that is missing, or not of this model."""
    neutral = _vertices(folder / "generic_neutral_mesh.obj")
    identity = [_moved(path, neutral) for path in _mode_files(folder)]
    modes = np.stack(identity)
    faces, corners, table = _topology(folder / "generic_neutral_mesh.obj")
    texture = np.zeros((FACE_VERTICES, 2))
    texture[faces.ravel()] = table[corners.ravel()]
    origin = neutral[IBUG[30]]
    centres, moved, radius = _eyeballs(neutral, modes)
    return IctGeometry(
        neutral=neutral[:FACE_VERTICES] - origin,
        identity=modes[:, :FACE_VERTICES],
        actions=np.stack([_unit_shape(folder, neutral, unit) for unit in ACTION_UNITS])[:, :FACE_VERTICES],
        faces=faces,
        texture=texture,
        eye_centres=centres - origin,
        eye_identity=moved,
        eye_radius=radius,
    )


def _mode_files(folder: Path) -> list[Path]:
    """``identity000.obj`` and on; a ValueError names the first one missing."""
    found = sorted(folder.glob("identity[0-9]*.obj"))
    numbered = [folder / f"identity{number:03d}.obj" for number in range(len(found))]
    missing = [path.name for path in numbered if path not in found]
    if missing or not found:
        lacking = f"no {missing[0]}" if missing else "no identity modes (identity000.obj …)"
        raise ValueError(f"There is {lacking} in {folder}; the clone is incomplete.")
    return numbered


def _vertices(path: Path) -> SpacePoints:
    """Vertices of an .obj file, mm."""
    with path.open("rb") as file:
        words = b" ".join(line[2:] for line in file if line.startswith(b"v ")).split()
    try:
        values = np.array(words, dtype=np.float64).reshape(-1, 3)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): get ICT-FaceKit's file again.") from error
    if len(values) < EYE_VERTICES.stop:
        raise ValueError(f"{path}: {len(values)} vertices, where ICT-FaceKit has 26,719. Is it a file of this model?")
    return values * MILLIMETRES


def _moved(path: Path, neutral: SpacePoints) -> SpacePoints:
    """Displacements of a shape's vertices from the neutral mesh, mm."""
    vertices = _vertices(path)
    if len(vertices) != len(neutral):
        raise ValueError(
            f"{path} has {len(vertices):,} vertices, and the neutral mesh {len(neutral):,}: get the files again."
        )
    moved: SpacePoints = vertices - neutral
    return moved


def _topology(
    path: Path,
) -> tuple[Int64[np.ndarray, "faces 4"], Int64[np.ndarray, "faces 4"], Float64[np.ndarray, "n 2"]]:
    """Vertex and texture indices of the face proper's faces, and all texture coordinates."""
    with path.open() as file:
        lines = file.readlines()
    table = np.array([line.split()[1:3] for line in lines if line.startswith("vt ")], dtype=np.float64)
    rows = itertools.islice((line for line in lines if line.startswith("f ")), FACE_FACES)
    corners = [[pair.split("/")[:2] for pair in line.split()[1:]] for line in rows]
    if len(corners) < FACE_FACES or len(table) == 0:
        raise ValueError(f"{path} has not the faces and texture coordinates of ICT-FaceKit: get its file again.")
    padded = np.array([face if len(face) == 4 else [*face, face[-1]] for face in corners], dtype=np.int64) - 1
    return padded[..., 0], padded[..., 1], table


def _unit_shape(folder: Path, neutral: SpacePoints, unit: str) -> SpacePoints:
    """Sum of the expression shapes of one unit: of both sides where it has none and its shapes are cut in two."""
    name, _, side = unit.partition("_")
    total = np.zeros_like(neutral)
    sided = name in BILATERAL
    for shape, weight in SHAPES.get(name if sided else unit, {}).items():
        cut = any((folder / f"{shape}_{half}.obj").is_file() for half in "LR")
        for file in [f"{shape}_{side}"] if sided else [f"{shape}_L", f"{shape}_R"] if cut else [shape]:
            path = folder / f"{file}.obj"
            if not path.is_file():
                raise ValueError(
                    f"There is no {path.name}, of which {unit} is made, in {folder}; the clone is incomplete."
                )
            total += weight * _moved(path, neutral)
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
