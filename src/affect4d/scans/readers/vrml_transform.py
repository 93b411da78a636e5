"""What a VRML ``Transform`` does to the points inside it (ISO/IEC 14772-1, 6.52)."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from affect4d.arrays import Pose
from affect4d.scans.readers.limits import MAX_COORDINATE
from affect4d.scans.readers.vrml_outline import Node
from affect4d.scans.scan import ScanError

MAX_FIELD_BYTES = 2**16
FIELDS = {
    "center": (0.0, 0.0, 0.0),
    "rotation": (0.0, 0.0, 1.0, 0.0),
    "scale": (1.0, 1.0, 1.0),
    "scaleOrientation": (0.0, 0.0, 1.0, 0.0),
    "translation": (0.0, 0.0, 0.0),
}
"""Fields that move points, with what they are where they are not given; rotations are an axis and an angle in
radians."""


def pose_of_node(node: Node, raw: bytes, path: Path) -> Pose:
    """The transform of one node: T · C · R · SR · S · −SR · −C.

    Raises:
        ScanError: If a field does not hold as many finite numbers as it should, or the fields are very long.
    """
    own = node.words(raw)
    if len(own) > MAX_FIELD_BYTES:
        raise ScanError("too-complex", path, f"the fields of a Transform take {len(own)} bytes", f"byte {node.start}")
    words = own.replace(b",", b" ").decode("utf-8", "replace").split()
    values = {name: _numbers(words, name, node, path) for name in FIELDS}
    scale = _rotation(values["scaleOrientation"])
    linear = _rotation(values["rotation"]) @ scale @ np.diag(values["scale"]) @ scale.T
    center = np.array(values["center"])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = linear, np.array(values["translation"]) + center - linear @ center
    return pose


def _numbers(words: list[str], name: str, node: Node, path: Path) -> tuple[float, ...]:
    if name not in words:
        return FIELDS[name]
    start = words.index(name) + 1
    try:
        numbers = tuple(float(word) for word in words[start : start + len(FIELDS[name])])
    except ValueError:
        numbers = ()
    if len(numbers) != len(FIELDS[name]) or not all(abs(number) <= MAX_COORDINATE for number in numbers):
        detail = f"{name} of a Transform is not {len(FIELDS[name])} numbers of at most {MAX_COORDINATE:g}"
        raise ScanError("malformed", path, detail, f"byte {node.start}")
    return numbers


def _rotation(axis_and_angle: tuple[float, ...]) -> np.ndarray:
    axis, angle = np.array(axis_and_angle[:3]), axis_and_angle[3]
    length = float(np.linalg.norm(axis))
    if length < 1e-12:
        return np.eye(3)
    turned: np.ndarray = Rotation.from_rotvec(axis / length * angle).as_matrix()
    return turned
