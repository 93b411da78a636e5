"""Reading ICT-FaceKit: vertices, faces, texture coordinates and shapes of a user's clone, where it lies.

Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020. The published files and a cut of them to
their vertices are both understood.
"""

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64, Int64

from affect4d.store import file_digest
from affect4d.synthetic.actions import ACTIONS, SIDED

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

SHAPES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "AU1": MappingProxyType({"browInnerUp": 1.3}),
        "AU2": MappingProxyType({"browOuterUp": 1.0}),
        "AU4": MappingProxyType({"browDown": 1.4}),
        "AU5": MappingProxyType({"eyeWide": 1.2}),
        "AU6": MappingProxyType({"cheekSquint": 1.0, "cheekRaiser": 0.5}),
        "AU7": MappingProxyType({"eyeSquint": 1.3}),
        "AU9": MappingProxyType({"noseSneer": 1.0}),
        "AU10": MappingProxyType({"mouthUpperUp": 0.9}),
        "AU12": MappingProxyType({"mouthSmile": 0.9}),
        "AU14": MappingProxyType({"mouthDimple": 1.0}),
        "AU15": MappingProxyType({"mouthFrown": 1.0}),
        "AU16": MappingProxyType({"mouthLowerDown": 0.9}),
        "AU20": MappingProxyType({"mouthStretch": 1.0}),
        "AU34": MappingProxyType({"cheekPuff": 1.0}),
        "AU45": MappingProxyType({"eyeBlink": 1.0}),
        "AU17": MappingProxyType({"mouthShrugLower": 1.0}),
        "AU18": MappingProxyType({"mouthPucker": 1.0}),
        "AU22": MappingProxyType({"mouthFunnel": 0.9}),
        "AU23": MappingProxyType({"mouthPress": 0.5, "mouthRollLower": 0.4, "mouthRollUpper": 0.4}),
        "AU24": MappingProxyType({"mouthPress": 1.0}),
        "AU25": MappingProxyType({"mouthUpperUp": 0.25, "mouthLowerDown": 0.5}),
        "AU26": MappingProxyType({"jawOpen": 0.65}),
        "AU28": MappingProxyType({"mouthRollLower": 0.8, "mouthRollUpper": 0.8}),
        "jaw_left": MappingProxyType({"jawLeft": 0.8}),
        "mouth_left": MappingProxyType({"mouthLeft": 0.8}),
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


def ict_fingerprint(folder: str | None) -> list[list[str]]:
    """Names and digests of the model's files, for content keys."""
    return [[path.name, _digest(path, path.stat().st_mtime_ns)] for path in sorted(model_folder(folder).glob("*.obj"))]


@functools.cache
def _digest(path: Path, modified: int) -> str:
    """Of a file, read once a process unless it is written again."""
    return file_digest(path)


@functools.cache
def load_geometry(folder: Path) -> IctGeometry:
    """Read the model, whole or cut to its vertices, once a process.

    Raises:
        ValueError: If a file is missing, or not of this model.
    """
    neutral = _vertices(folder / "generic_neutral_mesh.obj")
    identity = [_moved(path, neutral) for path in _mode_files(folder)]
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


def _mode_files(folder: Path) -> list[Path]:
    """``identity000.obj`` and on, as far as they go.

    Raises:
        ValueError: If there are none, or one of them is missing.
    """
    found = sorted(folder.glob("identity[0-9]*.obj"))
    numbered = [folder / f"identity{number:03d}.obj" for number in range(len(found))]
    missing = [path.name for path in numbered if path not in found]
    if missing or not found:
        lacking = f"no {missing[0]}" if missing else "no identity modes (identity000.obj …)"
        raise ValueError(f"There is {lacking} in {folder}; the clone is incomplete.")
    return numbered


def _vertices(path: Path) -> Float64[np.ndarray, "points 3"]:
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


def _moved(path: Path, neutral: Float64[np.ndarray, "points 3"]) -> Float64[np.ndarray, "points 3"]:
    """How far a shape's vertices are from the neutral mesh's, mm."""
    vertices = _vertices(path)
    if len(vertices) != len(neutral):
        raise ValueError(
            f"{path} has {len(vertices):,} vertices, and the neutral mesh {len(neutral):,}: get the files again."
        )
    moved: Float64[np.ndarray, "points 3"] = vertices - neutral
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


def _action_basis(folder: Path, neutral: Float64[np.ndarray, "points 3"]) -> Float64[np.ndarray, "actions points 3"]:
    return np.stack([_action_shape(folder, neutral, action) for action in ACTIONS])


def _action_shape(
    folder: Path, neutral: Float64[np.ndarray, "points 3"], action: str
) -> Float64[np.ndarray, "points 3"]:
    """Sum of the expression shapes of one action: of both sides where it has none and its shapes are cut in two."""
    name, _, side = action.partition("_")
    total = np.zeros_like(neutral)
    sided = name in SIDED
    for shape, weight in SHAPES.get(name if sided else action, {}).items():
        cut = any((folder / f"{shape}_{half}.obj").is_file() for half in "LR")
        for file in [f"{shape}_{side}"] if sided else [f"{shape}_L", f"{shape}_R"] if cut else [shape]:
            path = folder / f"{file}.obj"
            if not path.is_file():
                raise ValueError(
                    f"There is no {path.name}, of which {action} is made, in {folder}; the clone is incomplete."
                )
            total += weight * _moved(path, neutral)
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
