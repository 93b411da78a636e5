import functools
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
import torch

from affect4d.evaluation import evaluate_models
from affect4d.evaluation.evaluate_models import EvaluationData, SavedModel, UntrainedModel
from affect4d.evaluation.evaluator import GRANULARITIES, Evaluator
from affect4d.evaluation.zero_shot import expression_prompts
from affect4d.models import EncoderOptions, ModelOptions, build_model, save_model
from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.store import ContentStore, cached
from affect4d.views.input_options import InputOptions

SMALL = ModelOptions(encoder=EncoderOptions(image_width=32, text_width=16, text_heads=2, text_layers=1), dim=16)
INPUTS = InputOptions(channels=("grey", "shading"), size=16)


def cpu():
    return torch.device("cpu")


@dataclass(frozen=True)
class SmallData(EvaluationData):
    """Data whose bank is there already."""

    ready: Any = None

    def evaluator(self):
        return self.ready


@pytest.fixture
def data(bank, sequences, split):
    views = sequences.assign(checksum="c")
    evaluator = Evaluator(bank, sequences, split, INPUTS, quiet=True)
    return SmallData(views, split.to_dict() | {"digest": split.digest}, INPUTS, None, evaluator)


@pytest.fixture
def untrained():
    return UntrainedModel(SMALL, 0, cpu)


@pytest.fixture
def saved(tmp_path):
    store = ContentStore(tmp_path)

    def save(name):
        views, channels = INPUTS.input_shape(2)
        model = build_model(name, SMALL.model_copy(update={"views": views, "channels": channels}), 0)
        save_model(model, store.path(name))
        return SavedModel(store.path(name), cpu)

    return save


def test_every_granularity_is_scored_as_the_evaluator_scores_it(data, saved):
    models = {"affect_vlm": saved("affect_vlm"), "cross_entropy": saved("view_classifier")}
    scores = evaluate_models.evaluate_granularity(data, models, expression_prompts())
    assert {name: tuple(parts) for name, parts in scores.items()} == dict.fromkeys(models, GRANULARITIES)
    table = data.evaluator().by_head(models["cross_entropy"].load(), "cross_entropy")
    assert scores["cross_entropy"]["window"] == data.evaluator().scores(table)


def test_references_are_the_supervised_model_and_two_probes_of_an_untrained_encoder(data, saved, untrained):
    scores, predictions = evaluate_models.evaluate_references(data, saved("view_classifier"), untrained)
    assert list(scores) == ["cross_entropy", "untrained_encoder", "untrained_encoder_knn"]
    named = ["cross_entropy", "untrained_encoder.linear_probe", "untrained_encoder.knn"]
    assert list(dict.fromkeys(predictions["model"])) == named
    assert scores["untrained_encoder"] == data.evaluator().scores(predictions[predictions["model"] == named[1]])


def test_smile_vlm_is_read_in_four_ways(data, saved):
    scores, predictions = evaluate_models.evaluate_smile_vlm(data, saved("smile_vlm"), expression_prompts())
    assert list(scores) == ["linear_probe", "knn", "zero_shot", "free_text"]
    assert set(predictions["model"]) == {f"smile_vlm.{readout}" for readout in scores}


def test_baselines_stand_beside_chance(data, sequences):
    scans = pd.DataFrame({"sequence": sequences["sequence"], "subject": sequences["subject"], "frame": 0})
    scans["landmarks"] = None
    scores, predictions = evaluate_models.evaluate_baselines(data, scans, None, PseudoLabelOptions())
    assert scores["chance"]["accuracy"] == pytest.approx(1 / 6)
    assert set(scores) == {"chance", *predictions["model"]}


def test_a_cached_evaluation_reads_as_it_was_made(data, saved, tmp_path):
    make = functools.partial(evaluate_models.evaluate_affect_vlm, data, saved("affect_vlm"), expression_prompts())
    first, again = (cached(ContentStore(tmp_path), "affect_vlm", make, **data.key_parts()) for _ in range(2))
    assert first[0] == again[0]
    pd.testing.assert_frame_equal(first[1], again[1])


def test_other_labels_make_another_evaluation(data):
    other = EvaluationData(data.views.assign(expression="fear"), data.split, data.inputs, None)
    assert other.key_parts() != data.key_parts()
