"""Assembly of checked meshes, and their textures."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from affect4d.scans.readers import mesh_checks_and_textures
from affect4d.scans.readers.mesh_checks_and_textures import (
    TextureRefusedError,
    assemble_mesh,
    find_texture,
    is_plain_name,
    merge_points,
    read_bytes,
    read_texture,
)
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


@pytest.fixture
def picture():
    """Smooth colours with a little grain, 260 × 348."""
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize(
        (260, 348), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(rough) + rng.normal(0, 3, (348, 260, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("texels", "factor"), [(0, 1), (260, 1), (131, 1), (130, 2), (65, 4), (1, 8)])
def test_a_jpeg_is_decoded_to_what_is_enough(tmp_path, picture, texels, factor):
    """As the whole one averaged down, but for rounding."""
    path = tmp_path / "a.jpg"
    Image.fromarray(picture).save(path, quality=95, subsampling=0)
    found = read_texture(path, texels).pixels
    averaged = np.asarray(Image.fromarray(read_texture(path).pixels).reduce(factor))
    assert found.shape == averaged.shape
    assert np.abs(found.astype(int) - averaged).mean() < 1.0


def test_a_lossless_picture_is_read_whole(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_texture(tmp_path / "a.png", texels=16).pixels, picture)


def test_a_damaged_jpeg_is_refused_however_little_is_enough(tmp_path, picture):
    path = tmp_path / "a.jpg"
    Image.fromarray(picture).save(path, quality=95)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(TextureRefusedError, match="unreadable"):
        read_texture(path, texels=16)


def test_a_grey_picture_becomes_three_colours(tmp_path, picture):
    Image.fromarray(picture[..., 0]).save(tmp_path / "a.jpg")
    assert read_texture(tmp_path / "a.jpg", texels=130).pixels.shape == (174, 130, 3)


@pytest.mark.parametrize("texels", [0, 2])
def test_a_grey_picture_of_16_bits_keeps_its_shades(tmp_path, texels):
    shades = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(257 * shades).save(tmp_path / "a.png")
    found = read_texture(tmp_path / "a.png", texels).pixels
    assert (found.dtype, found.shape) == (np.uint8, (16, 16, 3))
    np.testing.assert_array_equal(found, np.stack([shades] * 3, axis=-1))


@pytest.mark.parametrize("kind", ["gif", "tiff", "webp"])
def test_a_picture_of_another_kind_is_refused_whatever_its_name(tmp_path, picture, kind):
    """Fewer decoders, fewer doors: a folder of scans may come from anywhere."""
    path = tmp_path / "a.jpg"
    Image.fromarray(picture).save(path, format=kind)
    with pytest.raises(TextureRefusedError, match="texture unreadable: UnidentifiedImageError"):
        read_texture(path)


@pytest.mark.parametrize(("most", "refused"), [(260 * 348, False), (260 * 348 - 1, True)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, picture, monkeypatch, most, refused):
    Image.fromarray(picture).save(tmp_path / "a.png")
    monkeypatch.setattr(mesh_checks_and_textures, "MAX_PIXELS", most)
    if refused:
        with pytest.raises(TextureRefusedError, match="texture refused: 260 by 348 pixels"):
            read_texture(tmp_path / "a.png")
    else:
        np.testing.assert_array_equal(read_texture(tmp_path / "a.png").pixels, picture)


@pytest.mark.parametrize("texels", [0, 130])
def test_an_image_comes_with_the_size_of_its_file_and_the_file(tmp_path, picture, texels):
    Image.fromarray(picture).save(tmp_path / "a.jpg")
    found = read_texture(tmp_path / "a.jpg", texels)
    assert (found.size, found.file) == ((260, 348), tmp_path / "a.jpg")


@pytest.mark.parametrize(("name", "plain"), [
    ("a.jpg", True), (".", False), ("..", False), ("...", True), ("a" * 255, True), ("a" * 256, False),
    ("é" * 127, True), ("é" * 128, False),
    ("a/b.jpg", False), ("a\\b.jpg", False), ("c:b.jpg", False), ("a\n.jpg", False), ("", False),
])  # fmt: skip
def test_a_scan_names_pictures_of_its_own_folder_alone(name, plain):
    assert is_plain_name(name) is plain


@pytest.mark.parametrize("suffix", [".JPG", ".JPEG", ".PNG", ".BMP"])
def test_the_suffix_of_a_picture_may_have_capitals(tmp_path, suffix):
    for name in ("A" + suffix, "a.b" + suffix, "ab" + suffix, "a.txt", "a"):
        (tmp_path / name).touch()
    assert find_texture(tmp_path / "a.obj", "gone.png") == (None, ("texture missing",))
    (tmp_path / ("a" + suffix)).touch()
    assert find_texture(tmp_path / "a.obj", "gone.png") == (tmp_path / ("a" + suffix), ())
    assert find_texture(tmp_path / "a.b.obj", None) == (tmp_path / ("a.b" + suffix), ())


def test_the_spelling_most_looked_for_comes_first(tmp_path):
    (tmp_path / "a.JPG").mkdir()
    for suffix in (".PNG", ".JPEG"):
        (tmp_path / ("a" + suffix)).touch()
    assert find_texture(tmp_path / "a.obj", None) == (tmp_path / "a.JPEG", ())
    (tmp_path / "a.bmp").touch()
    assert find_texture(tmp_path / "a.obj", None) == (tmp_path / "a.bmp", ())


def test_a_folder_that_is_gone_has_no_picture(tmp_path):
    assert find_texture(tmp_path / "gone" / "a.obj", None) == (None, ("texture missing",))


def test_a_scan_whose_name_is_as_long_as_names_may_be_has_no_picture_of_a_longer_one(tmp_path):
    assert find_texture(tmp_path / f"{'a' * 251}.bnt", None) == (None, ("texture missing",))
    assert find_texture(tmp_path / f"{'a' * 252}.ob", None) == (None, ("texture missing",))
