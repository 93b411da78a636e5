"""Text in BU-4DFE's layout."""

import re

import numpy as np
import pytest

from affect4d.faces.writer import bnd_bytes, face_lines, number_lines, wrl_bytes
from affect4d.scans.scan import FaceScan

FACES = np.array([[0, 1, 2], [2, 1, 3]], dtype=np.int32)
VERTICES = np.array([[0, 0, 0], [-1.5, 2, 3], [100.1234, -0.0004, 12], [7, 8, 9]], dtype=np.float32)
COORDINATES = np.array([[0, 0], [1, 0], [0.25, 0.5], [0.99999, 1]], dtype=np.float32)


@pytest.mark.parametrize("decimals", [1, 3, 4])
def test_numbers_read_back_as_rounded(decimals):
    rows = np.random.default_rng(0).normal(0, 90, (200, 3)).astype(np.float32)
    text = number_lines(rows, decimals, b",\n").decode()
    back = np.array([[float(word) for word in line.rstrip(",").split()] for line in text.splitlines()])
    np.testing.assert_allclose(back, rows, atol=0.51 * 10.0**-decimals)


def test_numbers_look_as_a_person_writes_them():
    assert number_lines(VERTICES, 3, b"\n").decode().splitlines()[1:3] == ["-1.500 2.000 3.000", "100.123 0.000 12.000"]


def test_faces_end_with_minus_one():
    assert face_lines(np.array([[0, 10, 2], [345, 1, 3]])) == b"0, 10, 2, -1,\n345, 1, 3, -1,\n"


def test_wrl_is_one_well_formed_face_set():
    text = wrl_bytes(FaceScan(VERTICES, FACES, COORDINATES), "007.jpg").decode()
    assert text.startswith("#VRML V2.0 utf8\n")
    assert text.count("IndexedFaceSet") == 1
    assert text.count("{") == text.count("}")
    assert text.count("[") == text.count("]") == 4
    assert 'url "007.jpg"' in text
    lists = dict(re.findall(r"(coordIndex|texCoordIndex) \[([^\]]*)\]", text))
    assert lists["coordIndex"] == lists["texCoordIndex"]
    indices = np.array([int(word) for word in lists["coordIndex"].replace(",", " ").split()]).reshape(-1, 4)
    np.testing.assert_array_equal(indices[:, :3], FACES)
    assert (indices[:, 3] == -1).all()


def test_a_scan_without_texture_coordinates_or_landmarks_is_refused():
    with pytest.raises(ValueError, match="texture coordinates"):
        wrl_bytes(FaceScan(VERTICES, FACES), "000.jpg")
    with pytest.raises(ValueError, match="landmarks"):
        bnd_bytes(FaceScan(VERTICES, FACES))


def test_bnd_names_the_nearest_vertex():
    landmarks = np.repeat(VERTICES[[3]] + 0.1, 83, axis=0)
    rows = bnd_bytes(FaceScan(VERTICES, FACES, landmarks=landmarks)).decode().splitlines()
    assert len(rows) == 83
    assert rows[0] == "3 7.1000 8.1000 9.1000"
