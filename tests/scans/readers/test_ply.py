"""PLY files."""

import dataclasses
import struct

import numpy as np
import pytest
from scan_files import (
    assert_valid,
    bumpy_grid,
    ply_bytes,
    refusal,
    write_picture,
    write_scan,
)

from affect4d.scans.readers import read_scan
from affect4d.scans.scan import ScanError

GRID = bumpy_grid(12)


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


def triangles(scan) -> set[tuple[float, ...]]:
    """Corners of every triangle, from the smallest on, in order: equal for equal surfaces however they are numbered."""
    given = [scan.vertices] if scan.texture_coordinates is None else [scan.vertices, scan.texture_coordinates]
    corners = np.concatenate(given, axis=1)
    rows = [[tuple(point) for point in triangle] for triangle in corners[scan.faces].tolist()]
    return {tuple(row[row.index(min(row)) :] + row[: row.index(min(row))]) for row in rows}


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


WRL = "#VRML V2.0 utf8\nShape { geometry IndexedFaceSet { coord Coordinate { point [ %s ] } coordIndex [ %s ] %s } }\n"


def refused(folder, points):
    with pytest.raises(ScanError) as told:
        read_scan(write_scan(folder, ".wrl", WRL % (points, "0,1,2,-1", "")))
    return told.value


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
