"""Assembly of checked meshes."""

import io
from pathlib import Path

import numpy as np
import pytest

from affect4d.scans.readers.mesh_checks import assemble_mesh, merge_points, read_bytes
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


class InPieces(io.FileIO):
    """A file of which a read gives three bytes at most."""

    def read(self, size: int = -1) -> bytes:
        return super().read(min(size, 3))


@pytest.mark.parametrize(
    ("content", "cap", "read"),
    [(b"01234567", 99, b"01234567"), (b"0123", 4, b"0123"), (b"0", 99, b"0"), (b"0123456789", 4, None)],
)
def test_a_file_that_comes_in_pieces_is_read_whole(tmp_path, monkeypatch, content, cap, read):
    (tmp_path / "a.obj").write_bytes(content)
    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: InPieces(path, mode))
    if read is None:
        with pytest.raises(ScanError, match="larger than 4 bytes"):
            read_bytes(tmp_path / "a.obj", cap)
    else:
        assert read_bytes(tmp_path / "a.obj", cap) == read
