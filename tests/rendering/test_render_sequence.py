import numpy as np
import pytest
from generated_surface import bumpy_scan
from scipy.spatial.transform import Rotation

from affect4d.rendering.cameras_and_render_backends import Renderer
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_sequence import pose_rotation, set_head_pose

OPTIONS = RenderOptions(size=32, head_poses=2, head_pose_degrees=8.0)


def test_the_canonical_head_pose_is_the_face_as_it_is():
    assert np.array_equal(pose_rotation("take", 0, 5.0), np.eye(3))
    face = bumpy_scan()
    assert np.allclose(set_head_pose(face, "take", 0, OPTIONS).vertices, face.vertices, atol=1e-4)


def test_head_poses_are_rotations_by_a_few_degrees_of_yaw_and_pitch():
    angles = np.array([Rotation.from_matrix(pose_rotation(str(n), 1, 5.0)).as_euler("YXZ", True) for n in range(400)])
    assert angles[:, :2].std(axis=0) == pytest.approx([5.0, 5.0], rel=0.15)
    assert np.abs(angles[:, 2]).max() < 3.0
    assert np.allclose(pose_rotation("a", 1, 5.0) @ pose_rotation("a", 1, 5.0).T, np.eye(3))


def test_frames_of_a_take_are_turned_alike_and_takes_and_numbers_are_not():
    assert np.array_equal(pose_rotation("a", 1, 5.0), pose_rotation("a", 1, 5.0))
    assert not np.allclose(pose_rotation("a", 1, 5.0), pose_rotation("b", 1, 5.0))
    assert not np.allclose(pose_rotation("a", 1, 5.0), pose_rotation("a", 2, 5.0))


def test_a_turned_head_is_what_a_camera_on_the_other_side_sees():
    """Turned about the cameras' target by some yaw, a face shows the front camera what a camera at −yaw would see."""
    face, take = bumpy_scan(), next(name for name in map(str, range(500)) if _pitch(name) < 0.3 < abs(_yaw(name)))
    turned = Renderer(OPTIONS).render(set_head_pose(face, take, 1, OPTIONS))["texture"][0].astype(int)
    aside = RenderOptions(size=32, angles={"left" if _yaw(take) > 0 else "right": -_yaw(take)})
    seen = Renderer(aside).render(face)["texture"][0].astype(int)
    front = Renderer(OPTIONS).render(face)["texture"][0].astype(int)
    assert np.abs(turned - seen).mean() < 0.25 * np.abs(front - seen).mean()


def _yaw(take):
    return Rotation.from_matrix(pose_rotation(take, 1, OPTIONS.head_pose_degrees)).as_euler("YXZ", degrees=True)[0]


def _pitch(take):
    return abs(Rotation.from_matrix(pose_rotation(take, 1, OPTIONS.head_pose_degrees)).as_euler("YXZ", degrees=True)[1])
