import dataclasses
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scan_files import assert_valid, bumpy_grid, obj_text, refusal, write_picture, write_scan, wrl_text

from affect4d.scans.readers import read_scan
from affect4d.scans.readers.texture import MAX_PIXELS, is_plain_name
from affect4d.scans.scan import FaceScan, ScanError

GRID = bumpy_grid()
SMALL = bumpy_grid(6)
TEXTS = {".wrl": wrl_text, ".obj": obj_text}
SUFFIXES = sorted(TEXTS)


def assert_same_mesh(scan: FaceScan, expected: FaceScan) -> None:
    assert_valid(scan)
    np.testing.assert_array_equal(scan.vertices, expected.vertices)
    np.testing.assert_array_equal(scan.faces, expected.faces)
    np.testing.assert_array_equal(scan.texture_coordinates, expected.texture_coordinates)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(tmp_path, suffix):
    write_picture(tmp_path / "000.jpg")
    scan = read_scan(write_scan(tmp_path, suffix, TEXTS[suffix](GRID)))
    assert_same_mesh(scan, GRID)
    assert scan.texture.shape == (6, 8, 3)
    assert scan.repairs == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "spelled",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(" ", "\t").replace("VRML\tV2.0\t", "VRML V2.0 "),
        lambda text: text.replace("\n", "  \n"),
    ],
    ids=["crlf", "byte order mark", "tabs", "trailing blanks"],
)
def test_spelling_does_not_matter(tmp_path, suffix, spelled):
    assert_same_mesh(read_scan(write_scan(tmp_path, suffix, spelled(TEXTS[suffix](GRID)))), GRID)


def test_wrl_numbers_may_be_apart_by_anything(tmp_path):
    text = wrl_text(SMALL)
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", text.replace(",\n", "\n"))), SMALL)
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", text.replace(",\n", " , "))), SMALL)
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", text.replace("point [", "point\n["))), SMALL)


def test_exponents_plus_signs_and_comments_are_numbers(tmp_path):
    text = (
        obj_text(SMALL).replace("v -90 -90 ", "v -9.0e+1 -9E1 ").replace("v 90 ", "v +90 ").replace("\nvt", "# a\nvt")
    )
    assert_same_mesh(read_scan(write_scan(tmp_path, ".obj", text)), SMALL)


def test_suffix_case_does_not_matter(tmp_path):
    assert_same_mesh(read_scan(write_scan(tmp_path, ".WRL", wrl_text(SMALL))), SMALL)


def test_polygons_become_fans(tmp_path):
    corners = [[0, 1, 7, 6], [1, 2, 3, 9, 8], [14, 15, 21]]
    text = wrl_text(dataclasses.replace(SMALL, faces=corners, texture_coordinates=None))
    expected = [[0, 1, 7], [0, 7, 6], [1, 2, 3], [1, 3, 9], [1, 9, 8], [14, 15, 21]]
    assert read_scan(write_scan(tmp_path, ".wrl", text)).faces.tolist() == expected
    text = obj_text(dataclasses.replace(SMALL, faces=corners, texture_coordinates=None), corner="{0}")
    assert read_scan(write_scan(tmp_path, ".obj", text)).faces.tolist() == expected


def test_largest_face_set_is_the_scan(tmp_path):
    both = wrl_text(bumpy_grid(4), None) + wrl_text(SMALL).removeprefix("#VRML V2.0 utf8\n")
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", both)), SMALL)


def test_differing_texture_indices_make_vertices_of_pairs(tmp_path):
    turned = SMALL.faces[:, [1, 2, 0]]
    scan = read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL, texture_faces=turned)))
    assert_valid(scan)
    np.testing.assert_array_equal(scan.vertices[scan.faces], SMALL.vertices[SMALL.faces])
    np.testing.assert_array_equal(scan.texture_coordinates[scan.faces], SMALL.texture_coordinates[turned])


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


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content", [b"", b" \n\t", b"\0" * 64, b"\xff\xfe\x00garbage" * 50, b"[" * 5000, b"{[" * 20000]
)
def test_no_scan_is_refused(tmp_path, suffix, content):
    refusal(tmp_path, suffix, content)
    refusal(tmp_path, suffix, b"#VRML V2.0 utf8\n" + content)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("tenth", range(10))
def test_truncated_files_are_refused_or_whole(tmp_path, suffix, tenth):
    text = TEXTS[suffix](GRID)
    path = write_scan(tmp_path, suffix, text[: len(text) * tenth // 10])
    try:
        scan = read_scan(path)
    except ScanError:
        return
    assert suffix == ".obj", "a .wrl without its closing brackets was accepted"
    assert_valid(scan)


@pytest.mark.parametrize(
    "index", ["-2", "576", "2147483647", "2147483648", "9223372036854775808", "1e30", "1.5", "x", "nan"]
)
def test_wrl_indices_that_point_nowhere_are_refused(tmp_path, index):
    text = wrl_text(GRID).replace("coordIndex [ 0,", f"coordIndex [ {index},", 1)
    assert refusal(tmp_path, ".wrl", text) in {"index-out-of-range", "malformed-number", "not-finite"}


@pytest.mark.parametrize("index", ["0", "-1", "577", "2147483648", "9223372036854775808", "1.5", "x"])
def test_obj_indices_that_point_nowhere_are_refused(tmp_path, index):
    text = obj_text(GRID).replace("f 1/1", f"f {index}/1", 1)
    codes = {"index-out-of-range", "malformed-number", "relative-index"}
    assert refusal(tmp_path, ".obj", text) in codes
    assert refusal(tmp_path, ".obj", obj_text(GRID).replace("f 1/1", f"f 1/{index}", 1)) in codes


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("number", ["nan", "NaN", "inf", "-Infinity", "1e300", "1e39", "1.#QNAN"])
def test_numbers_that_are_not_finite_are_refused(tmp_path, suffix, number):
    text = TEXTS[suffix](GRID).replace("-90 -90 ", f"{number} -90 ", 1)
    assert refusal(tmp_path, suffix, text) in {"not-finite", "malformed-number", "wrong-count"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("replacement", ["", "-90 ", "-90 -90 -90 ", "--90 -90 ", "1_0 -90 ", "0x1 -90 "])
def test_wrong_counts_and_words_are_refused(tmp_path, suffix, replacement):
    refusal(tmp_path, suffix, TEXTS[suffix](GRID).replace("-90 -90 ", replacement, 1))


def test_a_missing_obj_number_is_not_made_up_for_by_another_line(tmp_path):
    text = obj_text(GRID).replace("v -90 -90 ", "v -90 ", 1).replace("\nvt", " 5\nvt", 1)
    assert refusal(tmp_path, ".obj", text) == "wrong-count"
    text = obj_text(GRID).replace("f 1/1 2/2", "f 1/1/2 2", 1)
    assert refusal(tmp_path, ".obj", text) == "malformed"
    text = obj_text(GRID).replace("\nv -82.173912", " -82.173912", 1).replace("\nvt", "\nv 1 2 3\nvt", 1)
    assert refusal(tmp_path, ".obj", text) == "wrong-count"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_points_on_a_line_are_refused(tmp_path, suffix):
    flat = dataclasses.replace(GRID, vertices=GRID.vertices * np.float32([1, 0, 0]))
    assert refusal(tmp_path, suffix, TEXTS[suffix](flat)) == "degenerate"


def test_deep_and_manifold_nesting_is_refused_at_once(tmp_path):
    head = "#VRML V2.0 utf8\n"
    assert refusal(tmp_path, ".wrl", head + "Group { children [ " * 20000) in {"too-deep", "truncated"}
    assert refusal(tmp_path, ".wrl", head + "Group { children [ " * 20000 + "] }" * 20000) == "too-deep"
    assert refusal(tmp_path, ".wrl", head + "Group { } " * 200_000) == "too-complex"
    assert refusal(tmp_path, ".wrl", head + "} Shape {") == "malformed"
    assert refusal(tmp_path, ".wrl", "#VRML V1.0 ascii\n" + wrl_text(SMALL)) == "not-vrml"


def test_unknown_suffix_lists_the_known_ones(tmp_path):
    with pytest.raises(ScanError, match=r"a\.xyz: there is no such file or folder"):
        read_scan(tmp_path / "a.xyz")
    (tmp_path / "a.xyz").touch()
    with pytest.raises(ScanError, match=r"\.wrl, \.obj"):
        read_scan(tmp_path / "a.xyz")


def test_missing_file_and_folder_are_refused(tmp_path):
    (tmp_path / "a.wrl").mkdir()
    for name in ("a.wrl", "b.wrl"):
        with pytest.raises(ScanError, match="unreadable"):
            read_scan(tmp_path / name)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".ply", ".off", ".stl", ".bnt"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, suffix):
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / f"a{suffix}"
    path.symlink_to(tmp_path / "pipe")
    with pytest.raises(ScanError) as refused:
        read_scan(path)
    said = f"{path}: the file cannot be read (a folder, pipe or device: name a regular file) [unreadable]"
    assert str(refused.value) == said


def test_a_link_to_a_file_is_read(tmp_path):
    write_scan(tmp_path, ".obj", obj_text(SMALL))
    (tmp_path / "a.obj").symlink_to(tmp_path / "000.obj")
    assert_same_mesh(read_scan(tmp_path / "a.obj"), SMALL)


@pytest.mark.parametrize(
    "name",
    ["../../secret.png", "/etc/secret.png", "C:\\secret.png", "http://a/b.png", "\\\\host\\a.png", "..", "file:a"],
)
def test_texture_names_outside_the_folder_are_never_opened(tmp_path, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    write_picture(tmp_path / "secret.png", (50, 50))
    scan = read_scan(write_scan(folder, ".wrl", wrl_text(SMALL, name)))
    assert scan.texture is None
    assert "not a plain file name" in scan.repairs[0]
    assert not is_plain_name(name)


def huge_png(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 900)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "picture",
    [b"", b"no picture", b"GIF89a" + b"\0" * 100, huge_png(30000, 30000), huge_png(8001, 8000), huge_png(64, 64)],
    ids=["0 bytes", "garbage", "gif", "30000 x 30000", "above the cap", "truncated"],
)
def test_bad_textures_cost_the_colour_only(tmp_path, picture):
    assert MAX_PIXELS < 8001 * 8000
    (tmp_path / "000.jpg").write_bytes(picture)
    scan = read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL)))
    assert_same_mesh(scan, SMALL)
    assert scan.texture is None
    assert scan.repairs[0].startswith("texture")


def test_missing_texture_is_a_repair(tmp_path):
    assert read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL))).repairs == ("texture missing",)


def test_a_png_behind_a_jpg_name_is_read(tmp_path):
    write_picture(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "000.jpg")
    assert read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL))).texture is not None


def test_errors_name_the_byte(tmp_path):
    text = wrl_text(SMALL).replace("-90 -90 ", "-90 oops ", 1)
    with pytest.raises(ScanError, match=rf"byte {text.index('oops')}.*'oops'"):
        read_scan(write_scan(tmp_path, ".wrl", text))


def test_scan_errors_travel_between_processes(tmp_path):
    with pytest.raises(ScanError) as caught:
        read_scan(write_scan(tmp_path, ".obj", ""))
    kind, arguments = caught.value.__reduce__()
    assert str(kind(*arguments)) == str(caught.value)


def transformed(fields: str, shape: str) -> str:
    return f"#VRML V2.0 utf8\nTransform {{ {fields} children [ {shape.removeprefix('#VRML V2.0 utf8')} ] }}"


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "DEF face center 1 2 3",
        "translation 0 0 0 rotation 0 1 0 0 scale 1.0, 1.0, 1.0 scaleOrientation 0 0 1 1",
        "bboxSize -1 -1 -1",
    ],
)
def test_a_transform_that_moves_nothing_is_passed_over(tmp_path, fields):
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", transformed(fields, wrl_text(SMALL)))), SMALL)


@pytest.mark.parametrize(
    "fields",
    [
        "translation 1 2 3", "translation 0,0,3", "scale 2 2 2", "rotation 0 0 1 1.57", "rotation 0 0 0 1",
        "translation 1 2", "scale a b c", "rotation nan 0 1 nan", "translation 1e300 0 0", "translation",
    ],
)  # fmt: skip
def test_a_transform_that_moves_the_mesh_is_refused_by_name(tmp_path, fields):
    for text in (transformed(fields, wrl_text(SMALL)), transformed("", transformed(fields, wrl_text(SMALL)))):
        with pytest.raises(ScanError, match="a Transform that moves the mesh is not read"):
            read_scan(write_scan(tmp_path, ".wrl", text))


def test_a_transform_around_another_shape_does_not_matter(tmp_path):
    other = transformed("translation 1 2 3", wrl_text(bumpy_grid(4), None)).removeprefix("#VRML V2.0 utf8\n")
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL) + other)), SMALL)


def test_words_of_a_transform_may_be_in_any_alphabet(tmp_path):
    raw = transformed("DEF K?hler", wrl_text(SMALL)).encode().replace(b"K?hler", b"K\xf6hler")
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", raw)), SMALL)


def test_what_is_written_elsewhere_is_refused(tmp_path):
    text = wrl_text(SMALL)
    assert refusal(tmp_path, ".wrl", text.replace("coord Coordinate {", "coord USE mine other {")) == "unsupported"
    shape = text.removeprefix("#VRML V2.0 utf8\n")
    assert refusal(tmp_path, ".wrl", "#VRML V2.0 utf8\nPROTO Face [ ] { " + shape + " }") == "unsupported"


def test_clockwise_faces_are_refused_by_name(tmp_path):
    with pytest.raises(ScanError, match="'ccw FALSE' is not read"):
        read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL).replace("ccw TRUE", "ccw FALSE")))
