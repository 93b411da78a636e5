"""All readers: every format, spelling and damage alike; images, links, pipes and folders."""

import dataclasses
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from scan_files import (
    SCANS,
    assert_same_mesh,
    assert_valid,
    bumpy_grid,
    obj_text,
    refusal,
    write_picture,
    write_scan,
    wrl_text,
)

from affect4d.scans.readers import READERS, read_scan
from affect4d.scans.readers.mesh_checks_and_textures import MAX_PIXELS, is_plain_name
from affect4d.scans.scan import ScanError

GRID = bumpy_grid()


TEXTS = {".wrl": wrl_text, ".obj": obj_text}


SUFFIXES = sorted(TEXTS)


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


SMALL = bumpy_grid(6)


def test_suffix_case_does_not_matter(tmp_path):
    assert_same_mesh(read_scan(write_scan(tmp_path, ".WRL", wrl_text(SMALL))), SMALL)


def test_polygons_become_fans(tmp_path):
    corners = [[0, 1, 7, 6], [1, 2, 3, 9, 8], [14, 15, 21]]
    text = wrl_text(dataclasses.replace(SMALL, faces=corners, texture_coordinates=None))
    expected = [[0, 1, 7], [0, 7, 6], [1, 2, 3], [1, 3, 9], [1, 9, 8], [14, 15, 21]]
    assert read_scan(write_scan(tmp_path, ".wrl", text)).faces.tolist() == expected
    text = obj_text(dataclasses.replace(SMALL, faces=corners, texture_coordinates=None), corner="{0}")
    assert read_scan(write_scan(tmp_path, ".obj", text)).faces.tolist() == expected


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


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("number", ["nan", "NaN", "inf", "-Infinity", "1e300", "1e39", "1.#QNAN"])
def test_numbers_that_are_not_finite_are_refused(tmp_path, suffix, number):
    text = TEXTS[suffix](GRID).replace("-90 -90 ", f"{number} -90 ", 1)
    assert refusal(tmp_path, suffix, text) in {"not-finite", "malformed-number", "wrong-count"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("replacement", ["", "-90 ", "-90 -90 -90 ", "--90 -90 ", "1_0 -90 ", "0x1 -90 "])
def test_wrong_counts_and_words_are_refused(tmp_path, suffix, replacement):
    refusal(tmp_path, suffix, TEXTS[suffix](GRID).replace("-90 -90 ", replacement, 1))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_points_on_a_line_are_refused(tmp_path, suffix):
    flat = dataclasses.replace(GRID, vertices=GRID.vertices * np.float32([1, 0, 0]))
    assert refusal(tmp_path, suffix, TEXTS[suffix](flat)) == "degenerate"


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


def test_scan_errors_travel_between_processes(tmp_path):
    with pytest.raises(ScanError) as caught:
        read_scan(write_scan(tmp_path, ".obj", ""))
    kind, arguments = caught.value.__reduce__()
    assert str(kind(*arguments)) == str(caught.value)


def test_every_suffix_is_tried():
    assert {suffix for suffix, _ in SCANS.values()} == set(READERS)


MEDIUM = bumpy_grid(12)


def triangles(scan) -> set[tuple[float, ...]]:
    """Corners of every triangle, from the smallest on, in order: equal for equal surfaces however they are numbered."""
    given = [scan.vertices] if scan.texture_coordinates is None else [scan.vertices, scan.texture_coordinates]
    corners = np.concatenate(given, axis=1)
    rows = [[tuple(point) for point in triangle] for triangle in corners[scan.faces].tolist()]
    return {tuple(row[row.index(min(row)) :] + row[: row.index(min(row))]) for row in rows}


@pytest.mark.parametrize("name", SCANS)
def test_every_format_is_read(tmp_path, name):
    suffix, write = SCANS[name]
    scan = read_scan(write_scan(tmp_path, suffix, write(MEDIUM)))
    assert_valid(scan)
    bare = name.startswith(("off", "stl"))
    expected = dataclasses.replace(MEDIUM, texture_coordinates=None) if bare else MEDIUM
    if name == "glb":  # turns v, and rounds twice
        turned = MEDIUM.texture_coordinates * np.float32([1, -1]) + np.float32([0, 1])
        expected = dataclasses.replace(MEDIUM, texture_coordinates=turned * np.float32([1, -1]) + np.float32([0, 1]))
    assert triangles(scan) == triangles(expected)
    assert scan.repairs == (() if bare else ("texture missing",))


@pytest.mark.parametrize("name", SCANS)
def test_the_same_stem_names_the_picture(tmp_path, name):
    suffix, write = SCANS[name]
    write_picture(tmp_path / "000.png")
    scan = read_scan(write_scan(tmp_path, suffix, write(MEDIUM)))
    assert (scan.texture is None) == (scan.texture_coordinates is None)


@pytest.mark.parametrize("name", ["off", "stl text", "ply text"])
def test_a_backslash_joins_no_lines_but_those_of_an_obj(tmp_path, name):
    suffix, write = SCANS[name]
    comment = {"off": b"# C:\\\n", "stl text": b"solid C:\\\n", "ply text": b"comment C:\\\n"}[name]
    head, rest = write(MEDIUM).split(b"\n", 1)
    raw = comment + rest if name.startswith("stl") else head + b"\n" + comment + rest
    assert len(read_scan(write_scan(tmp_path, suffix, raw)).faces) == len(MEDIUM.faces)


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


SQUARE = "0 0 0, 10 0 0, 10 10 0, 0 10 1"


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
