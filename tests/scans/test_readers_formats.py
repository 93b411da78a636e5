"""What holds of every format alike, and what is peculiar to PLY, OFF, STL, range images and depth pictures."""

import dataclasses
import functools
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scan_files import (
    SCANS,
    assert_valid,
    bnt_bytes,
    bumpy_grid,
    off_text,
    ply_bytes,
    refusal,
    stl_bytes,
    stl_text,
    write_picture,
    write_scan,
)

from affect4d.scans.readers import READERS, read_scan
from affect4d.scans.readers.mesh import assemble_mesh, merge_points
from affect4d.scans.readers.range_image import Intrinsics, read_depth, read_range_image
from affect4d.scans.scan import ScanError

GRID = bumpy_grid(12)
CAMERA = Intrinsics(fx=400, fy=420, cx=63.5, cy=47.5, far=2000)
DEPTH_READER = functools.partial(read_depth, intrinsics=CAMERA)


def triangles(scan) -> set[tuple[float, ...]]:
    """Corners of every triangle, from the smallest on, in order: equal for equal surfaces however they are numbered."""
    given = [scan.vertices] if scan.texture_coordinates is None else [scan.vertices, scan.texture_coordinates]
    corners = np.concatenate(given, axis=1)
    rows = [[tuple(point) for point in triangle] for triangle in corners[scan.faces].tolist()]
    return {tuple(row[row.index(min(row)) :] + row[: row.index(min(row))]) for row in rows}


def test_every_suffix_is_tried():
    assert {suffix for suffix, _ in SCANS.values()} == set(READERS)


@pytest.mark.parametrize("name", SCANS)
def test_what_is_written_is_read(tmp_path, name):
    suffix, write = SCANS[name]
    scan = read_scan(write_scan(tmp_path, suffix, write(GRID)))
    assert_valid(scan)
    bare = name.startswith(("off", "stl"))
    expected = dataclasses.replace(GRID, texture_coordinates=None) if bare else GRID
    assert triangles(scan) == triangles(expected)
    assert scan.repairs == (() if bare else ("texture missing",))


@pytest.mark.parametrize("name", SCANS)
def test_the_same_stem_names_the_picture(tmp_path, name):
    suffix, write = SCANS[name]
    write_picture(tmp_path / "000.png")
    scan = read_scan(write_scan(tmp_path, suffix, write(GRID)))
    assert (scan.texture is None) == (scan.texture_coordinates is None)


def test_ply_names_its_picture(tmp_path):
    write_picture(tmp_path / "skin.png", (4, 4))
    assert read_scan(write_scan(tmp_path, ".ply", ply_bytes(GRID, picture="skin.png"))).texture.shape == (4, 4, 3)
    assert read_scan(write_scan(tmp_path, ".ply", ply_bytes(GRID, picture="./skin.png"))).texture.shape == (4, 4, 3)
    two = ply_bytes(GRID, picture="skin.png").replace(b"comment w", b"comment TextureFile b.png\ncomment w")
    assert "2 textures named" in read_scan(write_scan(tmp_path, ".ply", two)).repairs[0]


def test_ply_seams_split_vertices(tmp_path):
    raw = ply_bytes(GRID, per_corner=True).replace(b" 6 0 0 ", b" 6 0.5 0.5 ", 1)
    scan = read_scan(write_scan(tmp_path, ".ply", raw))
    assert len(scan.vertices) == len(GRID.vertices) + 1
    assert scan.texture_coordinates[scan.faces[0, 0]].tolist() == [0.5, 0.5]


def test_ply_polygons_become_fans(tmp_path):
    many = dataclasses.replace(GRID, faces=[[0, 1, 13, 12], [1, 2, 14], [2, 3], [3, 4, 5, 17, 16]])
    for order in ("", "<", ">"):
        scan = read_scan(write_scan(tmp_path, ".ply", ply_bytes(many, order)))
        assert scan.faces.tolist() == [[0, 1, 13], [0, 13, 12], [1, 2, 14], [3, 4, 5], [3, 5, 17], [3, 17, 16]]
        assert "1 polygons of fewer than 3 corners left out" in scan.repairs


def test_ply_passes_over_what_it_does_not_need(tmp_path):
    raw = ply_bytes(GRID)
    head, body = raw.split(b"end_header\n")
    more = head + b"element edge 2\nproperty int a\nproperty list uchar int b\nend_header\n" + body + b"7 0\n8 2 1 1\n"
    assert triangles(read_scan(write_scan(tmp_path, ".ply", more))) == triangles(GRID)


@pytest.mark.parametrize("order", ["", "<", ">"])
def test_ply_passes_over_what_stands_between_and_is_empty(tmp_path, order):
    """Other numbers and lists in front of a face's corners, elements of no rows, notes in any alphabet."""
    head, body = ply_bytes(GRID, order).split(b"end_header\n")
    head = head.replace(b"comment written", b"obj_info of 1998\ncomment \xff\ncomment written")
    head = head.replace(b"element vertex", b"element camera 0\nproperty float a\nelement vertex")
    head = head.replace(b"element face", b"element strip 0\nproperty list uchar int vertex_indices\nelement face")
    head = head.replace(
        b"uchar int vertex_indices", b"uchar short own\nproperty uchar b\nproperty list uchar int vertex_index"
    )
    if order:
        edge = len(body) - 242 * 13
        faces = [body[at : at + 13] for at in range(edge, len(body), 13)]
        body = body[:edge] + b"".join(struct.pack(order + "BhhB", 2, 5, 6, 7) + face for face in faces)
    else:
        *points, faces = body.split(b"\n", 144)
        body = b"\n".join([*points, *(b"2 5 6 7 " + face for face in faces.splitlines())]) + b"\n"
    scan = read_scan(write_scan(tmp_path, ".ply", head + b"end_header\n" + body))
    assert triangles(scan) == triangles(GRID)


def test_ply_notes_polygons_that_are_too_small_and_none_that_are_empty(tmp_path):
    for faces, noted in (([[0, 1, 13], [2]], True), ([[0, 1, 13], [2, 3]], True), ([[0, 1, 13], []], False)):
        for grid in (dataclasses.replace(GRID, faces=faces), dataclasses.replace(GRID, faces=faces[::-1])):
            for per_corner in (False, True):
                scan = read_scan(write_scan(tmp_path, ".ply", ply_bytes(grid, "<", per_corner)))
                assert len(scan.faces) == 1
                assert ("1 polygons of fewer than 3 corners left out" in scan.repairs) is noted


def test_a_name_of_a_picture_may_hold_any_word(tmp_path):
    write_picture(tmp_path / "a TextureFile b.png", (4, 4))
    raw = ply_bytes(GRID, picture="a TextureFile b.png")
    assert read_scan(write_scan(tmp_path, ".ply", raw)).texture.shape == (4, 4, 3)


def test_a_ply_header_has_so_many_elements_and_properties_and_no_more(tmp_path):
    head, body = ply_bytes(GRID, "<").split(b"end_header\n")
    for more in (14, 15):
        elements = b"".join(b"element e%d 0\nproperty int a\n" % number for number in range(more))
        path = write_scan(tmp_path, ".ply", head + elements + b"end_header\n" + body)
        if more == 14:
            assert_valid(read_scan(path))
        else:
            with pytest.raises(ScanError, match="'element e14 0' is no line of a header"):
                read_scan(path)
    for more in (64, 65):
        properties = b"element e 0\n" + b"".join(b"property int a%d\n" % number for number in range(more))
        path = write_scan(tmp_path, ".ply", head + properties + b"end_header\n" + body)
        if more == 64:
            assert_valid(read_scan(path))
        else:
            with pytest.raises(ScanError, match="'property int a64' is no line of a header"):
                read_scan(path)


def test_a_ply_header_ends_where_it_may(tmp_path):
    head, body = ply_bytes(GRID, "<").split(b"end_header\n")
    for length, code in ((2**16 - len(head) - len(b"comment \nend_header\n"), None), (2**16, "truncated")):
        raw = head + b"comment " + b"x" * length + b"\nend_header\n" + body
        if code is None:
            assert_valid(read_scan(write_scan(tmp_path, ".ply", raw)))
        else:
            assert refusal(tmp_path, ".ply", raw) == code


@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_after_a_binary_ply_are_refused_and_blanks_noted(tmp_path, order):
    assert refusal(tmp_path, ".ply", ply_bytes(GRID, order) + b"12345") == "wrong-count"
    scan = read_scan(write_scan(tmp_path, ".ply", ply_bytes(GRID, order) + b"\n"))
    assert "blanks behind the last element ignored" in scan.repairs


PLY_TEXT = ply_bytes(GRID).decode()


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("element vertex 144", "element vertex 145", ""),
        ("element vertex 144", "element vertex 143", ""),
        ("element vertex 144", "element vertex -1", "malformed"),
        ("element vertex 144", "element vertex 99999999999", "wrong-count"),
        ("element vertex 144", "element vertex 4999999", "truncated"),
        ("\n-90 -90 ", "\n-90 ", "wrong-count"),
        ("\n-90 -90 ", "\n", "wrong-count"),
        ("\n-90 -90 ", "\n-90\n-90 ", "wrong-count"),
        ("element face 242", "element face 241", "wrong-count"),
        ("element face 242", "element face 243", "truncated"),
        ("element face 242", "element face 9999999", "truncated"),
        ("element face 242", "element face 0x10", "malformed"),
        ("format ascii 1.0", "format latin 1.0", "malformed"),
        ("format ascii 1.0\n", "", "malformed"),
        ("property float x", "property float x1", "no-mesh"),
        ("property float x", "property floats x", "malformed"),
        ("property float y", "property float x", "malformed"),
        ("list uchar int", "list float int", "malformed"),
        ("vertex_indices", "indices", "no-mesh"),
        ("element face", "element faces", "no-mesh"),
        ("element face", "element tristrips", "no-mesh"),
        ("end_header", "end_of_header", "truncated"),
        ("\n3 0 1 13", "\n3 0 1 144", "index-out-of-range"),
        ("\n3 0 1 13", "\n3 0 1 -1", "index-out-of-range"),
        ("\n3 0 1 13", "\n3 0 1 0.5", "index-out-of-range"),
        ("\n3 0 1 13", "\n3 0 1 9223372036854775808", "index-out-of-range"),
        ("\n3 0 1 13", "\n3 0 1 1e400", "index-out-of-range"),
        ("\n3 0 1 13", "\n999999999 0 1 13", "truncated"),
        ("\n3 0 1 13", "\n-3 0 1 13", "truncated"),
        ("\n3 0 1 13", "\n3.5 0 1 13", "truncated"),
        ("\n3 0 1 13", "\nnan 0 1 13", "not-finite"),
    ],
)
def test_ply_that_says_something_wrong_is_refused(tmp_path, old, new, code):
    assert old in PLY_TEXT
    assert refusal(tmp_path, ".ply", PLY_TEXT.replace(old, new, 1)).startswith(code)


@pytest.mark.parametrize("count", [0, 2, 200, 255])
def test_a_binary_ply_list_of_another_length_is_refused(tmp_path, count):
    raw = bytearray(ply_bytes(GRID, "<"))
    raw[raw.index(b"end_header\n") + 11 + 144 * 20] = count
    with pytest.raises(ScanError):
        read_scan(write_scan(tmp_path, ".ply", bytes(raw)))


def test_ply_lists_of_many_lengths_types_are_told_apart(tmp_path):
    for name, code, negative in (("char", "b", True), ("ushort", "H", False), ("int", "i", True), ("uint", "I", False)):
        raw = ply_bytes(GRID, "<").replace(b"list uchar", b"list " + name.encode())
        start = raw.index(b"end_header\n") + 11 + 144 * 20
        rows = [raw[at : at + 13] for at in range(start, len(raw), 13)]
        body = b"".join(struct.pack("<" + code, row[0]) + row[1:] for row in rows)
        assert triangles(read_scan(write_scan(tmp_path, ".ply", raw[:start] + body))) == triangles(GRID)
        wrong = struct.pack("<" + code, -1) if negative else b"\xff" * struct.calcsize(code)
        assert refusal(tmp_path, ".ply", raw[:start] + wrong + body[len(wrong) :]) == "truncated"


@pytest.mark.parametrize("name", ["off", "stl text", "ply text"])
def test_a_backslash_joins_no_lines_but_those_of_an_obj(tmp_path, name):
    suffix, write = SCANS[name]
    comment = {"off": b"# C:\\\n", "stl text": b"solid C:\\\n", "ply text": b"comment C:\\\n"}[name]
    head, rest = write(GRID).split(b"\n", 1)
    raw = comment + rest if name.startswith("stl") else head + b"\n" + comment + rest
    assert len(read_scan(write_scan(tmp_path, suffix, raw)).faces) == len(GRID.faces)


def test_off_colours_on_every_face_are_dropped(tmp_path):
    scan = read_scan(write_scan(tmp_path, ".off", off_text(GRID, " 255 0 0")))
    assert scan.faces.tolist() == GRID.faces.tolist()


@pytest.mark.parametrize("comment", ["# a\n", "\n # OFF 1 #\r\n\t#\r\r#b\n\n", "#\n" * 100_000])
def test_comments_may_stand_before_off(tmp_path, comment):
    scan = read_scan(write_scan(tmp_path, ".off", comment + off_text(GRID)))
    assert scan.faces.tolist() == GRID.faces.tolist()
    assert refusal(tmp_path, ".off", comment + "# " + off_text(GRID)) == "not-off"
    assert refusal(tmp_path, ".off", comment) == "not-off"


@pytest.mark.parametrize(("colours", "read"), [(0, True), (4, True), (5, False)])
def test_off_colours_have_up_to_four_numbers(tmp_path, colours, read):
    raw = off_text(GRID, " 1" * colours)
    if read:
        assert triangles(read_scan(write_scan(tmp_path, ".off", raw))) == triangles(
            dataclasses.replace(GRID, texture_coordinates=None)
        )
    else:
        assert refusal(tmp_path, ".off", raw) == "wrong-count"


def test_an_off_face_of_no_corners_is_left_out(tmp_path):
    raw = off_text(GRID).replace("144 242 0", "144 243 0") + "0\n"
    scan = read_scan(write_scan(tmp_path, ".off", raw))
    assert len(scan.faces) == 242
    assert scan.repairs == ("1 polygons of fewer than 3 corners left out",)


def test_an_off_face_may_have_many_corners(tmp_path):
    around = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    points = "\n".join(f"{10 * np.cos(angle)} {10 * np.sin(angle)} 0" for angle in around)
    (tmp_path / "a.off").write_text(f"OFF\n100 1 0\n{points}\n100 {' '.join(map(str, range(100)))}\n")
    assert read_scan(tmp_path / "a.off").faces.shape == (98, 3)


def test_texture_corners_of_other_faces_are_refused():
    vertices = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [10, 10, 1]], np.float32)
    faces = np.array([[0, 1, 2], [1, 3, 2]], np.int32)
    with pytest.raises(ScanError, match="position and texture index lists differ in length") as refused:
        assemble_mesh(Path("a.wrl"), vertices, faces, vertices[:3, :2], faces[:1])
    assert (refused.value.code, refused.value.path) == ("wrong-count", Path("a.wrl"))


def test_off_polygons_become_fans(tmp_path):
    many = dataclasses.replace(GRID, faces=[[0, 1, 13, 12], [1, 2, 14], [2, 3]])
    scan = read_scan(write_scan(tmp_path, ".off", off_text(many)))
    assert scan.faces.tolist() == [[0, 1, 13], [0, 13, 12], [1, 2, 14]]
    assert scan.repairs == ("1 polygons of fewer than 3 corners left out",)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("OFF", "COFF", "not-off"),
        ("OFF", "OFF BINARY", "malformed-number"),
        ("\n-90 -90 ", "\n-90 #90 ", "wrong-count"),
        ("144 242", "-144 242", "wrong-count"),
        ("144 242", "1e300 242", "wrong-count"),
        ("144 242", "4999999 242", "wrong-count"),
        ("144 242", "144 9999999", "wrong-count"),
        ("144 242", "144.5 242", "wrong-count"),
        ("144 242", "143 242", "wrong-count"),
        ("144 242", "144 241", "wrong-count"),
        ("\n3 0 1 13", "\n3 0 1 13 1 2 3 4 5", "wrong-count"),
        ("\n3 0 1 13", "\n3 0 1 144", "index-out-of-range"),
        ("\n3 0 1 13", "\n3 0 1 -1", "index-out-of-range"),
        ("\n3 0 1 13", "\n300 0 1 13", "wrong-count"),
    ],
)
def test_off_that_says_something_wrong_is_refused(tmp_path, old, new, code):
    assert old in off_text(GRID)
    assert refusal(tmp_path, ".off", off_text(GRID).replace(old, new, 1)) == code


def test_stl_merges_equal_points(tmp_path):
    for raw in (stl_text(GRID), stl_bytes(GRID)):
        assert len(read_scan(write_scan(tmp_path, ".stl", raw)).vertices) == len(GRID.vertices)


def test_points_that_differ_in_the_last_bit_stay_apart():
    tiny = np.array([[1e-30, 0, 0], [2e-30, 0, 0], [-0.0, 0, 0], [0.0, 0, 0], [1e-30, 0, 0]], np.float32)
    points, index = merge_points(tiny)
    np.testing.assert_array_equal(points[index], tiny)
    assert len(points) == 3


def test_blanks_before_a_text_stl_do_not_matter(tmp_path):
    plain = dataclasses.replace(GRID, texture_coordinates=None)
    assert triangles(read_scan(write_scan(tmp_path, ".stl", "\n " + stl_text(GRID)))) == triangles(plain)


@pytest.mark.parametrize("spelled", [str.upper, str.title, str.swapcase, lambda text: text + " \r\n" * 2000])
def test_words_of_a_text_stl_may_be_in_capitals_and_blanks_follow_it(tmp_path, spelled):
    plain = dataclasses.replace(GRID, texture_coordinates=None)
    assert triangles(read_scan(write_scan(tmp_path, ".stl", spelled(stl_text(GRID))))) == triangles(plain)


def test_what_stl_refuses_it_refuses_in_capitals(tmp_path):
    text = stl_text(GRID).upper()
    assert refusal(tmp_path, ".stl", text.replace("ENDSOLID", "")) == "truncated"
    assert refusal(tmp_path, ".stl", text.replace("VERTEX -90 -90", "VORTEX -90 -90", 1)) == "wrong-count"
    assert refusal(tmp_path, ".stl", text.replace("VERTEX -90 -90", "6ERTEX -90 -90", 1)) == "wrong-count"


def test_stl_merges_both_zeros(tmp_path):
    text = stl_text(dataclasses.replace(GRID, vertices=np.round(GRID.vertices / 20) * 20))
    assert read_scan(write_scan(tmp_path, ".stl", text.replace(" 0 ", " -0 ", 40))).faces.max() < 144


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("endsolid", "", "truncated"),
        ("solid a", "liquid a", "not-stl"),
        ("vertex -90 -90", "vertex -90", "wrong-count"),
        ("vertex -90 -90", "vertex -90 -90 -90", "wrong-count"),
        ("vertex -90 -90", "vertex -90 nan", "not-finite"),
        ("vertex -90 -90", "vortex -90 -90", "wrong-count"),
        ("vertex -90 -90", "vertex -90 1e39", "not-finite"),
    ],
)
def test_stl_that_says_something_wrong_is_refused(tmp_path, old, new, code):
    assert refusal(tmp_path, ".stl", stl_text(GRID).replace(old, new)) == code


def test_a_binary_stl_of_another_count_is_refused(tmp_path):
    raw = stl_bytes(GRID)
    for count in (0, 241, 243, 2**31, 2**32 - 1):
        assert refusal(tmp_path, ".stl", raw[:80] + struct.pack("<I", count) + raw[84:]) == "not-stl"


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
