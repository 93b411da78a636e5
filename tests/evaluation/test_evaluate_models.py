import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from affect4d.evaluation import evaluate_models
from affect4d.evaluation.evaluate_models import (
    FREE_TEXT_SETS,
    EvaluationData,
    Evaluator,
    SavedModel,
    UntrainedModel,
)
from affect4d.evaluation.free_text import FREE_TEXT_BY_KIND
from affect4d.evaluation.prediction_tables_and_leak_checks import SETTINGS, labelled_rows
from affect4d.evaluation.sequence_embeddings_and_probabilities import window_rows
from affect4d.evaluation.zero_shot import expression_prompts
from affect4d.models import EncoderOptions, ModelOptions, build_model, save_model
from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.store import ContentStore, cached
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented
from affect4d.views.input_options import InputOptions


@pytest.fixture
def evaluator(bank, sequences, split):
    return Evaluator(bank, sequences, split, INPUTS, quiet=True)


def test_a_sequence_is_what_is_asked_about_anyway(evaluator):
    assert evaluator.at("sequence") is evaluator


@pytest.mark.parametrize("setting", SETTINGS[1:])
def test_the_apex_is_one_scan_in_the_middle_of_its_window(evaluator, setting):
    at = evaluator.at(setting)
    assert at.sequences is evaluator.sequences
    assert at.bank.images is evaluator.bank.images
    for name in at.sequences["sequence"][:7]:
        assert window_rows(at.bank, name) == [window_rows(evaluator.bank, name)[1]]


def test_only_a_single_scan_is_its_own_neutral(evaluator):
    apex, single = evaluator.at("apex_neutral"), evaluator.at("single_scan")
    assert torch.equal(apex.bank.neutral, evaluator.bank.neutral)
    rows = window_rows(single.bank, "S00/fear")
    assert single.bank.neutral[rows].tolist() == rows
    moving = InputOptions(channels=("grey", "shading"), size=16)
    images = assemble_unaugmented(single.bank, torch.tensor(rows), moving)
    assert (images[:, :, 2:] == 0).all()
    assert (assemble_unaugmented(apex.bank, torch.tensor(rows), moving)[:, :, 2:] != 0).any()


@pytest.mark.parametrize("setting", SETTINGS)
def test_nobody_changes_sides_in_any_setting(evaluator, setting, split):
    asked = evaluator.at(setting)
    fold = labelled_rows(asked.sequences, asked.split)
    assert set(asked.sequences.iloc[fold.test]["subject"]) == set(split.test)


SMALL = ModelOptions(
    encoder=EncoderOptions(text="compact", image_width=32, text_width=16, text_heads=2, text_layers=1), dim=16
)
INPUTS = InputOptions(channels=("grey", "shading"), size=16)
STILL = InputOptions(channels=("grey", "shading"), motion="none", size=16)


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


def test_every_setting_is_scored_as_its_evaluator_scores_it(data, saved):
    model = saved("affect_vlm")
    scores, predictions = evaluate_models.evaluate_affect_vlm(data, model, expression_prompts())
    assert tuple(scores["settings"]) == tuple(predictions["setting"].unique()) == SETTINGS
    predictions = predictions[predictions["model"] == "affect_vlm"]
    for setting, scored in scores["settings"].items():
        table = data.evaluator().at(setting).by_prompts(model.load(), "affect_vlm", expression_prompts())
        shown = predictions[predictions["setting"] == setting].drop(columns="setting").reset_index(drop=True)
        pd.testing.assert_frame_equal(shown, table)
        assert scored["accuracy"] == data.evaluator().scores(table)["accuracy"]
    assert scores["accuracy"] == scores["settings"]["sequence"]["accuracy"]


def test_a_probe_of_single_scans_is_fitted_on_single_scans(data, saved):
    model = saved("smile_vlm")
    scores, _ = evaluate_models.evaluate_smile_vlm(data, model, expression_prompts())
    at = data.evaluator().at("single_scan")
    table = at.by_linear_probe(model.load(), "smile_vlm.linear_probe")
    assert scores["linear_probe"]["settings"]["single_scan"]["accuracy"] == at.scores(table)["accuracy"]


def test_references_are_the_supervised_model_and_two_probes_of_an_untrained_encoder(data, saved, untrained):
    scores, predictions = evaluate_models.evaluate_references(data, saved("view_classifier"), untrained)
    assert list(scores) == ["cross_entropy", "untrained_encoder", "untrained_encoder_knn"]
    named = ["cross_entropy", "untrained_encoder.linear_probe", "untrained_encoder.knn"]
    assert list(dict.fromkeys(predictions["model"])) == named
    probe = predictions[(predictions["model"] == named[1]) & (predictions["setting"] == "sequence")]
    assert {**data.evaluator().scores(probe)}.items() <= scores["untrained_encoder"].items()


def test_affect_vlm_is_also_asked_by_free_text_of_each_kind(data, saved):
    model = saved("affect_vlm")
    scores, predictions = evaluate_models.evaluate_affect_vlm(data, model, expression_prompts())
    ways = [f"affect_vlm.free_text{kind}" for kind in ("", "_face", "_situation")]
    assert list(dict.fromkeys(predictions["model"])) == ["affect_vlm", *ways]
    table = data.evaluator().by_prompts(model.load(), ways[1], FREE_TEXT_BY_KIND["face"])
    assert scores["free_text_face"]["accuracy"] == data.evaluator().scores(table)["accuracy"]


def test_smile_vlm_is_read_by_probes_prompts_and_free_text(data, saved):
    scores, predictions = evaluate_models.evaluate_smile_vlm(data, saved("smile_vlm"), expression_prompts())
    assert list(scores) == ["linear_probe", "knn", "zero_shot", *FREE_TEXT_SETS]
    assert set(predictions["model"]) == {f"smile_vlm.{readout}" for readout in scores}


def test_baselines_stand_beside_chance(data, sequences):
    scans = pd.DataFrame({"sequence": sequences["sequence"], "subject": sequences["subject"], "frame": 0})
    scans["landmarks"] = None
    scores, predictions = evaluate_models.evaluate_baselines(data, scans, None, PseudoLabelOptions())
    assert scores["chance"]["accuracy"] == pytest.approx(1 / 6)
    assert set(scores) == {"chance", *predictions["model"]}
    assert set(scores["pixel_knn"]["settings"]) == set(SETTINGS)
    assert set(scores["motion_logistic"]["settings"]) == {"sequence", "apex_neutral"}


def test_a_cached_evaluation_reads_as_it_was_made(data, saved, tmp_path):
    make = functools.partial(evaluate_models.evaluate_affect_vlm, data, saved("affect_vlm"), expression_prompts())
    first, again = (cached(ContentStore(tmp_path), "affect_vlm", make, **data.key_parts()) for _ in range(2))
    assert first[0] == again[0]
    pd.testing.assert_frame_equal(first[1], again[1])


def test_other_labels_make_another_evaluation(data):
    other = EvaluationData(data.views.assign(expression="fear"), data.split, data.inputs, None)
    assert other.key_parts() != data.key_parts()


@pytest.fixture
def still(bank, sequences, split):
    return Evaluator(bank, sequences, split, STILL, quiet=True)


@pytest.fixture
def model():
    encoders = EncoderOptions(text="compact", image_width=32, text_width=16, text_heads=2, text_layers=1)
    return build_model("smile_vlm", ModelOptions(encoder=encoders, dim=16, views=2, channels=2), seed=0)


def test_a_model_is_examined_from_all_sides(still, model, split):
    scores, table = evaluate_models.evaluate_representation(still, model, "untrained", expression_prompts())
    assert list(scores["few_shot"]) == ["1", "5"]
    assert set(scores["retrieval"]) == {"prompts", "free_text"}
    assert scores["retrieval"]["prompts"]["text_to_scan"]["queries"] == 6 * 22
    assert scores["retrieval"]["free_text"]["scan_to_text"]["queries"] == 24
    assert set(table["subject"]) == set(split.test)


def test_labels_of_the_unseen_change_no_place_on_the_map(still, model, sequences, split, bank, generator):
    _, told = evaluate_models.evaluate_representation(still, model, "m")
    unseen = sequences["subject"].isin(split.test)
    other = sequences.copy()
    other.loc[unseen, "expression"] = generator.permutation(other.loc[unseen, "expression"])
    _, lied = evaluate_models.evaluate_representation(Evaluator(bank, other, split, STILL, quiet=True), model, "m")
    np.testing.assert_array_equal(told[["x", "y"]], lied[["x", "y"]])
