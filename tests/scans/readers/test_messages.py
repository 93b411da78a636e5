"""What every reader says of a file it refuses, whole: which file, where in it, and what is wrong."""

import struct

import numpy as np
import pytest
from PIL import Image
from scan_files import (
    LANDMARKS,
    MARKS,
    SCANS,
    bnt_bytes,
    bosphorus_points,
    bumpy_grid,
    glb_bytes,
    glb_file,
    lm_text,
    write_scan,
)

from affect4d.scans.readers import read_landmarks, read_scan
from affect4d.scans.readers.landmark_files import BOSPHORUS_LABELS
from affect4d.scans.readers.range_image import Intrinsics, read_depth
from affect4d.scans.scan import ScanError

GRID = bumpy_grid(12)
GOOD = {name: write(GRID) for name, (_, write) in SCANS.items()}
MARKED = {name: write(MARKS) for name, (_, write) in LANDMARKS.items()}
BNT_COUNT = 14 + len("000.png")


def changed(name: str, old: bytes, new: bytes) -> bytes:
    raw = {**GOOD, **MARKED}[name]
    assert old in raw
    return raw.replace(old, new, 1)


def ply(*lines: str, body: str = "") -> bytes:
    return "\n".join(["ply", "format ascii 1.0", *lines, "end_header", body]).encode()


def wrl(inside: str) -> bytes:
    return b"#VRML V2.0 utf8\n" + inside.encode()


POINTS = "element vertex 3", "property float x", "property float y", "property float z"
FACES = "element face 1", "property list uchar int vertex_indices"
THREE = "0 0 0\n1 0 0\n0 1 0\n"
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
OFF = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n"
SET = "IndexedFaceSet {{ coord Coordinate {{ point [ 0 0 0, 1 0 0, 0 1 0 ] }} coordIndex [ 0 1 2 -1 ] {} }}"
LABELS = bosphorus_points()

REFUSED = {
    # any format
    "empty": (".off", b" \n", ": the file is empty [empty]"),
    "suffix": (
        ".fbx",
        b"a",
        ": the suffix .fbx is not read; known formats: .wrl, .obj, .ply, .bnt, .off, .stl, .glb [unknown-format]",
    ),
    "no number": (".off", b"OFF\n3 1 0\n0 0 x0\n", " (byte 14): 'x0' is not a number [malformed-number]"),
    "not finite": (
        ".off",
        b"OFF\n3 1 0\n0 0 -1.#IND\n",
        ": 1 lines for 3 vertices of three numbers and 1 faces [wrong-count]",
    ),
    "beyond float": (
        ".off",
        OFF.replace("0 1 0", "0 1e39 0").encode() + b"3 0 1 2\n",
        " (vertex 2): a coordinate is not a finite number [not-finite]",
    ),
    "beyond a face": (
        ".off",
        OFF.replace("0 1 0", "0 2e7 0").encode() + b"3 0 1 2\n",
        ": a coordinate is beyond 1e+07 [absurd-extent]",
    ),
    "on a line": (
        ".off",
        OFF.replace("0 1 0", "2 0 0").encode() + b"3 0 1 2\n",
        ": all points lie on one line or in one place [degenerate]",
    ),
    "two points": (".off", b"OFF\n2 1 0\n0 0 0\n1 1 1\n3 0 1 0\n", ": 2 vertices, expected 3 to 5000000 [wrong-count]"),
    "no triangle": (
        ".off",
        b"OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n",
        ": 0 triangles, expected 1 to 10000000 [wrong-count]",
    ),
    # off
    "off, head": (".off", b"NOFF\n", " (line 1): the file does not start with a plain 'OFF' [not-off]"),
    "off, nothing": (".off", b"OFF\n0 0 0\n", ": 0 vertices, expected 3 to 5000000 [wrong-count]"),
    "off, counts": (
        ".off",
        b"OFF\n3\n",
        ": behind 'OFF' there is no line of the numbers of vertices, faces and edges [malformed]",
    ),
    "off, no count": (".off", b"OFF\n3.5 1 0\n", ": 3.5 is no number of vertices or faces [wrong-count]"),
    "off, negative count": (".off", b"OFF\n3 -1 0\n", ": -1 is no number of vertices or faces [wrong-count]"),
    "off, too many": (".off", b"OFF\n5000001 1 0\n", ": 5000001 vertices, expected 0 to 5000000 [wrong-count]"),
    "off, lines": (
        ".off",
        OFF.encode() + b"3 0 1 2\n3 0 1 2\n",
        ": 5 lines for 3 vertices of three numbers and 1 faces [wrong-count]",
    ),
    "off, points of two": (
        ".off",
        OFF.replace("0 1 0", "0 1").encode() + b"3 0 1 2\n",
        ": 4 lines for 3 vertices of three numbers and 1 faces [wrong-count]",
    ),
    "off, short face": (
        ".off",
        OFF.encode() + b"4 0 1 2\n",
        " (face 1): a face of 4 corners on a line of 4 numbers [wrong-count]",
    ),
    "off, long face": (
        ".off",
        OFF.encode() + b"3 0 1 2 1 1 1 1 1\n",
        " (face 1): a face of 3 corners on a line of 9 numbers [wrong-count]",
    ),
    "off, negative face": (
        ".off",
        OFF.encode() + b"-1 0 1 2\n",
        " (face 1): a face of -1 corners on a line of 4 numbers [wrong-count]",
    ),
    "off, index": (
        ".off",
        OFF.encode() + b"3 0 1 3\n",
        " (corner 2): face index 3 is outside 0 to 2 [index-out-of-range]",
    ),
    "off, half a corner": (
        ".off",
        OFF.encode() + b"2.5 0 1 2\n",
        " (face 1): 2.5 is no number of corners [wrong-count]",
    ),
    "off, more corners than can be": (
        ".off",
        OFF.encode() + b"1e10 0 1 2\n",
        " (face 1): 1e+10 is no number of corners [wrong-count]",
    ),
    "off, half an index": (".off", OFF.encode() + b"3 0 1 1.5\n", " (corner 2): 1.5 is no index [index-out-of-range]"),
    # obj
    "obj, no points": (".obj", b"# nothing\nf 1 2 3\n", ": there is no 'v' line in it [no-mesh]"),
    "obj, no faces": (".obj", OBJ.encode(), ": there is no 'f' line in it [no-mesh]"),
    "obj, five numbers": (
        ".obj",
        b"v 0 0 0 0 0\nv 1 0 0 0 0\nv 0 1 0 0 0\nf 1 2 3\n",
        ": 5 numbers on every 'v' line [wrong-count]",
    ),
    "obj, unequal lines": (
        ".obj",
        OBJ.encode() + b"v 0 0\nf 1 2 3\n",
        " (line 4): the line does not hold as many numbers as the first of its kind [wrong-count]",
    ),
    "obj, lines of twice as many": (
        ".obj",
        b"v 0 0 0\nv 10 0 0 .5 .5 .5\nv 0 10 0\nv 10 10 1\nf 1 2 3\nf 2 4 3\n",
        " (line 2): the line does not hold as many numbers as the first of its kind [wrong-count]",
    ),
    "obj, lost line break": (
        ".obj",
        b"v 0 0 0\nv 10 0 0\nv 0 10 0 10 10 1 # here\nf 1 2 3\nf 2 4 3\n",
        " (line 3): the line does not hold as many numbers as the first of its kind [wrong-count]",
    ),
    "obj, texture lines of twice as many": (
        ".obj",
        OBJ.encode() + b"vt 0 0\nvt 1 0 0 1\nf 1/1 2/2 3/3\n",
        " (line 5): the line does not hold as many numbers as the first of its kind [wrong-count]",
    ),
    "obj, forms": (
        ".obj",
        OBJ.encode() + b"vt 0 0\nf 1/1 2/1 3\n",
        " (line 5): corners are written in several forms [malformed]",
    ),
    "obj, two corners": (
        ".obj",
        OBJ.encode() + b"f 1 2 3\nf 1 2\n",
        " (line 5): a face of fewer than three corners [wrong-count]",
    ),
    "obj, relative": (
        ".obj",
        OBJ.encode() + b"f -1 -2 -3\n",
        ": negative face indices are not read: export the mesh with absolute ones [relative-index]",
    ),
    "obj, relative texture": (
        ".obj",
        OBJ.encode() + b"vt 0 0\nf 1/-1 2/-1 3/-1\n",
        ": negative texture indices are not read: export the mesh with absolute ones [relative-index]",
    ),
    "obj, zero": (
        ".obj",
        OBJ.encode() + b"f 0 1 2\n",
        " (corner 0): face index 0 is outside 1 to 3 [index-out-of-range]",
    ),
    "obj, texture": (
        ".obj",
        OBJ.encode() + b"vt 0 0\nf 1/1 2/1 3/2\n",
        " (corner 2): texture index 2 is outside 1 to 1 [index-out-of-range]",
    ),
    "obj, large index": (
        ".obj",
        OBJ.encode() + b"f 1 2 2147483648\n",
        " (byte 30): '2147483648' is no index [index-out-of-range]",
    ),
    "obj, continued": (
        ".obj",
        OBJ.encode() + b"f 1 2 \\\n3\n",
        " (line 4): a line that goes on behind a backslash is not read: write it as one line [unsupported]",
    ),
    "obj, word": (".obj", OBJ.encode() + b"f 1 2 three\n", " (byte 30): 'three' is not a number [malformed-number]"),
    "obj, texture nan": (
        ".obj",
        OBJ.encode() + b"vt 0 0\nvt 0 1e39\nf 1/1 2/1 3/2\n",
        " (row 1): a texture coordinate is not a finite number [not-finite]",
    ),
    # ply
    "ply, head": (".ply", b"PLY\n", " (line 1): the file does not start with a line 'ply' [not-ply]"),
    "ply, no end": (
        ".ply",
        b"ply\nformat ascii 1.0\n",
        ": there is no 'end_header' in its first 65536 bytes [truncated]",
    ),
    "ply, line": (
        ".ply",
        ply("elements vertex 3"),
        " (line 3): 'elements vertex 3' is no line of a header [malformed]",
    ),
    "ply, format": (
        ".ply",
        b"ply\nelement vertex 3\nend_header\n",
        ": its header names no format (ascii, binary_little_endian, binary_big_endian) [malformed]",
    ),
    "ply, property": (
        ".ply",
        ply("element vertex 3", "property real x"),
        " (line 4): 'real x' is no property [malformed]",
    ),
    "ply, list": (
        ".ply",
        ply("element face 3", "property list float int vertex_indices"),
        " (line 4): 'list float int vertex_indices' is no property [malformed]",
    ),
    "ply, twice": (
        ".ply",
        ply(*POINTS, "property float x", *FACES),
        ": an element or a property is declared twice [malformed]",
    ),
    "ply, too many": (
        ".ply",
        ply("element vertex 5000001", *POINTS[1:], *FACES),
        ": 5000001 vertex rows, expected 0 to 5000000 [wrong-count]",
    ),
    "ply, no vertex": (".ply", ply(*FACES), ": there is no element 'vertex' in it [no-mesh]"),
    "ply, no face": (".ply", ply(*POINTS), ": there is no element 'face' in it [no-mesh]"),
    "ply, no list": (
        ".ply",
        ply(*POINTS, "element face 1", "property int a", body=THREE + "1"),
        ": its faces have no list 'vertex_indices' [no-mesh]",
    ),
    "ply, no z": (
        ".ply",
        ply(*POINTS[:3], *FACES, body="0 0\n1 0\n0 1\n3 0 1 2\n"),
        ": its vertices are not x, y, z and other numbers [no-mesh]",
    ),
    "ply, strips": (
        ".ply",
        ply(
            *POINTS,
            *FACES,
            "element tristrips 1",
            "property list int int vertex_indices",
            body=THREE + "3 0 1 2\n3 0 1 2\n",
        ),
        ": triangle strips are not read: export the mesh as triangles [unsupported]",
    ),
    "ply, lines": (
        ".ply",
        ply(*POINTS, *FACES, body=THREE + "3 0 1 2\n1\n"),
        ": its lines do not hold the numbers that its header promises [wrong-count]",
    ),
    "ply, short": (
        ".ply",
        ply(*POINTS, *FACES, body="0 0 0\n"),
        ": the file ends before its 3 'vertex' rows do [truncated]",
    ),
    "ply, short list": (
        ".ply",
        ply(*POINTS, *FACES, body=THREE + "3 0 1\n"),
        " (row 1): a list is of no whole length, or longer than its line [truncated]",
    ),
    "ply, more bytes": (
        ".ply",
        GOOD["ply little"] + b"xyz",
        " (byte 6259): 3 bytes more than its header promises [wrong-count]",
    ),
    "ply, fewer bytes": (
        ".ply",
        GOOD["ply little"][:-1],
        " (row 242): a list is longer than what is left of the file [truncated]",
    ),
    "ply, few points": (
        ".ply",
        GOOD["ply little"][:300],
        ": the file ends before its 144 'vertex' rows do [truncated]",
    ),
    "ply, corners": (
        ".ply",
        ply(*POINTS, *FACES, "property list uchar float texcoord", body=THREE + "3 0 1 2 4 0 0 1 1\n"),
        ": some faces do not have two texture coordinates a corner [wrong-count]",
    ),
    "ply, comment in the body": (
        ".ply",
        ply(*POINTS, *FACES, body=THREE + "3 0 1 2 # a\n"),
        " (byte 180): '#' is not a number [malformed-number]",
    ),
    "ply, half an index": (
        ".ply",
        ply(*POINTS, *FACES, body=THREE + "3 0 1 1.5\n"),
        " (corner 2): 1.5 is no index [index-out-of-range]",
    ),
    # wrl
    "wrl, head": (".wrl", b"#VRML V1.0 ascii\n", " (line 1): the file does not start with '#VRML V2.0' [not-vrml]"),
    "wrl, nothing": (".wrl", wrl("Group { children [ ] }"), ": there is no IndexedFaceSet in it [no-mesh]"),
    "wrl, no points": (
        ".wrl",
        wrl("IndexedFaceSet { coordIndex [ 0 1 2 -1 ] }"),
        " (byte 32): its IndexedFaceSet has no point [no-mesh]",
    ),
    "wrl, no index": (
        ".wrl",
        wrl("IndexedFaceSet { coord Coordinate { point [ 0 0 0 ] } }"),
        " (byte 32): its IndexedFaceSet has no coordIndex [no-mesh]",
    ),
    "wrl, numbers": (
        ".wrl",
        changed("wrl", b"-90 -90 -1", b"-90 -1"),
        ": Coordinate.point holds 431 numbers, no multiple of 3 [wrong-count]",
    ),
    "wrl, word": (
        ".wrl",
        changed("wrl", b"-90 -90 -1", b"-90 left -1"),
        " (byte 212): 'left' is not a number [malformed-number]",
    ),
    "wrl, index": (
        ".wrl",
        changed("wrl", b"coordIndex [ 0,", b"coordIndex [ -2,"),
        " (corner 0): index -2 is negative [index-out-of-range]",
    ),
    "wrl, half an index": (
        ".wrl",
        changed("wrl", b"coordIndex [ 0,", b"coordIndex [ 0.5,"),
        " (byte 4892): '0.5' is no index [index-out-of-range]",
    ),
    "wrl, used": (
        ".wrl",
        wrl(SET.format("texCoord USE other")),
        " (byte 32): USE is not read: write the face set out [unsupported]",
    ),
    "wrl, prototype": (
        ".wrl",
        wrl(f"PROTO Face [ ] {{ {SET.format('')} }}"),
        " (byte 32): a prototype is not read: write the face set out [unsupported]",
    ),
    "wrl, polygons": (
        ".wrl",
        wrl(SET.format("texCoord TextureCoordinate { point [ 0 0, 1 0, 0 1 ] } texCoordIndex [ 0 1 -1 ]")),
        ": coordIndex and texCoordIndex describe different polygons [wrong-count]",
    ),
    "wrl, bracket": (".wrl", wrl("Group { children [ ) }"), " (after byte 33): ']' is missing [truncated]"),
    "wrl, other bracket": (".wrl", wrl("Group { children [ Shape { ] }"), " (byte 43): ']' closes nothing [malformed]"),
    "wrl, open": (".wrl", wrl(SET.format("")[:-1]), " (byte 109): IndexedFaceSet is never closed [truncated]"),
    "wrl, quote": (".wrl", wrl('Info { string "a }'), " (after byte 31): '\"' is missing [truncated]"),
    "wrl, deep": (
        ".wrl",
        wrl("Group { " * 65 + "}" * 65),
        " (byte 535): nodes are nested more than 64 deep [too-deep]",
    ),
    "wrl, brackets": (".wrl", wrl('"" ' * 100_001), ": more than 100000 brackets and strings [too-complex]"),
    "wrl, transform": (
        ".wrl",
        wrl(f"Transform {{ scale 1 1 children [ {SET.format('')} ] }}"),
        " (byte 27): a Transform that moves the mesh is not read: apply it before the export [unsupported]",
    ),
    "wrl, clockwise": (
        ".wrl",
        wrl(SET.format("ccw FALSE")),
        " (byte 32): 'ccw FALSE' is not read: export counter-clockwise triangles [unsupported]",
    ),
    "wrl, texture transform": (
        ".wrl",
        wrl(f"TextureTransform {{ scale 2 1 }} {SET.format('')}"),
        " (byte 34): a TextureTransform that moves the image is not read: apply it before the export [unsupported]",
    ),
    "wrl, texture": (
        ".wrl",
        wrl(SET.format("texCoord TextureCoordinate { point [ 0 0, 1 0 ] } texCoordIndex [ 0 1 2 -1 ]")),
        " (corner 2): texture index 2 is outside 0 to 1 [index-out-of-range]",
    ),
    # bnt
    "bnt, head": (".bnt", GOOD["bnt"][:13], " (byte 13): the file ends inside its header [truncated]"),
    "bnt, name": (".bnt", GOOD["bnt"][:20], " (byte 20): the file ends inside its header [truncated]"),
    "bnt, short": (".bnt", GOOD["bnt"][:-1], " (byte 5784): 5784 bytes, its header promises 5785 [truncated]"),
    "bnt, count": (
        ".bnt",
        GOOD["bnt"][:BNT_COUNT] + struct.pack("<I", 719) + GOOD["bnt"][BNT_COUNT + 4 :],
        " (byte 21): 719 numbers for a grid of 12 by 12, expected 720 [wrong-count]",
    ),
    "bnt, one row": (
        ".bnt",
        struct.pack("<HHdH", 1, 9, 0, 0) + bytes(400),
        ": a grid of 1 rows of 9 points has no cells [wrong-count]",
    ),
    "bnt, huge": (
        ".bnt",
        struct.pack("<HHdH", 60000, 60000, 0, 0) + bytes(400),
        ": 3600000000 points (60000 rows of 60000), expected 0 to 5000000 [wrong-count]",
    ),
    "bnt, nan": (
        ".bnt",
        GOOD["bnt"][: BNT_COUNT + 4 + 8 * 25] + struct.pack("<d", np.nan) + GOOD["bnt"][BNT_COUNT + 12 + 8 * 25 :],
        " (row 2, column 1): a measured point is not finite [not-finite]",
    ),
    "bnt, nothing": (".bnt", bnt_bytes(GRID, np.ones(144, bool)), ": 0 vertices, expected 3 to 5000000 [wrong-count]"),
    # stl
    "stl, head": (
        ".stl",
        b"a" * 100,
        " (line 1): the file is neither binary STL of its size nor starts with 'solid' [not-stl]",
    ),
    "stl, end": (".stl", b"solid a\n", " (byte 8): 'endsolid' is missing [truncated]"),
    "stl, loop": (
        ".stl",
        changed("stl text", b"   vertex -90 -90 ", b"   point -90 -90 "),
        " (line 7): a loop is no triangle [wrong-count]",
    ),
    "stl, numbers": (
        ".stl",
        changed("stl text", b"   vertex -90 -90 ", b"   vertex -90 "),
        " (line 4): a loop is no triangle [wrong-count]",
    ),
    "stl, word": (
        ".stl",
        changed("stl text", b"   vertex -90 -90 ", b"   vertex -90 x "),
        " (byte 60): 'x' is not a number [malformed-number]",
    ),
    "stl, nothing": (
        ".stl",
        b"solid a\nendsolid a\n",
        ": 0 numbers on its 'vertex' lines make no triangles [wrong-count]",
    ),
    "stl, nan": (
        ".stl",
        GOOD["stl binary"][:96] + struct.pack("<f", np.nan) + GOOD["stl binary"][100:],
        ": a coordinate is not a finite number [not-finite]",
    ),
    # landmarks
    "landmarks, suffix": (
        ".lm9",
        b"a",
        ": the suffix .lm9 is not read; known formats of landmarks: .bnd, .lm3, .tbnd, .bndplus [unknown-format]",
    ),
    "bnd, rows": (".bnd", b"0 1 2 3\n" * 82, ": 82 rows of points, expected 83 [wrong-count]"),
    "bnd, large": (
        ".bnd",
        b"0 1 2 3\n" * 8193,
        ": the file is larger than 65536 bytes: check that it is the right one, or write it smaller [too-large]",
    ),
    "bnd, numbers": (
        ".bnd",
        b"0 1 2 3\n1 2 3\n" + b"0 1 2 3\n" * 81,
        " (point 2): 3 numbers, expected 4 [wrong-count]",
    ),
    "bnd, half an index": (
        ".bnd",
        b"0 1 2 3\n0.5 1 2 3\n" + b"0 1 2 3\n" * 81,
        " (point 2): the vertex index 0.5 is not whole [malformed-number]",
    ),
    "bnd, word": (
        ".bnd",
        b"0 1 2 3\n1 one 2 3\n" + b"0 1 2 3\n" * 81,
        " (line 2): 'one' is not a number [malformed-number]",
    ),
    "bnd, far": (".bnd", b"0 1 2 3\n1 1e8 2 3\n" + b"0 1 2 3\n" * 81, " (line 2): 1e8 is no coordinate [not-finite]"),
    "bndplus, numbers": (
        ".bndplus",
        b"1 2 3\n" * 82 + b"0 1 2 3\n",
        " (point 83): 4 numbers, expected 3 [wrong-count]",
    ),
    "bndplus, angles": (".bndplus", b"1 2 3\n" * 84, ": 84 rows of points, expected 83 [wrong-count]"),
    "tbnd, angles": (".tbnd", b"0 1 2 3\n" * 84, " (line 1): the first line is not pitch, yaw and roll [wrong-count]"),
    "tbnd, rows": (".tbnd", b"1 2 3\n" * 83, ": 82 rows of points, expected 83 [wrong-count]"),
    "lm3, head": (".lm3", b"# nothing\n", ": there is no line like '22 landmarks:' [not-landmarks]"),
    "lm3, count": (
        ".lm3",
        changed("lm3", b"22 landmarks", b"21 landmarks"),
        " (line 3): 21 landmarks declared, 22 given, at most 24 exist [wrong-count]",
    ),
    "lm3, half": (
        ".lm3",
        b"1 landmarks:\nNose tip\n1 2 3\nChin middle\n",
        " (line 1): 1 landmarks declared, 1.5 given, at most 24 exist [wrong-count]",
    ),
    "lm3, none": (
        ".lm3",
        b"0 landmarks:\n",
        " (line 1): 0 landmarks declared, 0 given, at most 24 exist [wrong-count]",
    ),
    "lm3, many": (
        ".lm3",
        b"25 landmarks:\n" + b"Nose tip\n1 2 3\n" * 25,
        " (line 1): 25 landmarks declared, 25 given, at most 24 exist [wrong-count]",
    ),
    "lm3, label": (
        ".lm3",
        changed("lm3", b"Nose tip", b"Nose top"),
        " (line 30): 'Nose top' is no landmark of Bosphorus [unknown-label]",
    ),
    "lm3, twice": (
        ".lm3",
        changed("lm3", b"Nose tip", b"Chin middle"),
        " (line 46): 'Chin middle' is given twice [repeated-label]",
    ),
    "lm3, axes": (
        ".lm3",
        b"# a\n\n1 landmarks:\nNose tip\n1 2\n",
        " (line 5): '1 2' is not a point of 3 numbers [wrong-count]",
    ),
    "lm3, nan": (
        ".lm3",
        b"1 landmarks:\nNose tip\n1 2 nan\n",
        " (line 3): '1 2 nan' is not a point of 3 numbers [wrong-count]",
    ),
    "lm3, word": (".lm3", b"1 landmarks:\nNose tip\n1 2 x\n", " (line 3): 'x' is not a number [malformed-number]"),
    "lm3, large": (
        ".lm3",
        b"1 landmarks:\n" + b" " * 70_000,
        ": the file is larger than 65536 bytes: check that it is the right one, or write it smaller [too-large]",
    ),
    # glb
    "glb, head": (".glb", b"glTX" + bytes(20), " (byte 0): the file does not start with 'glTF' [not-glb]"),
    "glb, version": (
        ".glb",
        b"glTF\x01" + bytes(20),
        ": glTF of version 1, expected 2 with a JSON chunk first [unsupported]",
    ),
    "glb, cut": (
        ".glb",
        glb_file(b"{}", b"")[:-4],
        ": 28 bytes, where its header says 32, 4 of them JSON [truncated]",
    ),
    "glb, no JSON": (".glb", glb_file(b"{", b""), ": its JSON cannot be read (JSONDecodeError) [malformed]"),
    "glb, no object": (".glb", glb_file(b"[]", b""), ": its JSON is no object [malformed]"),
    "glb, no mesh": (
        ".glb",
        glb_file(b"{}", b""),
        ": there are no faces in it (no mesh in its scene): export the surface, too [no-mesh]",
    ),
    "glb, points": (
        ".glb",
        glb_bytes(GRID, lambda document: document["meshes"][0]["primitives"][0].update(mode=0)),
        ": there are no faces in it (points or lines only): export the surface, too [no-mesh]",
    ),
    "glb, Draco": (
        ".glb",
        glb_bytes(GRID, lambda document: document.update(extensionsUsed=["KHR_draco_mesh_compression"])),
        ": its mesh is compressed (KHR_draco_mesh_compression): export it again as one binary glTF without compression "
        "[unsupported]",
    ),
    "glb, buffers": (
        ".glb",
        glb_bytes(GRID, lambda document: document.update(buffers=[{"uri": "a.bin"}])),
        ": its numbers lie in other files or in text: export it again as one binary glTF without compression "
        "[unsupported]",
    ),
    "glb, corner": (
        ".glb",
        glb_bytes(GRID, lambda document: document["accessors"][0].update(count=100)),
        " (corner 242): face index 100 is outside 0 to 99 [index-out-of-range]",
    ),
    "glb, view": (
        ".glb",
        glb_bytes(GRID, lambda document: document["bufferViews"][0].update(byteLength=10**6)),
        ": buffer view 0 ends at byte 1000000 of 5784 of its binary chunk [truncated]",
    ),
    "glb, scene": (
        ".glb",
        glb_bytes(GRID, lambda document: document.update(nodes=[3])),
        ": its JSON is no scene of glTF 2.0 (AttributeError: 'int' object has no attribute 'get') [malformed]",
    ),
    # depth
    "depth, damaged": (
        ".png",
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        ": the depth image is damaged (UnidentifiedImageError) [unreadable]",
    ),
}
READERS = {
    ".png": lambda path: read_depth(path, intrinsics=Intrinsics(fx=50, fy=50, cx=4, cy=4)),
    **dict.fromkeys([*(suffix for suffix, _ in LANDMARKS.values()), ".lm9"], read_landmarks),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_which_file_where_and_what(tmp_path, name):
    suffix, raw, said = REFUSED[name]
    path = write_scan(tmp_path, suffix, raw)
    with pytest.raises(ScanError) as caught:
        READERS.get(suffix, read_scan)(path)
    assert str(caught.value) == f"{path}{said}"


def test_a_picture_of_colours_is_no_depth(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(ScanError, match=r"a\.png: pixels are RGB, not one channel of 16 bits \[not-depth\]"):
        READERS[".png"](path)


def test_as_many_labels_as_there_are_can_be_given(tmp_path):
    every = {label: (float(place), 1.0, 2.0) for place, label in enumerate(BOSPHORUS_LABELS)}
    found = read_landmarks(write_scan(tmp_path, ".lm3", lm_text(every)))
    assert [found[row, 0] for row in BOSPHORUS_LABELS.values() if row is not None] == list(range(22))
