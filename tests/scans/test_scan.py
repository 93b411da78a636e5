"""A scan as a pyvista mesh, and back."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import pyvista
from scan_files import MARKS, assert_valid, bumpy_grid

from affect4d.scans.scan import FaceScan, ScanError

GRID = dataclasses.replace(
    bumpy_grid(6),
    texture=np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8),
    landmarks=np.where(np.arange(83)[:, None] == 4, np.float32(np.nan), MARKS),
)

poly = pyvista.PolyData.from_regular_faces


def changed(change) -> pyvista.PolyData:
    mesh = GRID.to_pyvista()
    change(mesh)
    return mesh


def assert_same(scan: FaceScan, expected: FaceScan) -> None:
    assert_valid(scan)
    for name in ("vertices", "faces", "texture_coordinates", "texture", "landmarks"):
        found, wanted = getattr(scan, name), getattr(expected, name)
        assert (found is None) == (wanted is None)
        if wanted is not None:
            np.testing.assert_array_equal(found, wanted, err_msg=name)
            assert found.dtype == wanted.dtype


def test_a_scan_comes_back_from_pyvista_to_the_bit():
    assert_same(FaceScan.from_pyvista(GRID.to_pyvista(), GRID.pyvista_texture()), GRID)


def test_a_bare_mesh_comes_back():
    bare = FaceScan(GRID.vertices, GRID.faces)
    assert bare.pyvista_texture() is None
    assert_same(FaceScan.from_pyvista(bare.to_pyvista()), bare)


def test_points_of_64_bits_are_rounded_to_32():
    points = GRID.vertices + np.random.default_rng(0).normal(0, 1e-3, GRID.vertices.shape)
    scan = FaceScan.from_pyvista(poly(points, GRID.faces.astype(np.int64)))
    assert_same(scan, FaceScan(points.astype(np.float32), GRID.faces))


def test_a_scan_does_not_share_its_arrays_with_the_mesh():
    mesh = GRID.to_pyvista()
    scan = FaceScan.from_pyvista(mesh, GRID.texture)
    for array in (mesh.points, mesh.regular_faces, mesh.active_texture_coordinates, mesh.field_data["landmarks"]):
        np.asarray(array)[:] = 0
    assert scan.vertices.any()
    assert_same(scan, GRID)
    assert GRID.faces.any()


def test_an_image_with_alpha_loses_it():
    image = np.concatenate([GRID.texture, np.full((5, 7, 1), 255, np.uint8)], axis=2)
    for texture in (image, pyvista.Texture(image)):
        np.testing.assert_array_equal(FaceScan.from_pyvista(GRID.to_pyvista(), texture).texture, GRID.texture)


@pytest.mark.parametrize(
    ("mesh", "code"),
    [
        (pyvista.Plane(i_resolution=3, j_resolution=3), "not-triangles"),
        (pyvista.PolyData(GRID.vertices), "not-triangles"),
        (pyvista.Line(), "not-triangles"),
        (pyvista.PolyData(), "not-triangles"),
        (pyvista.ImageData(dimensions=(2, 2, 2)), "not-triangles"),
        (GRID.to_pyvista().append_polydata(pyvista.Line()), "not-triangles"),
        (poly(GRID.vertices, GRID.faces + 1), "index-out-of-range"),
        (poly(GRID.vertices, GRID.faces - 1), "index-out-of-range"),
        (poly(GRID.vertices.astype(float), GRID.faces.astype(int) + 2**40), "index-out-of-range"),
        (poly(np.where(GRID.vertices > 80, np.nan, GRID.vertices), GRID.faces), "not-finite"),
        (poly(GRID.vertices.astype(float) * 1e300, GRID.faces), "not-finite"),
        (poly(GRID.vertices * [1, 0, 0], GRID.faces), "degenerate"),
        (changed(lambda mesh: mesh.point_data.update({"Texture Coordinates": np.full((36, 2), np.inf)})), "not-finite"),
        (changed(lambda mesh: mesh.field_data.update({"landmarks": MARKS[:82]})), "wrong-count"),
    ],
)  # fmt: skip
def test_a_bad_mesh_is_refused_with_a_typed_error(mesh, code):
    with pytest.raises(ScanError) as caught:
        FaceScan.from_pyvista(mesh)
    assert caught.value.code == code


@pytest.mark.parametrize("texture", [GRID.texture[..., 0], GRID.texture[..., :2], GRID.texture / 255])
def test_a_bad_texture_is_refused(texture):
    with pytest.raises(ScanError, match="not 8-bit RGB or RGBA"):
        FaceScan.from_pyvista(GRID.to_pyvista(), texture)


def test_pyvista_is_loaded_when_it_is_needed():
    program = "import sys, affect4d.scans.scan; sys.exit('pyvista' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
