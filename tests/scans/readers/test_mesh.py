"""Assembly of checked meshes."""

from pathlib import Path

import numpy as np
import pytest

from affect4d.scans.readers.mesh import assemble_mesh, merge_points
from affect4d.scans.scan import ScanError


def test_texture_corners_of_other_faces_are_refused():
    vertices = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [10, 10, 1]], np.float32)
    faces = np.array([[0, 1, 2], [1, 3, 2]], np.int32)
    with pytest.raises(ScanError, match="position and texture index lists differ in length") as refused:
        assemble_mesh(Path("a.wrl"), vertices, faces, vertices[:3, :2], faces[:1])
    assert (refused.value.code, refused.value.path) == ("wrong-count", Path("a.wrl"))


def test_points_that_differ_in_the_last_bit_stay_apart():
    tiny = np.array([[1e-30, 0, 0], [2e-30, 0, 0], [-0.0, 0, 0], [0.0, 0, 0], [1e-30, 0, 0]], np.float32)
    points, index = merge_points(tiny)
    np.testing.assert_array_equal(points[index], tiny)
    assert len(points) == 3
