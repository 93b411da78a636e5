"""Wavefront files and their materials."""

from pathlib import Path

import numpy as np
import pytest
from scan_files import assert_same_mesh, bumpy_grid, obj_text, refusal, write_picture, write_scan

from affect4d.scans.readers import read_scan
from affect4d.scans.scan import FaceScan, ScanError

SMALL = bumpy_grid(6)


def test_exponents_plus_signs_and_comments_are_numbers(tmp_path):
    text = (
        obj_text(SMALL).replace("v -90 -90 ", "v -9.0e+1 -9E1 ").replace("v 90 ", "v +90 ").replace("\nvt", "# a\nvt")
    )
    assert_same_mesh(read_scan(write_scan(tmp_path, ".obj", text)), SMALL)


@pytest.mark.parametrize("corner", ["{0}", "{0}/{0}", "{0}//{0}", "{0}/{0}/{0}"])
def test_every_obj_corner_form_is_read(tmp_path, corner):
    text = obj_text(SMALL, corner).replace("\nf ", "\nvn 0 0 1\nusemtl skin\nf ", 1)
    assert_same_mesh(read_scan(write_scan(tmp_path, ".obj", text)), SMALL)


@pytest.mark.parametrize("corner", ["{0}/", "{0}//", "{0}/{0}/"])
def test_a_slash_that_nothing_follows_says_nothing(tmp_path, corner):
    text = obj_text(SMALL, corner).replace("\nf", " # a\nf", 3)
    assert_same_mesh(read_scan(write_scan(tmp_path, ".obj", text)), SMALL)


@pytest.mark.parametrize("corner", ["1/x", "/1", "//1", "1/-", "1///", "1/1/1/", "1//-", "-", "/", "1 /"])
def test_a_corner_of_other_marks_is_refused(tmp_path, corner):
    text = obj_text(SMALL).replace("f 1/1", f"f {corner}", 1)
    assert refusal(tmp_path, ".obj", text) in {"malformed-number", "index-out-of-range"}


def test_corners_with_and_without_a_texture_are_several_forms(tmp_path):
    assert refusal(tmp_path, ".obj", obj_text(SMALL).replace("f 1/1", "f 1/", 1)) == "malformed"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("kind", ["v ", "vt ", "f "])
@pytest.mark.parametrize("join", ["\\\n", " \\\n  "])
def test_obj_lines_that_go_on_behind_a_backslash_are_refused_by_name(tmp_path, kind, join, line_break):
    text = obj_text(SMALL)
    at = text.index(" ", text.index(f"\n{kind}") + len(kind) + 1)
    with pytest.raises(ScanError, match=r"a line that goes on behind a backslash is not read.*unsupported"):
        read_scan(write_scan(tmp_path, ".obj", (text[:at] + join + text[at:]).replace("\n", line_break)))


@pytest.mark.parametrize(
    "line", ["# C:\\", "g C:\\scans\\", "usemtl \\", "o a \\", "mtllib a.mtl\\", "\\", "# v \\", "vp 1 \\"]
)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_a_name_or_a_comment_that_ends_in_a_backslash_takes_no_line_with_it(tmp_path, line, line_break):
    text = line_break.join(f"{line}{line_break}{one}" for one in obj_text(SMALL).splitlines()) + line_break
    assert_same_mesh(read_scan(write_scan(tmp_path, ".obj", text)), SMALL)


def test_interleaved_obj_lines_are_read(tmp_path):
    vertices = [line for line in obj_text(SMALL).splitlines() if line.startswith("v ")]
    rest = [line for line in obj_text(SMALL).splitlines() if line.startswith(("vt", "f"))]
    text = "\n".join([line + "\nvn 0 0 1" for line in vertices] + rest)
    assert_same_mesh(read_scan(write_scan(tmp_path, ".obj", text)), SMALL)


def test_obj_material_names_the_picture(tmp_path):
    write_picture(tmp_path / "skin.png", (4, 4))
    (tmp_path / "face.mtl").write_text("newmtl skin\nmap_Kd skin.png\n")
    scan = read_scan(write_scan(tmp_path, ".obj", obj_text(SMALL, material="face.mtl")))
    assert scan.texture.shape == (4, 4, 3)


def read_with_materials(folder: Path, lines: str, **materials: str) -> FaceScan:
    """A scan of faces behind the lines given; ``red.png`` is 4 pixels wide, ``sky blue.png`` 8."""
    write_picture(folder / "red.png", (4, 4))
    write_picture(folder / "sky blue.png", (8, 8))
    for name, text in materials.items():
        (folder / f"{name}.mtl").write_bytes(text.encode())
    return read_scan(write_scan(folder, ".obj", obj_text(SMALL).replace("\nf ", f"\n{lines}\nf ", 1)))


RED, BLUE = "newmtl red\nKd 1 0 0\nmap_Kd red.png\n", "newmtl deep blue\nmap_Kd sky blue.png\n"


@pytest.mark.parametrize(
    ("used", "width"),
    [
        ("usemtl red", 4),
        ("usemtl deep blue", 8),
        (" usemtl\tdeep blue  ", 8),
        ("usemtl grey\nusemtl deep blue\nusemtl gone", 8),
        ("usemtl red\nusemtl red too", 4),
        ("g usemtl red\n#usemtl red\nusemtl deep blue", 8),
        ("usemtl red\nusemtl deep blue", None),
        ("usemtl gone", None),
        ("", None),
    ],
)
def test_the_material_in_use_names_the_picture(tmp_path, used, width):
    materials = f"{RED}{BLUE}newmtl grey\nKd 1 1 1\nnewmtl red too\nmap_Kd ./red.png\n"
    scan = read_with_materials(tmp_path, f"mtllib a.mtl\n{used}", a=materials)
    assert (scan.texture if width is None else scan.texture.shape[1]) == width
    assert scan.repairs == (("2 textures named: none is read",) if width is None else ())


def test_a_material_without_a_picture_leaves_the_one_of_the_same_stem(tmp_path):
    scan = read_with_materials(tmp_path, "mtllib a.mtl\nusemtl grey", a=f"{RED}newmtl grey\nKd 1 1 1\n")
    assert scan.repairs == ("texture missing",)
    write_picture(tmp_path / "000.png", (2, 2))
    assert read_scan(tmp_path / "000.obj").texture.shape == (2, 2, 3)


@pytest.mark.parametrize("used", ["", "usemtl gone", "usemtl red"])
def test_the_only_picture_of_the_materials_is_used_whatever_is_named(tmp_path, used):
    materials = f"{RED}newmtl same\nmap_Kd .\\red.png\n"
    assert read_with_materials(tmp_path, f"mtllib a.mtl\n{used}", a=materials).texture.shape == (4, 4, 3)


def test_a_picture_that_is_given_needs_no_material(tmp_path):
    read_with_materials(tmp_path, "mtllib a.mtl\nmtllib gone.mtl", a=RED + BLUE)
    scan = read_scan(tmp_path / "000.obj", texture=tmp_path / "red.png")
    assert (scan.texture.shape, scan.repairs) == ((4, 4, 3), ())


@pytest.mark.parametrize(
    "name",
    [
        "a.mtl", "./a.mtl", ".\\a.mtl", "././a.mtl", "gone.mtl a.mtl", "b c.mtl", "a.mtl b.mtl", "../x.mtl a.mtl",
        "gone.mtl\nmtllib ./a.mtl", "a.mtl \r", "a.mtl\n mtllib\ta.mtl",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", " ", "\t"])
def test_a_material_file_may_be_named_in_many_ways(tmp_path, name, before):
    scan = read_with_materials(tmp_path, f"{before}mtllib {name}", a=RED, **{"b c": RED})
    assert scan.texture.shape == (4, 4, 3)
    assert scan.repairs == ()


@pytest.mark.parametrize(
    ("line", "width"),
    [
        ("map_Kd ./red.png", 4),
        ("map_Kd .\\red.png", 4),
        ("\tMAP_KD  red.png ", 4),
        ("map_Kd -s 1 1 1 red.png", 4),
        ("map_Kd -s 1 -o .5 -1e-3 -t 0 0 0 -mm 0 1 -clamp on -bm 0.5 red.png", 4),
        ("map_Kd -blendu off -imfchan l -texres 512 ./red.png", 4),
        ("map_Kd sky blue.png", 8),
    ],
)
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_a_material_may_name_its_picture_in_many_ways(tmp_path, line, width, line_break):
    text = f"newmtl a\n{line}\nmap_Ks sky blue.png\n".replace("\n", line_break)
    assert read_with_materials(tmp_path, "mtllib a.mtl", a=text).texture.shape[1] == width


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("mtllib gone.mtl", "material 'gone.mtl' missing"),
        ("mtllib ./one two.mtl", "material 'one two.mtl' missing"),
        ("mtllib ../x.mtl", "material name '../x.mtl' refused: not a plain file name"),
        ("mtllib ./../x.mtl", "material name '../x.mtl' refused: not a plain file name"),
        ("mtllib empty.mtl", "material 'empty.mtl' refused: the file is empty"),
        ("mtllib out.mtl", "texture name '../red.png' refused: not a plain file name"),
    ],
)
def test_a_material_that_gives_no_picture_is_noted_by_name(tmp_path, line, note):
    inside = tmp_path / "inside"
    inside.mkdir()
    for name in ("x.mtl", "red.png"):
        (tmp_path / name).write_text(RED)
    scan = read_with_materials(inside, line, empty="", out="map_Kd ./../red.png\n")
    assert scan.texture is None
    assert scan.repairs == (note, "texture missing")


def test_a_material_that_is_missing_is_not_noted_where_there_is_a_picture(tmp_path):
    write_picture(tmp_path / "000.png", (2, 2))
    assert read_with_materials(tmp_path, "mtllib gone.mtl").repairs == ()


def test_a_material_file_without_a_line_of_use_gives_nothing(tmp_path):
    assert read_with_materials(tmp_path, "mtllib a.mtl", a="map_Kd \nmap_Kd -s 1 \n").repairs == ("texture missing",)


GRID = bumpy_grid()


@pytest.mark.parametrize("index", ["0", "-1", "577", "2147483648", "9223372036854775808", "1.5", "x"])
def test_obj_indices_that_point_nowhere_are_refused(tmp_path, index):
    text = obj_text(GRID).replace("f 1/1", f"f {index}/1", 1)
    codes = {"index-out-of-range", "malformed-number", "relative-index"}
    assert refusal(tmp_path, ".obj", text) in codes
    assert refusal(tmp_path, ".obj", obj_text(GRID).replace("f 1/1", f"f 1/{index}", 1)) in codes


def test_a_missing_obj_number_is_not_made_up_for_by_another_line(tmp_path):
    text = obj_text(GRID).replace("v -90 -90 ", "v -90 ", 1).replace("\nvt", " 5\nvt", 1)
    assert refusal(tmp_path, ".obj", text) == "wrong-count"
    text = obj_text(GRID).replace("f 1/1 2/2", "f 1/1/2 2", 1)
    assert refusal(tmp_path, ".obj", text) == "malformed"
    text = obj_text(GRID).replace("\nv -82.173912", " -82.173912", 1).replace("\nvt", "\nv 1 2 3\nvt", 1)
    assert refusal(tmp_path, ".obj", text) == "wrong-count"


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
