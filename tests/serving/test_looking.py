import importlib.util
from pathlib import Path

import numpy as np
import pytest

from affect4d.serving.looking import relevance_on_mesh
from affect4d.serving.predictor import Predictor

_SPEC = importlib.util.spec_from_file_location("looking_files", Path(__file__).parents[1] / "scans" / "scan_files.py")
FILES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(FILES)


@pytest.mark.parametrize("tower", ["compact", "open_clip"])
def test_a_face_gets_a_finite_number_a_vertex_whatever_the_tower(make_bundle, tower):
    predictor = Predictor.load(make_bundle(tower).folder)
    faces = [FILES.bumpy_grid(24), FILES.bumpy_grid(26)]
    prepared = predictor.prepare(faces, keep_faces=True)
    for place in (0, 1):  # the neutral frame itself, and one that is compared with it
        relevance = relevance_on_mesh(predictor, prepared, place, "fear", steps=2)
        assert relevance.shape == (len(prepared.usable[place].face.vertices),)
        assert np.isfinite(relevance).all()
        assert relevance.any()


def test_meshes_that_were_not_kept_and_unknown_expressions_are_named(make_bundle):
    predictor = Predictor.load(make_bundle("compact").folder)
    with pytest.raises(ValueError, match="keep_faces=True"):
        relevance_on_mesh(predictor, predictor.prepare(FILES.bumpy_grid(24)), 0, "fear")
    with pytest.raises(ValueError, match="'boredom' is none of anger"):
        relevance_on_mesh(predictor, predictor.prepare(FILES.bumpy_grid(24), keep_faces=True), 0, "boredom")
