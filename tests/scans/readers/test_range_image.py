"""Bosphorus range images and depth images."""

import dataclasses
import functools
import struct

import numpy as np
import pytest
from PIL import Image
from scan_files import (
    assert_valid,
    bnt_bytes,
    bumpy_grid,
    refusal,
    write_picture,
    write_scan,
)

from affect4d.scans.readers import read_scan
from affect4d.scans.readers.range_image import Intrinsics, read_depth, read_range_image
from affect4d.scans.scan import ScanError

GRID = bumpy_grid(12)


def test_background_is_no_surface(tmp_path):
    background = np.zeros(144, dtype=bool)
    background[[0, 40, 41, 143]] = True
    scan = read_scan(write_scan(tmp_path, ".bnt", bnt_bytes(GRID, background)))
    assert_valid(scan)
    assert len(scan.vertices) == 140
    assert (scan.vertices > -1000).all()
    cells = [{r * 12 + c, r * 12 + c + 1, r * 12 + c + 12, r * 12 + c + 13} for r in range(11) for c in range(11)]
    assert len(scan.faces) == 2 * sum(not cell & {0, 40, 41, 143} for cell in cells)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_sentinel_on_any_axis_is_background(tmp_path, axis):
    raw = bytearray(bnt_bytes(GRID))
    place = len(raw) - 5 * 144 * 8 + (axis * 144 + 50) * 8
    raw[place : place + 8] = struct.pack("<d", -1e9)
    assert len(read_scan(write_scan(tmp_path, ".bnt", bytes(raw))).vertices) == 143


def test_a_range_image_has_the_picture_it_names_or_is_given(tmp_path):
    write_picture(tmp_path / "000.png", (2, 2))
    write_picture(tmp_path / "skin.png", (4, 4))
    write_picture(tmp_path / "given.png", (8, 6))
    path = write_scan(tmp_path, ".bnt", bnt_bytes(GRID, picture="skin.png"))
    assert read_scan(path).texture.shape == (4, 4, 3)
    assert read_scan(path, texture=tmp_path / "given.png").texture.shape == (6, 8, 3)


def test_the_name_in_a_range_image_may_be_no_text(tmp_path):
    raw = bnt_bytes(GRID, picture="a.png").replace(b"a.png", b"\xff.png")
    assert read_range_image(write_scan(tmp_path, ".bnt", raw)).image_name == "\ufffd.png"


def test_v_of_a_range_image_is_turned_up(tmp_path):
    scan = read_scan(write_scan(tmp_path, ".bnt", bnt_bytes(GRID)))
    top, bottom = scan.vertices[:, 1].argmax(), scan.vertices[:, 1].argmin()
    assert scan.texture_coordinates[top, 1] == pytest.approx(1)
    assert scan.texture_coordinates[bottom, 1] == pytest.approx(0)


def test_a_step_in_depth_is_an_edge(tmp_path):
    vertices = GRID.vertices.copy()
    vertices[72:, 2] -= 200
    scan = read_scan(write_scan(tmp_path, ".bnt", bnt_bytes(dataclasses.replace(GRID, vertices=vertices))))
    assert len(scan.faces) == 242 - 22
    assert np.ptp(scan.vertices[scan.faces][..., 2], axis=1).max() < 60


@pytest.mark.parametrize(
    ("rows", "columns", "count", "code"),
    [
        (65535, 65535, None, "wrong-count"),
        (12, 12, 721, "wrong-count"),
        (12, 12, 719, "wrong-count"),
        (12, 12, 2**32 - 1, "wrong-count"),
        (24, 12, 1440, "truncated"),
        (2000, 2000, 20_000_000, "truncated"),
        (0, 12, 0, "wrong-count"),
        (12, 0, 0, "wrong-count"),
        (1, 144, None, "wrong-count"),
        (144, 1, None, "wrong-count"),
    ],
)
def test_a_range_image_of_another_size_is_refused(tmp_path, rows, columns, count, code):
    raw = bnt_bytes(GRID)
    start = 14 + len("000.png")
    size = raw[start : start + 4] if count is None else struct.pack("<I", count)
    assert refusal(tmp_path, ".bnt", struct.pack("<HH", rows, columns) + raw[4:start] + size + raw[start + 4 :]) == code


def test_a_range_image_says_where_it_ends(tmp_path):
    raw = bnt_bytes(GRID)
    assert "3 bytes after" in read_scan(write_scan(tmp_path, ".bnt", raw + b"abc")).repairs[0]
    assert refusal(tmp_path, ".bnt", raw[:12] + b"\xff\xff" + raw[14:]) == "truncated"
    assert refusal(tmp_path, ".bnt", bnt_bytes(GRID, np.ones(144, dtype=bool))) == "wrong-count"


def test_a_range_image_holds_the_numbers_of_its_file(tmp_path):
    background = np.zeros(144, dtype=bool)
    background[[0, 40, 143]] = True
    raw = bnt_bytes(GRID, background, picture="face.png")
    image = read_range_image(write_scan(tmp_path, ".bnt", raw + b"abc"))
    numbers = np.frombuffer(raw[-5 * 144 * 8 :], "<f8").reshape(5, 12, 12)
    np.testing.assert_array_equal(image.planes, numbers)
    np.testing.assert_array_equal(image.measured, (numbers[:3] != -1e9).all(axis=0))
    assert (image.measured.sum(), image.image_name) == (141, "face.png")
    assert image.repairs == ("3 bytes after the last plane ignored",)
    assert not image.planes.flags.owndata  # the bytes that were read, not a copy


@pytest.mark.parametrize("plane", range(5))
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_range_image_is_finite_where_measured(tmp_path, plane, number):
    raw = bytearray(bnt_bytes(GRID))
    place = len(raw) - 5 * 144 * 8 + (plane * 144 + 50) * 8
    raw[place : place + 8] = struct.pack("<d", number)
    with pytest.raises(ScanError, match=r"row 4, column 2") as refused:
        read_range_image(write_scan(tmp_path, ".bnt", bytes(raw)))
    assert refused.value.code == "not-finite"
    axis = len(raw) - 5 * 144 * 8 + ((plane + 1) % 3 * 144 + 50) * 8
    raw[axis : axis + 8] = struct.pack("<d", -1e9)
    assert not read_range_image(write_scan(tmp_path, ".bnt", bytes(raw))).measured[4, 2]


CAMERA = Intrinsics(fx=400, fy=420, cx=63.5, cy=47.5, far=2000)


DEPTH_READER = functools.partial(read_depth, intrinsics=CAMERA)


def depth_picture(path, depth) -> None:
    Image.fromarray(depth.astype(np.uint16)).save(path)


def dome() -> np.ndarray:
    row, column = np.mgrid[:96, :128]
    depth = 600 + ((row - 47.5) ** 2 + (column - 63.5) ** 2) / 40
    depth[:, :10] = 0
    return depth


def test_a_depth_picture_is_seen_through_its_camera(tmp_path):
    depth_picture(tmp_path / "a.png", dome())
    write_picture(tmp_path / "a.jpg")
    scan = read_scan(tmp_path / "a.png", texture=tmp_path / "a.jpg", reader=DEPTH_READER)
    assert_valid(scan)
    assert scan.texture.shape == (6, 8, 3)
    assert len(scan.vertices) == 96 * 118
    nearest = scan.vertices[scan.vertices[:, 2] == scan.vertices[:, 2].max()]
    np.testing.assert_allclose(nearest.mean(axis=0), [0, 0, -600], atol=1)
    top = scan.vertices[scan.vertices[:, 1].argmax()]
    np.testing.assert_allclose(top[1], 47.5 * -top[2] / 420, rtol=1e-4)
    assert scan.texture_coordinates[scan.vertices[:, 1].argmax(), 1] > 0.9
    normals = np.cross(*(scan.vertices[scan.faces[:, k]] - scan.vertices[scan.faces[:, 0]] for k in (1, 2)))
    assert (normals[:, 2] > 0).all()


def test_every_point_of_a_depth_picture_is_where_its_camera_saw_it(tmp_path):
    """The pinhole's equations written as loops; holes in one corner, so that nothing is symmetric."""
    camera = Intrinsics(fx=40, fy=50, cx=2.5, cy=1.25, millimetres_per_unit=0.5, near=100, far=130)
    depth = 200 + np.arange(48).reshape(6, 8)
    depth[0, :3], depth[1, 0], depth[5, 7], depth[5, 6] = (
        0,
        199,
        261,
        260,
    )  # nothing, too near, too far, just far enough
    depth_picture(tmp_path / "a.png", depth)
    scan = read_depth(tmp_path / "a.png", intrinsics=camera)
    points, coordinates = [], []
    for row in range(5, -1, -1):
        for column in range(8):
            far = depth[row, column] / 2
            if 100 <= far <= 130:
                points.append(((column - 2.5) * far / 40, (1.25 - row) * far / 50, -far))
                coordinates.append(((column + 0.5) / 8, 1 - (row + 0.5) / 6))
    np.testing.assert_allclose(scan.vertices, points, rtol=1e-6)
    np.testing.assert_allclose(scan.texture_coordinates, coordinates, rtol=1e-6)


def test_the_colours_of_a_depth_picture_are_those_given_or_missing(tmp_path):
    depth_picture(tmp_path / "a.png", dome())
    write_picture(tmp_path / "a.jpg", (4, 4))
    write_picture(tmp_path / "other.jpg", (8, 6))
    given = read_scan(tmp_path / "a.png", tmp_path / "other.jpg", reader=DEPTH_READER)
    assert given.texture.shape == (6, 8, 3)
    gone = read_scan(tmp_path / "a.png", tmp_path / "gone.jpg", reader=DEPTH_READER)
    none = read_scan(tmp_path / "a.png", reader=DEPTH_READER)
    for scan in (gone, none):
        assert scan.texture is None
        assert scan.repairs == ("texture missing",)


@pytest.mark.filterwarnings("error")
def test_a_large_depth_picture_is_read_without_a_warning(tmp_path, monkeypatch):
    depth_picture(tmp_path / "a.png", dome())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 96 * 128 - 1)
    assert len(read_depth(tmp_path / "a.png", intrinsics=CAMERA).vertices)


def test_depth_outside_the_believed_range_is_background(tmp_path):
    depth_picture(tmp_path / "a.png", dome())
    near = read_depth(tmp_path / "a.png", intrinsics=CAMERA.model_copy(update={"far": 650.0}))
    assert near.vertices[:, 2].min() >= -650


@pytest.mark.parametrize("kind", ["RGB", "L", "1", "P", "F"])
def test_other_pictures_are_no_depth(tmp_path, kind):
    path = tmp_path / "a.png"
    picture = Image.new(kind, (64, 64))
    picture.save(path, format="TIFF" if kind == "F" else "PNG")
    with pytest.raises(ScanError) as caught:
        read_depth(path, intrinsics=CAMERA)
    assert caught.value.code in {"not-depth", "unreadable"}


def test_a_depth_picture_is_a_png_of_more_than_one_row(tmp_path):
    Image.fromarray(dome().astype(np.uint16)).save(tmp_path / "a.png", format="TIFF")
    with pytest.raises(ScanError, match=r"a\.png: the depth image is damaged \(UnidentifiedImageError\)"):
        read_depth(tmp_path / "a.png", intrinsics=CAMERA)
    depth_picture(tmp_path / "b.png", dome()[:1])
    with pytest.raises(ScanError, match=r"b\.png: a grid of 1 rows of 128 points has no cells"):
        read_depth(tmp_path / "b.png", intrinsics=CAMERA)


def test_a_camera_has_no_default():
    with pytest.raises(ValueError, match="fx"):
        Intrinsics()
