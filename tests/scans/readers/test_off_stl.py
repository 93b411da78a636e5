"""OFF and STL files."""

import dataclasses
import struct

import numpy as np
import pytest
from scan_files import (
    bumpy_grid,
    off_text,
    refusal,
    stl_bytes,
    stl_text,
    write_scan,
)

from affect4d.scans.readers import read_scan

GRID = bumpy_grid(12)


def test_off_colours_on_every_face_are_dropped(tmp_path):
    scan = read_scan(write_scan(tmp_path, ".off", off_text(GRID, " 255 0 0")))
    assert scan.faces.tolist() == GRID.faces.tolist()


@pytest.mark.parametrize("comment", ["# a\n", "\n # OFF 1 #\r\n\t#\r\r#b\n\n", "#\n" * 100_000])
def test_comments_may_stand_before_off(tmp_path, comment):
    scan = read_scan(write_scan(tmp_path, ".off", comment + off_text(GRID)))
    assert scan.faces.tolist() == GRID.faces.tolist()
    assert refusal(tmp_path, ".off", comment + "# " + off_text(GRID)) == "not-off"
    assert refusal(tmp_path, ".off", comment) == "not-off"


def triangles(scan) -> set[tuple[float, ...]]:
    """Corners of every triangle, from the smallest on, in order: equal for equal surfaces however they are numbered."""
    given = [scan.vertices] if scan.texture_coordinates is None else [scan.vertices, scan.texture_coordinates]
    corners = np.concatenate(given, axis=1)
    rows = [[tuple(point) for point in triangle] for triangle in corners[scan.faces].tolist()]
    return {tuple(row[row.index(min(row)) :] + row[: row.index(min(row))]) for row in rows}


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
