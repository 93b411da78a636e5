"""Every reader and every landmark reader on every kind of bad file: a typed error, or, where it is sound, arrays.

All of it runs in this one process, which is part of the promise. Memory is measured in a child of its own.
"""

import contextlib
import re
import subprocess
import sys

import numpy as np
import pytest
from scan_files import (
    LANDMARKS,
    MARKS,
    SCANS,
    assert_valid,
    bnt_bytes,
    bumpy_grid,
    obj_text,
    ply_bytes,
    write_picture,
    write_scan,
    wrl_text,
)

from affect4d.scans.readers import read_landmarks, read_scan
from affect4d.scans.readers.range_image import Intrinsics, read_depth
from affect4d.scans.scan import ScanError

GRID = bumpy_grid(12)
GOOD = {name: (suffix, write(GRID)) for name, (suffix, write) in SCANS.items()}
GOOD_LANDMARKS = {name: (suffix, write(MARKS)) for name, (suffix, write) in LANDMARKS.items()}
TEXT = [name for name in SCANS if name in ("wrl", "obj", "ply text", "off", "stl text")]
FIRST_POINT = b"-90 -90 -1"
ALWAYS_WRONG = {
    "empty": b"",
    "blank": b" \r\n\t\n",
    "zeros": b"\0" * 4096,
    "ones": b"\xff" * 4096,
    "garbage": np.random.default_rng(0).bytes(20_000),
    "utf-16": "ply OFF v 1 2 3 #VRML V2.0 utf8".encode("utf-16") * 40,
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "20,000 groups": b"#VRML V2.0 utf8\n" + b"Group { children [ " * 20_000,
    "20,000 closed groups": b"#VRML V2.0 utf8\n" + b"Group { children [ " * 20_000 + b"] }" * 20_000,
    "20,000 brackets": b"{" * 20_000,
    "one long line": b"v " + b"1 " * 500_000,
    "one long word": b"v " + b"9" * 500_000,
    "one long number": b"OFF\n" + b"1" * 500_000,
    "many lines": b"\n" * 500_000,
    "many comments": b"#VRML V2.0 utf8\n" + b"#\n" * 200_000,
    "many elements": b"ply\nformat ascii 1.0\n" + b"element a 1\n" * 2_000 + b"end_header\n",
    "endless header": b"ply\nformat ascii 1.0\n" + b"comment\n" * 20_000,
}


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("kind", ALWAYS_WRONG)
def test_what_is_no_scan_is_refused(tmp_path, name, kind):
    with pytest.raises(ScanError):
        read_scan(write_scan(tmp_path, GOOD[name][0], ALWAYS_WRONG[kind]))


@pytest.mark.parametrize("name", LANDMARKS)
@pytest.mark.parametrize("kind", ALWAYS_WRONG)
def test_what_are_no_landmarks_is_refused(tmp_path, name, kind):
    with pytest.raises(ScanError):
        read_landmarks(write_scan(tmp_path, GOOD_LANDMARKS[name][0], ALWAYS_WRONG[kind]))


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_scan_is_refused_or_sound(tmp_path, name, tenth):
    suffix, raw = GOOD[name]
    path = write_scan(tmp_path, suffix, raw[: len(raw) * tenth // 10])
    if name != "obj":
        with pytest.raises(ScanError):
            read_scan(path)
        return
    with contextlib.suppress(ScanError):  # nothing in an .obj says where it ends
        assert_valid(read_scan(path))


HEAD = b"#VRML V2.0 utf8\n"
NEVER_ENDING = {
    "comments in a list": (".wrl", HEAD + b"IndexedFaceSet { coord Coordinate { point [" + b"#\n" * 2_000_000 + b"]}}"),
    "comments of one line break": (".wrl", HEAD[:-1] + b"\r" + b"# \r" * 2_000_000),
    "words of a transform": (".wrl", HEAD + b"Transform { IndexedFaceSet { point [] }" + b"a " * 4_000_000 + b"}"),
    "blanks behind a label": (".lm3", b"22 landmarks" + b" " * 65_000 + b"x"),
    "blanks behind a material": (".obj", b"mtllib a" + b" " * 65_000 + b"x\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"),
    "open brackets": (".wrl", HEAD + b"[" * 2_000_000 + b"]"),
    "number by number": (".off", b"OFF\n" + b"1\n" * 2_000_000),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", NEVER_ENDING)
def test_nothing_takes_time_out_of_proportion(tmp_path, kind):
    suffix, raw = NEVER_ENDING[kind]
    path = write_scan(tmp_path, suffix, raw)
    with contextlib.suppress(ScanError):
        read_landmarks(path) if suffix == ".lm3" else read_scan(path)


@pytest.mark.timeout(60)
def test_a_material_of_blanks_takes_no_time(tmp_path):
    (tmp_path / "a.mtl").write_bytes(b"map_Kd a" + b" " * 1_000_000 + b"x\n")
    assert read_scan(write_scan(tmp_path, ".obj", obj_text(GRID, material="a.mtl"))).texture is None


@pytest.mark.parametrize("name", LANDMARKS)
@pytest.mark.parametrize("tenth", range(10))
def test_truncated_landmarks_are_refused(tmp_path, name, tenth):
    suffix, raw = GOOD_LANDMARKS[name]
    with pytest.raises(ScanError):
        read_landmarks(write_scan(tmp_path, suffix, raw[: len(raw) * tenth // 10]))


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize(
    "written",
    [b"nan", b"-NaN", b"inf", b"-Infinity", b"1.#QNAN", b"1e39", b"1e300", b"1e99999999999999999999", b"x", b"0x10",
     b"1_0", b"1..2", b"--1", b"1e", b"1e+", b".", b"+", b"1,5e", b"\xd9\xa3", b"\0"],
)  # fmt: skip
def test_what_is_no_coordinate_is_refused(tmp_path, name, written):
    suffix, raw = GOOD[name]
    assert FIRST_POINT in raw
    with pytest.raises(ScanError):
        read_scan(write_scan(tmp_path, suffix, raw.replace(b"-90 -90 -1", written + b" -90 -1", 1)))


INDEX_PLACES = {"wrl": b"coordIndex [ 0,", "obj": b"\nf 1/", "ply text": b"\n3 0 ", "off": b"\n3 0 "}
INDICES = [
    "-2",
    "-1",
    "144",
    "145",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775808",
    "1e30",
    "0.5",
    "nan",
]


@pytest.mark.parametrize("name", INDEX_PLACES)
@pytest.mark.parametrize("index", INDICES)
def test_an_index_that_points_nowhere_is_refused(tmp_path, name, index):
    suffix, raw = GOOD[name]
    place = INDEX_PLACES[name]
    if (name, index) in {("obj", "144"), ("wrl", "-1")}:
        return  # the last vertex; the end of a polygon
    last = re.search(rb"\d+(?=\D*$)", place)
    assert place in raw
    wrong = place[: last.start()] + index.encode() + place[last.end() :]
    with pytest.raises(ScanError):
        read_scan(write_scan(tmp_path, suffix, raw.replace(place, wrong, 1)))


@pytest.mark.parametrize("name", ["ply little", "ply big", "ply corners"])
@pytest.mark.parametrize("index", [-1, 144, 2**31 - 1, -(2**31)])
def test_a_binary_index_that_points_nowhere_is_refused(tmp_path, name, index):
    suffix, raw = GOOD[name]
    order = "big" if name == "ply big" else "little"
    place = raw.index(b"end_header\n") + 11 + 144 * (12 if name == "ply corners" else 20) + 1
    wrong = raw[:place] + index.to_bytes(4, order, signed=True) + raw[place + 4 :]
    with pytest.raises(ScanError):
        read_scan(write_scan(tmp_path, suffix, wrong))


@pytest.mark.parametrize("name", ["ply little", "bnt", "stl binary"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 3e38])
def test_a_binary_number_that_is_no_coordinate_is_refused(tmp_path, name, number):
    suffix, raw = GOOD[name]
    width = "<f8" if name == "bnt" else "<f4"
    written = np.array([number], width).tobytes()
    place = {"ply little": raw.find(b"end_header\n") + 11, "bnt": len(raw) - 5 * 144 * 8, "stl binary": 96}[name]
    with pytest.raises(ScanError):
        read_scan(write_scan(tmp_path, suffix, raw[:place] + written + raw[place + len(written) :]))


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("spelled", ["crlf", "byte order mark", "old line breaks"])
def test_spelling_does_not_matter(tmp_path, name, spelled):
    suffix, raw = GOOD[name]
    other = {"crlf": raw.replace(b"\n", b"\r\n"), "byte order mark": b"\xef\xbb\xbf" + raw,
             "old line breaks": raw.replace(b"\n", b"\r")}[spelled]  # fmt: skip
    scan = read_scan(write_scan(tmp_path, suffix, other))
    assert_valid(scan)
    assert len(scan.faces) == len(GRID.faces)


@pytest.mark.parametrize("name", LANDMARKS)
def test_line_breaks_of_landmarks_do_not_matter(tmp_path, name):
    suffix, raw = GOOD_LANDMARKS[name]
    there = read_landmarks(write_scan(tmp_path, suffix, raw))
    unix = raw.replace(b"\r\n", b"\n")
    for other in (unix, unix.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + raw):
        np.testing.assert_array_equal(read_landmarks(write_scan(tmp_path, suffix, other)), there)


@pytest.mark.parametrize("name", SCANS)
def test_points_on_a_line_and_in_one_place_are_refused(tmp_path, name):
    suffix, write = SCANS[name]
    for squeeze in ([1, 0, 0], [0, 0, 0]):
        flat = type(GRID)(GRID.vertices * np.float32(squeeze), GRID.faces, GRID.texture_coordinates)
        with pytest.raises(ScanError):
            read_scan(write_scan(tmp_path, suffix, write(flat)))


@pytest.mark.parametrize("name", SCANS)
def test_folders_and_files_that_are_not_there_are_refused(tmp_path, name):
    suffix = GOOD[name][0]
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"link{suffix}").symlink_to(tmp_path / f"link{suffix}")
    for path in (f"folder{suffix}", f"link{suffix}", f"missing{suffix}"):
        with pytest.raises(ScanError, match="unreadable"):
            read_scan(tmp_path / path)


PICTURE_NAMES = [
    "../../secret.png",
    "/etc/secret.png",
    "C:\\secret.png",
    "http://a/b.png",
    "\\\\host\\a.png",
    "..",
    "file:a",
]


@pytest.mark.parametrize("picture", PICTURE_NAMES)
def test_no_format_opens_a_picture_outside_its_folder(tmp_path, picture):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    write_picture(tmp_path / "secret.png", (50, 50))
    (folder / "face.mtl").write_text(f"map_Kd {picture}\n")
    for suffix, raw in (
        (".wrl", wrl_text(GRID, picture.replace('"', ""))),
        (".ply", ply_bytes(GRID, picture=picture)),
        (".bnt", bnt_bytes(GRID, picture=picture)),
        (".obj", obj_text(GRID, material="face.mtl")),
        (".obj", obj_text(GRID, material=picture)),
    ):
        assert read_scan(write_scan(folder, suffix, raw)).texture is None


@pytest.mark.parametrize("kind", ALWAYS_WRONG)
def test_what_is_no_depth_picture_is_refused(tmp_path, kind):
    with pytest.raises(ScanError):
        read_depth(write_scan(tmp_path, ".png", ALWAYS_WRONG[kind]), intrinsics=Intrinsics(fx=1, fy=1, cx=0, cy=0))


MEMORY = """
import sys
from pathlib import Path
from affect4d.malloc_and_peak_memory import peak_memory
from affect4d.scans.readers import READERS, read_scan
from affect4d.scans.scan import ScanError
from affect4d.scans.readers import gltf, obj, off_stl, ply, range_image, vrml
for name in sys.argv[3:]:
    try:
        read_scan(Path(name))
    except ScanError:
        pass
before = peak_memory()
try:
    read_scan(Path(sys.argv[1]))
except ScanError as error:
    print(error.code, file=sys.stderr)
after = peak_memory()
assert after - before <= float(sys.argv[2]), f"{after - before} bytes more"
"""
SIZE = 8_000_000
GREEDY = {
    "wrl": b"#VRML V2.0 utf8\nShape { geometry IndexedFaceSet { coord Coordinate { point [ "
    + b"1 " * (SIZE // 2)
    + b"] } } }",
    "obj": b"f" + b" 1" * (SIZE // 2) + b"\n",
    "ply text": b"ply\nformat ascii 1.0\nelement vertex 5000000\nproperty float x\nproperty float y\nproperty float z\n"
    b"element face 10000000\nproperty list uchar int vertex_indices\nend_header\n" + b"1 " * (SIZE // 2),
    "ply little": b"ply\nformat binary_little_endian 1.0\n"
    b"element face 8000000\nproperty list uchar int vertex_indices\nelement vertex 0\nproperty float x\n"
    b"property float y\nproperty float z\nend_header\n" + bytes(SIZE),
    "bnt": b"\xff\xff\xff\xff" + bytes(SIZE),
    "off": b"OFF\n1 4000000 0\n0 0 0\n" + b"0 " * (SIZE // 2),
    "stl text": b"solid a\n" + b"vertex 1 2 3\n" * (SIZE // 13) + b"endsolid",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GREEDY)
def test_memory_stays_in_proportion_to_the_file(tmp_path, name):
    suffix, good = GOOD[name]
    (tmp_path / f"good{suffix}").write_bytes(good)
    path = write_scan(tmp_path, suffix, GREEDY[name])
    command = [sys.executable, "-c", MEMORY, str(path), str(30 * SIZE), str(tmp_path / f"good{suffix}")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
