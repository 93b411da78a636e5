import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from affect4d.evaluation.attribution import class_direction, image_attribution
from affect4d.inference.attribution import attribution_on_mesh
from affect4d.inference.predictor import Predictor
from affect4d.views.batches import assemble_unaugmented

_SPEC = importlib.util.spec_from_file_location("looking_files", Path(__file__).parents[1] / "scans" / "scan_files.py")
FILES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(FILES)


@pytest.mark.parametrize("encoder", ["compact", "open_clip", "timm"])
def test_a_face_gets_a_finite_number_a_vertex_whatever_the_encoder(make_bundle, encoder):
    predictor = Predictor.load(make_bundle(encoder).folder)
    faces = [FILES.bumpy_grid(24), FILES.bumpy_grid(26)]
    prepared = predictor.prepare(faces, keep_faces=True)
    for place in (0, 1):  # the neutral frame itself, and one that is compared with it
        relevance = attribution_on_mesh(predictor, prepared, place, "fear", steps=2)
        assert relevance.shape == (len(prepared.usable[place].face.vertices),)
        assert np.isfinite(relevance).all()
        assert relevance.any()


def test_meshes_that_were_not_kept_and_unknown_expressions_are_named(make_bundle):
    predictor = Predictor.load(make_bundle("compact").folder)
    with pytest.raises(ValueError, match="keep_faces=True"):
        attribution_on_mesh(predictor, predictor.prepare(FILES.bumpy_grid(24)), 0, "fear")
    with pytest.raises(ValueError, match="'boredom' is none of anger"):
        attribution_on_mesh(predictor, predictor.prepare(FILES.bumpy_grid(24), keep_faces=True), 0, "boredom")


@pytest.mark.slow
@pytest.mark.parametrize(("person", "expression"), [("F003", "happiness"), ("F003", "surprise"), ("M001", "disgust")])
def test_without_the_tenth_that_speaks_most_the_answer_is_gone(generator, person, expression):
    from affect4d.app.samples_and_uploads import generate_sample

    predictor = Predictor.load("affect_vlm")
    prepared = predictor.prepare(generate_sample(person, expression, lambda share: None))
    rows = torch.tensor([prepared.rows[prepared.moments.apex], prepared.rows[0]])
    shown, rest = assemble_unaugmented(prepared.bank, rows, predictor.description.inputs).split(1)
    direction = class_direction(predictor.classes, predictor.expressions.index(expression))
    maps = image_attribution(predictor.model, shown, rest, direction)
    tenth = int((maps != 0).sum() / 10)

    def loss(pixels):  # of the score, when these pixels are as they were in the neutral frame
        hidden = np.zeros(maps.size, bool)
        hidden[pixels] = True
        poor = torch.where(torch.from_numpy(hidden.reshape(maps.shape))[:, :, None], rest, shown)
        with torch.inference_mode():
            whole, poorer = predictor.model.embed_views(torch.cat([shown, poor])).fused @ torch.from_numpy(direction)
        return float(whole - poorer)

    anywhere = [generator.choice(np.flatnonzero(maps), tenth, replace=False) for _ in range(5)]
    assert loss(np.argsort(-maps.ravel())[:tenth]) > 5 * max(map(loss, anywhere))
