"""Binary glTF: what of a scene is read, what is noted, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image
from scan_files import assert_valid, bumpy_grid, glb_bytes, glb_file, refusal, write_scan

from affect4d.scans.readers import read_scan
from affect4d.scans.scan import ScanError

GRID = bumpy_grid(6)


def read(folder, change=None, **options):
    return read_scan(write_scan(folder, ".glb", glb_bytes(GRID, change, **options)))


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 150, 120)).save(buffer, "PNG")
    return buffer.getvalue()


def test_what_is_written_is_read_with_the_image_inside(tmp_path):
    scan = read(tmp_path, picture=picture())
    np.testing.assert_array_equal(scan.vertices, GRID.vertices)
    np.testing.assert_array_equal(scan.faces, GRID.faces)
    np.testing.assert_allclose(scan.texture_coordinates, GRID.texture_coordinates, atol=1e-7)  # v is turned
    assert scan.texture.shape == (6, 8, 3)
    assert scan.texture[0, 0].tolist() == [200, 150, 120]
    assert scan.repairs == ()


def test_a_damaged_image_costs_the_colour_only(tmp_path):
    scan = read(tmp_path, picture=b"\x89PNG\r\n\x1a\n" + bytes(40))
    assert scan.texture is None
    assert scan.repairs == ("texture unreadable: UnidentifiedImageError",)


def test_an_image_beside_the_file_is_found_by_name_or_stem(tmp_path):
    (tmp_path / "skin.png").write_bytes(picture())

    def name(document):
        document["images"] = [{"uri": "skin.png"}]

    assert read(tmp_path, name, picture=picture()).texture.shape == (6, 8, 3)
    (tmp_path / "000.png").write_bytes(picture())
    assert read(tmp_path).texture.shape == (6, 8, 3)


def test_nodes_move_and_mirror_the_mesh(tmp_path):
    def nest(document):
        half = np.sqrt(0.5)
        document["nodes"] = [
            {"children": [1], "translation": [10, 0, 0], "rotation": [0, 0, half, half], "scale": [2, 2, 2]},
            {"mesh": 0, "matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 3, 1]},
        ]

    scan = read(tmp_path, nest)
    x, y, z = GRID.vertices.T.astype(np.float64)
    expected = np.stack([10 - 2 * y, -2 * x, 2 * (z + 3)], axis=1)
    np.testing.assert_allclose(scan.vertices, expected, atol=1e-4)
    np.testing.assert_array_equal(scan.faces, GRID.faces[:, ::-1])  # still counter-clockwise seen from outside


def test_primitives_are_joined(tmp_path):
    def twice(document):
        document["nodes"] = [{"mesh": 0}, {"mesh": 0, "translation": [500, 0, 0]}]
        document["scenes"] = [{"nodes": [0, 1]}]

    scan = read(tmp_path, twice)
    assert_valid(scan)
    assert len(scan.vertices) == 2 * len(GRID.vertices)
    np.testing.assert_allclose(scan.vertices[len(GRID.vertices) :, 0], GRID.vertices[:, 0] + 500)
    np.testing.assert_array_equal(scan.faces[len(GRID.faces) :], GRID.faces + len(GRID.vertices))


def test_morph_targets_count_by_their_weights_at_rest(tmp_path):
    def morph(document):
        document["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": 0}, {"POSITION": 0}]
        document["meshes"][0]["weights"] = [0.5, 0.0]
        document["animations"] = [{"channels": [], "samplers": []}]

    scan = read(tmp_path, morph)
    np.testing.assert_allclose(scan.vertices, 1.5 * GRID.vertices, rtol=1e-6)
    assert "animations ignored: the mesh as it stands at rest" in scan.repairs


@pytest.mark.parametrize(("mode", "count"), [(5, len(GRID.faces) * 3 - 2), (6, len(GRID.faces) * 3 - 2)])
def test_strips_and_fans_are_triangles(tmp_path, mode, count):
    scan = read(tmp_path, lambda document: document["meshes"][0]["primitives"][0].update(mode=mode))
    corners = GRID.faces.ravel()
    assert len(scan.faces) == count
    second = [corners[1], corners[3], corners[2]] if mode == 5 else [corners[0], corners[2], corners[3]]
    assert scan.faces[1].tolist() == [int(corner) for corner in second]


def test_numbers_may_be_interleaved_and_sparse(tmp_path):
    def shift(document):
        view = len(document["bufferViews"])
        document["bufferViews"] += [
            {"buffer": 0, "byteOffset": 0, "byteLength": 12 * len(GRID.vertices), "byteStride": 24}
        ]
        document["accessors"] += [
            {"bufferView": view, "componentType": 5126, "type": "VEC3", "count": len(GRID.vertices) // 2}
        ]
        document["accessors"][0]["count"] = len(GRID.vertices)
        document["meshes"][0]["primitives"] = [{"attributes": {"POSITION": len(document["accessors"]) - 1}}]

    np.testing.assert_array_equal(read(tmp_path, shift).vertices, GRID.vertices[::2])

    def sparse(document):
        document["accessors"][0]["sparse"] = {
            "count": 1,
            "indices": {"bufferView": 1, "byteOffset": 0, "componentType": 5125},
            "values": {"bufferView": 0, "byteOffset": 12},
        }

    scan = read(tmp_path, sparse)
    np.testing.assert_array_equal(scan.vertices[GRID.faces[0, 0]], GRID.vertices[1])


def primitive(**values):
    return lambda document: document["meshes"][0]["primitives"][0].update(values)


def top(**values):
    return lambda document: document.update(values)


def without_numbers(document):
    document["accessors"][0] = {"componentType": 5126, "type": "VEC3", "count": 5_000_000}


REFUSED = {
    "points only": (primitive(mode=0), "no-mesh"),
    "no mesh": (top(nodes=[{}]), "no-mesh"),
    "Draco": (top(extensionsUsed=["KHR_draco_mesh_compression"]), "unsupported"),
    "meshopt": (top(extensionsRequired=["EXT_meshopt_compression"]), "unsupported"),
    "a buffer beside the file": (top(buffers=[{"uri": "face.bin", "byteLength": 9}]), "unsupported"),
    "a cycle": (top(nodes=[{"mesh": 0, "children": [0]}]), "malformed"),
    "a node that is not there": (top(scenes=[{"nodes": [7]}]), "malformed"),
    "a negative index": (top(scenes=[{"nodes": [-1]}]), "malformed"),
    "nodes that are numbers": (top(nodes=[3]), "malformed"),
    "a view too long": (lambda document: document["bufferViews"][0].update(byteLength=10**9), "truncated"),
    "an accessor too long": (lambda document: document["accessors"][0].update(count=4_000_000), "truncated"),
    "rows without numbers": (without_numbers, "wrong-count"),
    "shorts for points": (lambda document: document["accessors"][0].update(componentType=5123), "unsupported"),
    "corners that are no triangles": (lambda document: document["accessors"][1].update(count=4), "wrong-count"),
    "a thousand meshes": (top(nodes=[{"mesh": 0}] * 1_100, scenes=[{"nodes": list(range(1_100))}]), "wrong-count"),
    "a pose that is not finite": (top(nodes=[{"mesh": 0, "translation": [float("nan"), 0, 0]}]), "malformed"),
    "a pose beyond every number": (top(nodes=[{"mesh": 0, "scale": [1e300, 1e300, 1e300]}]), "not-finite"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_scene_that_is_no_scan_is_refused(tmp_path, kind):
    change, code = REFUSED[kind]
    assert refusal(tmp_path, ".glb", glb_bytes(GRID, change)) == code


def test_the_remedy_is_in_the_message(tmp_path):
    for change, words in (
        (REFUSED["Draco"][0], "compressed.*export it again as one binary glTF without compression"),
        (REFUSED["a buffer beside the file"][0], "other files.*export it again as one binary glTF"),
        (REFUSED["points only"][0], "no faces in it .points or lines only.: export the surface, too"),
    ):
        with pytest.raises(ScanError, match=words):
            read(tmp_path, change)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"1", b"[" * 100_000, b'{"buffers": 3}', b'{"nodes": {"a": 1}}'])
def test_json_that_is_no_scene_is_refused(tmp_path, text):
    assert refusal(tmp_path, ".glb", glb_file(text, b"")) in ("malformed", "no-mesh")
