"""Generated faces, dense enough to be aligned, with shoulders and in any pose."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from affect4d.scans.alignment.align import fit_landmarks
from affect4d.scans.geometry import apply_pose, pose_of
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.procedural_face import ProceduralFace


@pytest.fixture(scope="session")
def face() -> Callable[..., FaceScan]:
    """A face in its canonical frame; another identity and expression for every number."""

    def make(number: int, expression: float = 0.3) -> FaceScan:
        model, rng = ProceduralFace(), np.random.default_rng([71, number])
        weights = np.clip(rng.normal(0, expression, len(ACTION_UNITS)), 0, 1)
        shape = 0.8 * rng.normal(size=model.shape_count)
        surface = model.surface(shape, weights, number)
        neutral = model.surface(shape, np.zeros(len(ACTION_UNITS)), number)
        pose = fit_landmarks(neutral.landmarks).pose
        vertices = apply_pose(surface.vertices, pose) + rng.normal(0, 0.2, surface.vertices.shape).astype(np.float32)
        return FaceScan(vertices, surface.faces, landmarks=apply_pose(surface.landmarks, pose))

    return make


@pytest.fixture(scope="session")
def motion() -> Callable[..., np.ndarray]:
    """A rigid motion: degrees about x, y, z, then a shift."""

    def make(x: float = 0, y: float = 0, z: float = 0, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
        return pose_of(Rotation.from_euler("xyz", (x, y, z), degrees=True).as_matrix(), np.array(shift, float))

    return make


@pytest.fixture(scope="session")
def degrees() -> Callable[..., float]:
    """Angle between a found pose and the inverse of the motion it should undo."""

    def between(pose: np.ndarray, moved: np.ndarray) -> float:
        turned = pose[:3, :3] @ moved[:3, :3]
        return float(np.degrees(Rotation.from_matrix(turned / np.cbrt(np.linalg.det(turned))).magnitude()))

    return between


@pytest.fixture(scope="session")
def shoulders() -> Callable[..., np.ndarray]:
    """Neck and shoulders under a canonical face, as points."""

    def make() -> np.ndarray:
        turn, height = np.meshgrid(np.linspace(-1.2, 1.2, 40), np.arange(-190, -80, 5.0))
        neck = np.stack([58 * np.sin(turn), height, 58 * np.cos(turn) - 115], axis=-1)
        x, y = np.meshgrid(np.arange(-220, 220, 8.0), np.arange(-330, -170, 8.0))
        torso = np.stack([x, y - 0.25 * np.abs(x), -110 - 60 * (x / 220) ** 2], axis=-1)
        return np.concatenate([neck.reshape(-1, 3), torso.reshape(-1, 3)]).astype(np.float32)

    return make
