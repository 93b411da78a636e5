import numpy as np

from affect4d.scans.mesh_to_depth_image import depth_image


def test_a_tilted_square_has_the_heights_of_its_plane():
    corners = np.float32([[-10, -10, -5], [10, -10, -5], [10, 10, 5], [-10, 10, 5]])
    heights = depth_image(corners, np.int32([[0, 1, 2], [0, 2, 3]]), 16, 20.0)
    rows = 20.0 - (np.arange(16) + 0.5) * 2.5
    inside = np.abs(rows) < 10
    np.testing.assert_allclose(
        heights[inside][:, inside], np.repeat(rows[inside, None] / 2, inside.sum(), axis=1), atol=1e-5
    )
    assert np.isnan(heights[~inside]).all()


def test_the_nearer_surface_hides_the_farther():
    near, far = np.float32([[-9, -9, 3], [9, -9, 3], [0, 9, 3]]), np.float32([[-9, -9, 1], [9, -9, 1], [0, 9, 1]])
    for order in ((near, far), (far, near)):
        heights = depth_image(np.concatenate(order), np.int32([[0, 1, 2], [3, 4, 5]]), 8, 10.0)
        assert set(heights[np.isfinite(heights)]) == {3.0}
