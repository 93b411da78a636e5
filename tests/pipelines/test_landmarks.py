"""`kedro run --pipeline=landmarks`: a table and files of landmarks, and a row with its reason for a file that fails."""

import numpy as np
import pandas as pd
import pytest

from affect4d.scans.readers.landmark_files import read_bnd
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.procedural_face import ProceduralFace
from affect4d.synthetic.scan_file_writers import index_lines, number_lines

OUTPUT = "data/07_model_output/landmarks"


@pytest.mark.slow
def test_a_folder_of_scans_becomes_a_table_and_files(make_project, tmp_path):
    model, rng = ProceduralFace(), np.random.default_rng(3)
    surface = model.surface(0.8 * rng.normal(size=model.shape_count), np.zeros(len(ACTION_UNITS)), 1)
    content = number_lines(surface.vertices, 3, b"\n", b"v ") + index_lines(surface.faces + 1, b"\n", b"f ", b" ")
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna/calm.obj").write_bytes(content)
    (tmp_path / "broken.ply").write_bytes(b"ply\nformat ascii 1.0\n")
    project = make_project("landmarks")
    project.run("landmarks", input=str(tmp_path), engine={"workers": 1})
    table = pd.read_csv(project.folder / OUTPUT / "landmarks.csv").set_index("recording")
    assert table["status"].to_dict() == {"anna/calm.obj": "ok", "broken.ply": "refused"}
    assert table.loc["broken.ply", "reason"]
    assert list(project.load("landmark_table")["recording"]) == list(table.index)
    points = read_bnd(project.folder / OUTPUT / "bnd/anna/calm.bnd")
    assert np.median(np.linalg.norm(points - surface.landmarks, axis=1)) < 4
