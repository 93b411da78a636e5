"""Corners of the formats: what mutants of the readers got past the other tests with."""

import numpy as np
import pytest
from PIL import Image
from scan_files import write_scan

from affect4d.scans.readers import read_scan
from affect4d.scans.readers.scanner import MAX_COMMENTS
from affect4d.scans.scan import ScanError

SQUARE = "0 0 0, 10 0 0, 10 10 0, 0 10 1"
WRL = "#VRML V2.0 utf8\nShape { geometry IndexedFaceSet { coord Coordinate { point [ %s ] } coordIndex [ %s ] %s } }\n"


def refused(folder, points):
    with pytest.raises(ScanError) as told:
        read_scan(write_scan(folder, ".wrl", WRL % (points, "0,1,2,-1", "")))
    return told.value


def wrl(folder, index, rest="", points=SQUARE):
    return read_scan(write_scan(folder, ".wrl", WRL % (points, index, rest)))


@pytest.mark.parametrize("index", ["0,1,2,-1,0,2,3", "0,1,2,3", "0,1,2,-1,0,2,3,-1"])
def test_the_last_face_of_a_wrl_needs_no_end(tmp_path, index):
    scan = wrl(tmp_path, index)
    assert scan.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert scan.repairs == ("texture missing",)


def test_a_wrl_face_of_fewer_than_three_corners_is_left_out_and_counted(tmp_path):
    scan = wrl(tmp_path, "0,1,-1,0,1,2,-1,-1,3,-1,0,2,3,-1")
    assert scan.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert "2 polygons of fewer than 3 corners left out" in scan.repairs


def test_texture_coordinates_of_an_obj_that_no_corner_names_are_left_out_and_counted(tmp_path):
    text = "v 0 0 0\nv 10 0 0\nv 10 10 0\nvt 0 0\nvt 1 0\nf 1 2 3\n"
    scan = read_scan(write_scan(tmp_path, ".obj", text))
    assert scan.texture_coordinates is None
    assert scan.vertices.tolist() == [[0, 0, 0], [10, 0, 0], [10, 10, 0]]
    assert "2 texture coordinates without an index left out" in scan.repairs


def test_an_obj_vertex_may_have_several_texture_coordinates(tmp_path):
    text = "v 0 0 0\nv 10 0 0\nv 10 10 0\nv 0 10 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvt 0.5 0\n"
    text += "f 1/1 2/2 3/3\nf 1/5 3/3 4/4\n"
    scan = read_scan(write_scan(tmp_path, ".obj", text))
    rows = np.concatenate([scan.vertices, scan.texture_coordinates], axis=1)[scan.faces]
    assert rows[0].tolist() == [[0, 0, 0, 0, 0], [10, 0, 0, 1, 0], [10, 10, 0, 1, 1]]
    assert rows[1].tolist() == [[0, 0, 0, 0.5, 0], [10, 10, 0, 1, 1], [0, 10, 0, 0, 1]]


def test_names_in_an_obj_need_not_be_utf_8(tmp_path):
    corners = b"v 0 0 0\nv 10 0 0\nv 10 10 0\nf 1 2 3\n"
    scan = read_scan(write_scan(tmp_path, ".obj", b"mtllib m\xfcller.mtl\n" + corners))
    assert len(scan.vertices) == 3
    (tmp_path / "a.mtl").write_bytes(b"newmtl a\nmap_Kd m\xfcller.png\n")
    scan = read_scan(write_scan(tmp_path, ".obj", b"mtllib a.mtl\n" + corners))
    assert scan.texture is None
    assert scan.repairs == ("texture missing",)


@pytest.mark.parametrize(("kind", "counts", "refused"), [("char", b"\xff", True), ("uchar", b"\x03", False)])
def test_a_negative_count_of_a_ply_list_is_refused(tmp_path, kind, counts, refused):
    points = np.array([[0, 0, 0], [10, 0, 0], [10, 10, 0]], "<f4").tobytes()
    head = (
        "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face 1\nproperty list {kind} int vertex_indices\nend_header\n"
    ).encode()
    # 255 indices lie there, should the count be read without its sign
    raw = head + points + counts + np.resize(np.array([0, 1, 2], "<i4"), 255 if refused else 3).tobytes()
    if not refused:
        assert read_scan(write_scan(tmp_path, ".ply", raw)).faces.tolist() == [[0, 1, 2]]
        return
    with pytest.raises(ScanError):
        read_scan(write_scan(tmp_path, ".ply", raw))


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    folder = tmp_path / "folder.ply"
    folder.mkdir()
    with pytest.raises(ScanError) as told:
        read_scan(folder)
    assert (told.value.code, told.value.path) == ("unreadable", folder)
    named = tmp_path / "nul\0.ply"
    with pytest.raises(ScanError, match=r"cannot be read.*null byte") as told:
        read_scan(named)
    assert (told.value.code, told.value.path) == ("unreadable", named)


def test_more_comments_in_a_list_than_anybody_writes_are_refused(tmp_path):
    points = "0 0 0,\n" + "# so\n" * (MAX_COMMENTS + 1) + "10 0 0, 10 10 0, 0 10 1"
    error = refused(tmp_path, points)
    assert error.code == "too-complex"
    assert error.detail == f"more than {MAX_COMMENTS} comments in one list"
    assert error.where.startswith("byte ")


@pytest.mark.parametrize(
    ("word", "detail", "where"),
    [
        ("nan", "'nan' is not a finite number", "byte 87"),
        ("-inf", "'-inf' is not a finite number", "byte 87"),
        ("1e400", "a coordinate is not a finite number", "vertex 1"),
    ],
)
def test_a_number_that_is_none_is_named_with_its_place(tmp_path, word, detail, where):
    error = refused(tmp_path, f"0 0 0, 10 {word} 0, 10 10 0, 0 10 1")
    assert (error.code, error.detail, error.where) == ("not-finite", detail, where)


def test_lists_behind_a_face_set_are_not_its_own(tmp_path):
    lines = "Shape { geometry IndexedLineSet { coord Coordinate { point [ 9 9 9 ] } coordIndex [ 0 -1 ] } }\n"
    text = WRL % (SQUARE, "0,1,2,-1,0,2,3,-1", "")
    scan = read_scan(write_scan(tmp_path, ".wrl", text + lines))
    assert scan.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert scan.vertices[3].tolist() == [0, 10, 1]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".wrl", '#VRML V2.0 utf8\nShape { appearance Appearance { texture ImageTexture { url "named.png" } }\n%s'),
        (".obj", "mtllib m.mtl\n%s"),
        (".ply", "ply\nformat ascii 1.0\ncomment TextureFile named.png\n%s"),
    ],
)
def test_a_picture_that_is_given_goes_before_the_one_a_scan_names(tmp_path, suffix, text):
    mesh = {
        ".wrl": f"geometry IndexedFaceSet {{ coord Coordinate {{ point [ {SQUARE} ] }} coordIndex [ 0,1,2,-1 ] }} }}\n",
        ".obj": "v 0 0 0\nv 10 0 0\nv 10 10 0\nf 1 2 3\n",
        ".ply": "element vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement face 1\n"
        "property list uchar int vertex_indices\nend_header\n0 0 0\n10 0 0\n10 10 0\n3 0 1 2\n",
    }[suffix]
    (tmp_path / "m.mtl").write_text("newmtl a\nmap_Kd named.png\n")
    for name, level in (("named", 10), ("given", 200)):
        Image.new("RGB", (2, 2), (level, level, level)).save(tmp_path / f"{name}.png")
    scan = write_scan(tmp_path, suffix, text % mesh)
    assert read_scan(scan).texture.max() == 10
    assert read_scan(scan, tmp_path / "given.png").texture.max() == 200
