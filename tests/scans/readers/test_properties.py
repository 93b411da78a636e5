"""What holds of any mesh, any landmarks and any damage (Hypothesis)."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scan_files import LANDMARKS, MARKS, SCANS, assert_valid, bumpy_grid, write_scan

from affect4d.scans.readers import read_landmarks, read_scan
from affect4d.scans.readers.mesh_checks_and_textures import TextureRefusedError, read_texture
from affect4d.scans.readers.text_numbers import parse_lines, parse_list
from affect4d.scans.scan import FaceScan, ScanError

MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
COORDINATES = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
SEPARATORS = st.sampled_from([" ", ", ", ",", "\n", "\r\n\t", "  ,\n"])
MESHES = [name for name in SCANS if name != "bnt"]
GOOD = {name: (suffix, write(bumpy_grid(4))) for name, (suffix, write) in SCANS.items()}
GOOD |= {name: (suffix, write(MARKS)) for name, (suffix, write) in LANDMARKS.items()}


@st.composite
def meshes(draw) -> FaceScan:
    """Any triangles over any points that span a plane at least."""
    count = draw(st.integers(4, 12))
    vertices = draw(arrays.arrays(np.float32, (count, 3), elements=COORDINATES))
    vertices[:3] = [[0, 0, 0], [1e6, 0, 0], [0, 1e6, 0]]
    faces = draw(arrays.arrays(np.int32, (draw(st.integers(1, 10)), 3), elements=st.integers(0, count - 1)))
    faces[0] = [0, 1, 2]
    return FaceScan(vertices, faces, draw(arrays.arrays(np.float32, (count, 2), elements=st.floats(0, 1, width=32))))


@MANY
@given(mesh=meshes())
@pytest.mark.parametrize("name", MESHES)
def test_any_mesh_comes_back(tmp_path, name, mesh):
    suffix, write = SCANS[name]
    scan = read_scan(write_scan(tmp_path, suffix, write(mesh)))
    assert_valid(scan)
    np.testing.assert_array_equal(scan.vertices[scan.faces], mesh.vertices[mesh.faces])
    if scan.texture_coordinates is not None:
        uv, written = scan.texture_coordinates[scan.faces], mesh.texture_coordinates[mesh.faces]
        np.testing.assert_allclose(uv, written, rtol=0, atol=1e-7 if name == "glb" else 0)  # glTF has v turned


@MANY
@given(data=st.data())
def test_any_range_image_comes_back(tmp_path, data):
    size = data.draw(st.integers(2, 7))
    axis = 10 * np.arange(size, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    z = data.draw(arrays.arrays(np.float32, (size, size), elements=st.floats(0, 5, width=32)))
    background = data.draw(arrays.arrays(np.bool_, size * size))
    background[[0, 1, size, size + 1]] = False
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    coordinates = data.draw(arrays.arrays(np.float32, (size * size, 2), elements=st.floats(0, 1, width=32)))
    raw = SCANS["bnt"][1](FaceScan(vertices, np.zeros((0, 3), np.int32), coordinates), background)
    scan = read_scan(write_scan(tmp_path, ".bnt", raw))
    assert_valid(scan)
    np.testing.assert_array_equal(scan.vertices, vertices[~background])
    np.testing.assert_allclose(scan.texture_coordinates, coordinates[~background], atol=1e-7)
    free = ~background.reshape(size, size)
    assert len(scan.faces) == 2 * (free[1:, 1:] & free[1:, :-1] & free[:-1, 1:] & free[:-1, :-1]).sum()


@MANY
@given(points=arrays.arrays(np.float32, (83, 3), elements=st.floats(1, 1e6, width=32)))
@pytest.mark.parametrize("name", LANDMARKS)
def test_any_landmarks_come_back(tmp_path, name, points):
    suffix, write = LANDMARKS[name]
    read = read_landmarks(write_scan(tmp_path, suffix, write(points)))
    there = ~np.isnan(read[:, 0])
    assert there.sum() in (22, 83)
    np.testing.assert_array_equal(read[there], points[there])


@settings(parent=MANY, max_examples=150)
@given(data=st.data())
@pytest.mark.parametrize("name", GOOD)
def test_any_damage_gives_arrays_or_a_scan_error(tmp_path, name, data):
    suffix, good = GOOD[name]
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "end", "repeat", "insert"])):
            case "flip":
                raw[place] = data.draw(st.integers(0, 255))
            case "cut":
                del raw[place : place + data.draw(st.integers(1, 60))]
            case "end":
                del raw[max(place, 1) :]
            case "repeat":
                raw[place:place] = raw[place : place + data.draw(st.integers(1, 60))]
            case "insert":
                raw[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        if not raw:
            break
    path = write_scan(tmp_path, suffix, bytes(raw))
    with contextlib.suppress(ScanError):
        if name in LANDMARKS:
            assert read_landmarks(path).shape == (83, 3)
        else:
            assert_valid(read_scan(path))


@settings(parent=MANY, max_examples=300)
@given(st.binary(max_size=200), st.sampled_from([".jpg", ".png", ".bmp"]))
def test_any_bytes_are_a_picture_or_refused(tmp_path, raw, suffix):
    magic = {".jpg": b"\xff\xd8\xff\xe0", ".png": b"\x89PNG\r\n\x1a\n", ".bmp": b"BM"}[suffix]
    with contextlib.suppress(TextureRefusedError):
        assert read_texture(write_scan(tmp_path, suffix, magic + raw)).pixels.ndim == 3


def spellings(exponent_digits: int) -> st.SearchStrategy[list[bytes]]:
    form = rb"[+-]?(\d{1,25}(\.\d{0,25})?|\.\d{1,25})([eE][+-]?\d{1,%d})?" % exponent_digits
    return st.lists(st.from_regex(form, fullmatch=True), min_size=1)


def floats(block: bytes) -> np.ndarray:
    return parse_list(block + b"\0", 0, len(block), np.float32, Path("a"))


@MANY
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50), SEPARATORS)
def test_numbers_equal_pythons(numbers, separator):
    block = separator.join(repr(float(number)) for number in numbers).encode()
    assert floats(block).tolist() == numbers


@MANY
@given(
    st.lists(st.from_regex(rb"[+-]?(\d{1,25}(\.\d{0,25})?|\.\d{1,25})([eE][+-]?\d{1,3})?", fullmatch=True), min_size=1)
)
def test_every_spelling_of_a_number_is_within_half_a_place(words):
    """As ``float32``; a decimal within 10⁻¹⁵ of the middle between two may go to either, which no draw here hits."""
    with np.errstate(over="ignore", under="ignore"):
        expected = np.array([float(word) for word in words]).astype(np.float32)
    np.testing.assert_array_equal(floats(b" ".join(words)), expected)


@MANY
@given(
    st.lists(st.from_regex(rb"[+-]?(\d{1,25}(\.\d{0,25})?|\.\d{1,25})([eE][+-]?\d{1,2})?", fullmatch=True), min_size=1)
)
def test_doubles_are_within_two_places(words):
    numbers, ends = parse_lines(b"\n".join(words) + b"\n", 0, Path("a"), comments=False)
    assert ends.tolist() == list(range(1, len(words) + 1))
    np.testing.assert_array_max_ulp(numbers, np.array([float(word) for word in words]), maxulp=2)


def test_short_decimals_are_exact():
    generator = np.random.default_rng(0)
    numbers = generator.integers(-(10**15), 10**15, 2000) / 10.0 ** generator.integers(0, 15, 2000)
    words = [f"{number:.{places}f}" for number, places in zip(numbers, generator.integers(0, 9, 2000), strict=True)]
    words = [word for word in words if len(word.strip("-").replace(".", "")) <= 15]
    found, _ = parse_lines("\n".join(words).encode() + b"\n", 0, Path("a"), comments=False)
    assert found.tolist() == [float(word) for word in words]


@MANY
@given(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=1, max_size=50), SEPARATORS)
def test_whole_numbers_equal_pythons(numbers, separator):
    block = separator.join(str(number) for number in numbers).encode()
    assert parse_list(block + b"]", 0, len(block), np.int32, Path("a")).tolist() == numbers


@given(st.integers(2**31, 2**70) | st.integers(-(2**70), -(2**31)))
def test_whole_numbers_of_more_bits_are_refused(number):
    block = f"1 {number} 2]".encode()
    with pytest.raises(ScanError, match="byte 2"):
        parse_list(block, 0, len(block) - 1, np.int32, Path("a"))


def test_bosphorus_header_is_what_the_design_says():
    raw = GOOD["bnt"][1]
    assert struct.unpack_from("<HHdH", raw) == (4, 4, -1e9, 7)
    assert len(raw) == 14 + 7 + 4 + 5 * 16 * 8
