"""VRML: the ways of writing one face set, and the image that belongs to it."""

import numpy as np
import pytest
from PIL import Image
from scan_files import assert_same_mesh, assert_valid, bumpy_grid, refusal, write_scan, wrl_text

from affect4d.scans.readers import read_scan
from affect4d.scans.readers.text_numbers import MAX_COMMENTS
from affect4d.scans.scan import ScanError

SMALL = bumpy_grid(6)


def test_wrl_numbers_may_be_apart_by_anything(tmp_path):
    text = wrl_text(SMALL)
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", text.replace(",\n", "\n"))), SMALL)
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", text.replace(",\n", " , "))), SMALL)
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", text.replace("point [", "point\n["))), SMALL)


def test_largest_face_set_is_the_scan(tmp_path):
    both = wrl_text(bumpy_grid(4), None) + wrl_text(SMALL).removeprefix("#VRML V2.0 utf8\n")
    assert_same_mesh(read_scan(write_scan(tmp_path, ".wrl", both)), SMALL)


def test_differing_texture_indices_make_vertices_of_pairs(tmp_path):
    turned = SMALL.faces[:, [1, 2, 0]]
    scan = read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL, texture_faces=turned)))
    assert_valid(scan)
    np.testing.assert_array_equal(scan.vertices[scan.faces], SMALL.vertices[SMALL.faces])
    np.testing.assert_array_equal(scan.texture_coordinates[scan.faces], SMALL.texture_coordinates[turned])


GRID = bumpy_grid()


@pytest.mark.parametrize(
    "index", ["-2", "576", "2147483647", "2147483648", "9223372036854775808", "1e30", "1.5", "x", "nan"]
)
def test_wrl_indices_that_point_nowhere_are_refused(tmp_path, index):
    text = wrl_text(GRID).replace("coordIndex [ 0,", f"coordIndex [ {index},", 1)
    assert refusal(tmp_path, ".wrl", text) in {"index-out-of-range", "malformed-number", "not-finite"}


def test_deep_and_manifold_nesting_is_refused_at_once(tmp_path):
    head = "#VRML V2.0 utf8\n"
    assert refusal(tmp_path, ".wrl", head + "Group { children [ " * 20000) in {"too-deep", "truncated"}
    assert refusal(tmp_path, ".wrl", head + "Group { children [ " * 20000 + "] }" * 20000) == "too-deep"
    assert refusal(tmp_path, ".wrl", head + "Group { } " * 200_000) == "too-complex"
    assert refusal(tmp_path, ".wrl", head + "} Shape {") == "malformed"
    assert refusal(tmp_path, ".wrl", "#VRML V1.0 ascii\n" + wrl_text(SMALL)) == "not-vrml"


def test_errors_name_the_byte(tmp_path):
    text = wrl_text(SMALL).replace("-90 -90 ", "-90 oops ", 1)
    with pytest.raises(ScanError, match=rf"byte {text.index('oops')}.*'oops'"):
        read_scan(write_scan(tmp_path, ".wrl", text))


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


SQUARE = "0 0 0, 10 0 0, 10 10 0, 0 10 1"


WRL = "#VRML V2.0 utf8\nShape { geometry IndexedFaceSet { coord Coordinate { point [ %s ] } coordIndex [ %s ] %s } }\n"


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


def refused(folder, points):
    with pytest.raises(ScanError) as told:
        read_scan(write_scan(folder, ".wrl", WRL % (points, "0,1,2,-1", "")))
    return told.value


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


HEAD = "#VRML V2.0 utf8\n"


ONE_FACE, TWO_FACES = "0 1 2 -1", "0 1 2 -1 1 3 2 -1"


RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def geometry(index: str = ONE_FACE) -> str:
    """A face set of four points, with texture coordinates."""
    return (
        f"geometry IndexedFaceSet {{ coord Coordinate {{ point [ 0 0 0, 10 0 0, 0 10 0, 10 10 0 ] }} "
        f"coordIndex [ {index} ] texCoord TextureCoordinate {{ point [ 0 0, 1 0, 0 1, 1 1 ] }} }} "
    )


def appearance(url: str, more: str = "") -> str:
    return f"appearance Appearance {{ texture ImageTexture {{ url {url} }} {more} }} "


def shape(*parts: str) -> str:
    return f"Shape {{ {' '.join(parts)} }}\n"


def read(folder, *parts, pictures=(("red.png", RED), ("blue.png", BLUE))):
    for name, colour in pictures:
        Image.new("RGB", (4, 4), colour).save(folder / name)
    return read_scan(write_scan(folder, ".wrl", HEAD + "".join(parts)))


def colour(scan) -> tuple[int, ...] | None:
    return None if scan.texture is None else tuple(scan.texture[0, 0].tolist())


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_a_face_set_wears_the_picture_of_its_own_shape(tmp_path, behind, order):
    def one(index, url):
        return shape(*[geometry(index), appearance(url)][:: 1 if behind else -1])

    shapes = [one(ONE_FACE, '"red.png"'), one(TWO_FACES, '"blue.png"')][::order]
    scan = read(tmp_path, *shapes)
    assert len(scan.faces) == 2
    assert colour(scan) == BLUE
    assert scan.repairs == ()


@pytest.mark.parametrize("order", [1, -1])
def test_a_face_set_without_looks_wears_no_other_shapes_picture(tmp_path, order):
    shapes = [shape(appearance('"red.png"'), geometry(ONE_FACE)), shape(geometry(TWO_FACES))][::order]
    assert read(tmp_path, *shapes).repairs == ("texture missing",)
    own = read(tmp_path, *shapes, pictures=[("000.png", GREEN)])
    assert colour(own) == GREEN


def test_without_shapes_the_picture_before_the_face_set_is_its_own_else_the_first_after_it(tmp_path):
    picture = 'ImageTexture {{ url "{}.png" }} '
    red, blue, mesh = picture.format("red"), picture.format("blue"), geometry().removeprefix("geometry ")
    assert colour(read(tmp_path, red, blue, mesh)) == BLUE
    assert colour(read(tmp_path, red, mesh, blue)) == RED
    assert colour(read(tmp_path, mesh, red, blue)) == RED
    assert colour(read(tmp_path, red, "ImageTexture { repeatS FALSE } ", mesh)) == RED


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ('[ "red.png" "blue.png" ]', RED),
        ('[ "blue.png", "red.png" ]', BLUE),
        ('[ "gone.png" "blue.png" ]', BLUE),
        ('[ "http://a.b/red.png" "gone.png" "blue.png" "red.png" ]', BLUE),
        ('"red.png"', RED),
    ],
)
def test_of_several_names_the_first_that_is_there_is_read(tmp_path, urls, expected):
    scan = read(tmp_path, shape(appearance(urls), geometry()))
    assert colour(scan) == expected
    assert scan.repairs == ()


def test_where_no_name_is_there_the_stem_decides(tmp_path):
    scan = read(tmp_path, shape(appearance('[ "a/b.png" "gone.png" ]'), geometry()))
    assert scan.repairs == ("texture name 'a/b.png' refused: not a plain file name", "texture missing")
    stem = read(tmp_path, shape(appearance('[ "gone.png" "lost.png" ]'), geometry()), pictures=[("000.png", GREEN)])
    assert colour(stem) == GREEN


def test_only_sixteen_names_are_looked_for(tmp_path):
    gone = '"gone.png" '
    last = read(tmp_path, shape(appearance(f'[ {15 * gone} "red.png" ]'), geometry()))
    assert colour(last) == RED
    more = read(tmp_path, shape(appearance(f'[ {16 * gone} "red.png" ]'), geometry()))
    assert more.repairs == ("texture missing",)


@pytest.mark.parametrize("fields", ["scale 1 -1", "translation 0.5,0", "rotation 1.57", "rotation x", "scale 1"])
def test_a_picture_that_is_moved_is_refused_by_name(tmp_path, fields):
    moved = appearance('"blue.png"', f"textureTransform TextureTransform {{ {fields} }}")
    with pytest.raises(ScanError, match="a TextureTransform that moves the image is not read"):
        read(tmp_path, shape(moved, geometry(TWO_FACES)))
    other = read(tmp_path, shape(moved, geometry(ONE_FACE)), shape(appearance('"red.png"'), geometry(TWO_FACES)))
    assert colour(other) == RED


@pytest.mark.parametrize("fields", ["", "center 0.5 0.5", "translation 0 0 rotation 0 scale 1.0, 1.0 center 0 0"])
def test_a_texture_transform_that_moves_nothing_is_none(tmp_path, fields):
    still = appearance('"blue.png"', f"textureTransform TextureTransform {{ {fields} }}")
    scan = read(tmp_path, shape(still, geometry()))
    assert (colour(scan), scan.repairs) == (BLUE, ())


PLAIN = shape(geometry(TWO_FACES))


SPELLINGS = {
    "no blanks": PLAIN.replace(" [ ", "[").replace(" {", "{").replace("{ ", "{").replace(" ] } ", "]}"),
    "blanks of any length": PLAIN.replace(" [", " " * 200 + "[").replace(" {", "\t\r\n" * 200 + "{"),
    "commas": PLAIN.replace(" [", ", , [").replace(" {", ",{"),
    "a comment before a list": PLAIN.replace(" [", "# of [mm] {\n["),
    "comments before a node": PLAIN.replace(" {", " # face } \n#\r\n # \"more\" of it\r{"),
    "a bracket in a comment of a list": PLAIN.replace("[ ", "[ # in [mm]\n").replace(", ", ", # ] }\n"),
    "a quote in a comment of a list": PLAIN.replace("[ ", '[ # 3D "points\n'),
    "a comment before the end of a list": PLAIN.replace(" ]", " # ]\n]"),
    "a comment between nodes of a list": f"Group {{ children [ # [ one ]\n {PLAIN} # ]\n] }}",
    "quotes in a string": rf'WorldInfo {{ title "a \"b\" [" info [ "\\" "c:\\\"{{" ] }} {PLAIN}',
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_spacing_and_comments_are_free(tmp_path, name):
    assert SPELLINGS[name] != PLAIN
    scan, plain = read(tmp_path, SPELLINGS[name]), read(tmp_path, PLAIN)
    np.testing.assert_array_equal(scan.vertices, plain.vertices)
    np.testing.assert_array_equal(scan.faces, plain.faces)
    np.testing.assert_array_equal(scan.texture_coordinates, plain.texture_coordinates)


def test_a_comment_hides_no_prototype(tmp_path):
    assert refusal(tmp_path, ".wrl", f"{HEAD}PROTO Face [ ] # of a face\n {{ {PLAIN} }}") == "unsupported"


@pytest.mark.parametrize("text", ['Info { title "a\\" }', "Group { children [ # ]", 'Info { title "\\\\\\" }'])
def test_what_ends_only_behind_a_backslash_or_in_a_comment_does_not_end(tmp_path, text):
    assert refusal(tmp_path, ".wrl", HEAD + text) == "truncated"


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "text",
    ["[" + "#]\n" * 2_000_000 + "]", '"' + '\\"' * 4_000_000, '"' + "\\" * 8_000_000 + '"', '"a\\" ' * 90_000,
     "#\n" * 90_000 + "{ } " * 4_000, ("[" + "#\n" * 90_000 + "]") * 20, "a " * 4_000_000 + "{ }"],
    ids=["comments", "quotes", "backslashes", "strings", "comments and nodes", "lists of comments", "words"],
)  # fmt: skip
def test_marks_take_no_time_out_of_proportion(tmp_path, text):
    refusal(tmp_path, ".wrl", HEAD + text)


@pytest.mark.parametrize(
    "around",
    [
        "Shape {{ appearance USE SKIN {} }}",
        "Group {{ children [ DEF M Viewpoint {{ }} Shape {{ {} }} USE M ] }}",
        "Shape {{ {} appearance Appearance {{ texture USE SKIN }} }}",
    ],
)
def test_what_stands_beside_a_face_set_may_be_written_elsewhere(tmp_path, around):
    scan = read(tmp_path, around.format(geometry(TWO_FACES)))
    assert len(scan.faces) == 2
    assert scan.texture is None


def test_looks_that_are_written_elsewhere_are_noted(tmp_path):
    noted = "is written elsewhere (USE) and was not followed"
    assert f"appearance {noted}" in read(tmp_path, shape("appearance USE SKIN", geometry())).repairs
    assert f"texture {noted}" in read(tmp_path, shape("appearance Appearance { texture USE SKIN }", geometry())).repairs


def test_a_picture_that_a_transform_written_elsewhere_may_move_is_refused(tmp_path):
    with pytest.raises(ScanError, match="a TextureTransform that moves the image is not read"):
        read(tmp_path, shape(appearance('"red.png"', "textureTransform USE MOVE"), geometry()))


@pytest.mark.parametrize("field", ["coord USE C", "texCoord USE C"])
def test_a_face_set_that_uses_what_is_written_elsewhere_is_refused(tmp_path, field):
    text = HEAD + shape(geometry().replace("coord Coordinate", f"{field} solid FALSE coord Coordinate", 1))
    assert refusal(tmp_path, ".wrl", text) == "unsupported"
