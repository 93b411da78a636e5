import subprocess
import sys

import numpy as np
import pytest

import affect4d
from affect4d.inference.find_recordings import find_recordings
from affect4d.inference.landmarks import COLUMNS, find_in_recordings
from affect4d.pipelines.inference.nodes import LandmarkOptions, find_scan_landmarks
from affect4d.scans.geometry import apply_pose
from affect4d.scans.readers.landmark_files import read_bnd
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.procedural_face import ProceduralFace
from affect4d.synthetic.scan_file_writers import bnd_bytes, index_lines, number_lines

MOVED = np.array([[0, -1, 0, 40], [1, 0, 0, -300], [0, 0, 1, 900], [0, 0, 0, 1]], float)  # on its side


@pytest.fixture(scope="module")
def face():
    """A neutral face with its true landmarks, on its side, in its file's own frame."""
    model, rng = ProceduralFace(), np.random.default_rng(14)
    surface = model.surface(0.8 * rng.normal(size=model.shape_count), np.zeros(len(ACTION_UNITS)), 5)
    return FaceScan(apply_pose(surface.vertices, MOVED), surface.faces, landmarks=apply_pose(surface.landmarks, MOVED))


@pytest.fixture(scope="module")
def folder(face, tmp_path_factory):
    """One scan with a landmark file, the same without one, a broken file, and a ball."""
    place = tmp_path_factory.mktemp("scans")
    content = number_lines(face.vertices, 3, b"\n", b"v ") + index_lines(face.faces + 1, b"\n", b"f ", b" ")
    for name in ("given/smile.obj", "smile.obj"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
    (place / "given/smile.bnd").write_bytes(bnd_bytes(face))
    (place / "broken.ply").write_bytes(b"ply\nformat ascii 1.0\n")
    return place


@pytest.fixture(scope="module")
def results(folder):
    return find_in_recordings(find_recordings(folder))


@pytest.mark.parametrize("factor", [1.0, 0.001])
def test_landmarks_lie_in_the_scans_own_frame_and_unit(face, factor):
    size = np.float32(factor)
    found = affect4d.landmarks(FaceScan(face.vertices * size, face.faces))
    assert found.source == "found"
    assert found.unit == ("mm" if factor == 1 else "m")
    assert np.median(np.linalg.norm(found.points - face.landmarks * size, axis=1)) < 3 * factor
    assert 0 < np.median(found.uncertainty) < 4
    assert found.visible.mean() > 0.8
    nose_tip = found.detected[1]
    assert np.linalg.norm(nose_tip - face.landmarks[47] * size) < 15 * factor
    canonical = apply_pose(found.points, found.pose)
    assert np.linalg.norm(canonical[47]) < 12


def test_given_landmarks_come_back(face, folder):
    given = affect4d.landmarks(folder / "given/smile.obj")
    assert given.source == "given"
    np.testing.assert_allclose(given.points, face.landmarks, atol=2e-3)
    assert np.isnan(given.uncertainty).all()


def test_what_is_no_face_is_refused_with_the_reason():
    grid = np.stack([*np.meshgrid(np.arange(0, 200, 5.0), np.arange(0, 200, 5.0)), np.zeros((40, 40))], axis=-1)
    corner = np.arange(40 * 39).reshape(39, 40)[:, :-1].ravel()
    sheet = FaceScan(
        grid.reshape(-1, 3).astype(np.float32), np.stack([corner, corner + 1, corner + 40], 1).astype(np.int32)
    )
    with pytest.raises(ScanError, match=r"pose uncertain.*Landmarks beside the scan") as caught:
        affect4d.landmarks(sheet)
    assert caught.value.code == "uncertain-pose"


def test_the_table_has_a_row_a_scan_refused_ones_too(results):
    table, _ = results
    assert list(table) == list(COLUMNS)
    rows = table.set_index("recording")
    assert set(rows.index) == {"smile.obj", "given/smile.obj", "broken.ply"}
    assert rows.loc["broken.ply", "status"] == "refused"
    assert rows.loc["broken.ply", "reason"]
    assert np.isnan(rows.loc["broken.ply", "landmark_00_x"])
    assert rows.loc["smile.obj", "source"] == "found"
    assert rows.loc["given/smile.obj", "source"] == "given"
    assert 0 < rows.loc["smile.obj", "uncertainty"] < 4


def test_the_files_hold_the_points_of_the_table(results, tmp_path):
    table, files = results
    assert set(files) == {"smile", "given/smile"}
    file = tmp_path / "smile.bnd"
    file.write_text(files["smile"])
    row = table.set_index("recording").loc["smile.obj"]
    points = row[[name for name in COLUMNS if name[-2:] in ("_x", "_y", "_z")]].to_numpy(float).reshape(83, 3)
    np.testing.assert_allclose(read_bnd(file), points, atol=1e-3)


def test_the_node_counts_sources_and_names_the_missing_input(folder):
    table, files, summary = find_scan_landmarks(LandmarkOptions(input=folder / "given"))
    assert (len(table), len(files)) == (1, 1)
    assert "1 given" in summary
    with pytest.raises(ValueError, match="--params input="):
        find_scan_landmarks(LandmarkOptions())


@pytest.mark.slow
def test_landmarks_load_no_torch(folder):
    script = f"import sys, affect4d; affect4d.landmarks({str(folder / 'smile.obj')!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
