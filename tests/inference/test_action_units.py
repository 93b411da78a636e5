"""Action units of a packaged model: written, read, in predictions and their tables; none where a model has none."""

import numpy as np
import pytest
from pydantic import ValidationError

from affect4d.evaluation.action_unit_head import ActionUnitHead, LinearReadout
from affect4d.evaluation.sequence_embeddings_and_probabilities import FRAMES, window_rows
from affect4d.inference import PackagedModelError, Predictor, read_packaged_model, write_packaged_model
from affect4d.inference.packaged_model_description import (
    ActionUnitErrors,
    find_packaged_model,
    read_description,
    write_description,
)
from affect4d.inference.packaged_weights import halve_precision
from affect4d.inference.results import ResultTables
from affect4d.inference.shareable_model_folder import write_hub_folder
from affect4d.scans.action_unit_truth import unit_name
from affect4d.synthetic.action_units import ACTION_UNITS

NAMES = ("AU12_l", "AU12_r", "AU26")


@pytest.fixture(scope="module")
def without(make_packaged_model):
    return make_packaged_model("compact")


@pytest.fixture(scope="module")
def head(without):
    rng = np.random.default_rng(0)
    width = without.model.hidden_width * without.model.options.views

    def readout(error):
        weights = rng.normal(scale=0.02, size=(width, 3)).astype(np.float32)
        return LinearReadout(weights, np.full(3, 0.5, np.float32), np.full(3, error, np.float32))

    return ActionUnitHead(NAMES, readout(0.1), readout(0.2))


@pytest.fixture(scope="module")
def packaged(without, head, tmp_path_factory):
    folder = tmp_path_factory.mktemp("units") / "model"
    return write_packaged_model(folder, without.model, read_description(without.folder), action_units=head)


@pytest.fixture(scope="module")
def frames(raw_scans):
    return sorted((raw_scans / "F001" / "Surprise").glob("*.wrl"))


def test_every_frame_has_strengths_and_a_recording_their_mean_over_the_window(packaged, frames, head):
    predictor = Predictor.load(packaged)
    prepared = predictor.prepare(frames)
    answer, embedding = predictor.classify(prepared), predictor.embed(prepared)
    assert tuple(answer.action_units) == predictor.action_units == NAMES
    by_frame = np.array([list(frame.action_units.values()) for frame in answer.frames])
    np.testing.assert_array_equal(by_frame, embedding.action_units)
    assert ((by_frame >= 0) & (by_frame <= 1)).all()
    assert np.ptp(by_frame) > 0
    window = window_rows(prepared.bank, prepared.name, FRAMES)
    mean = by_frame[[prepared.rows.index(row) for row in window]].mean(axis=0)
    np.testing.assert_allclose(list(answer.action_units.values()), mean, atol=1e-6)
    assert answer.action_unit_errors == dict.fromkeys(NAMES, 0.1)


def test_a_scan_alone_is_read_by_the_weights_for_scans_alone(packaged, frames, head):
    predictor = Predictor.load(packaged)
    alone, beside = predictor.predict(frames[-1]), predictor.predict(frames[-1], neutral=frames[0])
    assert alone.action_unit_errors == dict.fromkeys(NAMES, 0.2)
    assert beside.action_unit_errors == dict.fromkeys(NAMES, 0.1)
    assert alone.action_units != beside.action_units


def test_tables_have_a_column_a_unit_also_where_all_is_refused(packaged, frames):
    predictor = Predictor.load(packaged)
    tables = ResultTables(predictor.expressions, predictor.views, predictor.action_units)
    assert set(NAMES) <= set(tables.tables()[0].columns)
    tables.add(predictor.predict(frames, name="one"))
    for table in tables.tables():
        assert (table[list(NAMES)].dtypes == "float64").all()
        assert table[list(NAMES)].notna().all(axis=None)


def test_a_model_without_a_head_gives_none_and_has_no_columns(without, frames):
    predictor = Predictor.load(without.folder)
    answer = predictor.predict(frames)
    assert predictor.action_units == ()
    assert (answer.action_units, answer.action_unit_errors, answer.frames[0].action_units) == (None, None, None)
    assert not [name for name in (*answer.row(), *answer.timeline()) if name.startswith("AU")]


@pytest.mark.parametrize("copy", [halve_precision, write_hub_folder])
def test_a_copy_of_a_model_gives_the_same_strengths(packaged, frames, copy, tmp_path):
    copied = copy(packaged, tmp_path / "copy")
    assert Predictor.load(copied).predict(frames).action_units == Predictor.load(packaged).predict(frames).action_units


def test_weights_of_other_units_than_the_described_ones_are_refused(packaged, tmp_path):
    folder = halve_precision(packaged, tmp_path / "other")
    errors = ActionUnitErrors(with_neutral={"AU12_l": 0.1}, alone={"AU12_l": 0.1})
    write_description(read_description(folder).model_copy(update={"action_units": errors}), folder)
    with pytest.raises(PackagedModelError, match="head of 1 action units has weights of shape"):
        read_packaged_model(folder)


def test_both_kinds_of_error_are_of_the_same_units():
    with pytest.raises(ValidationError, match="different action units"):
        ActionUnitErrors(with_neutral={"AU12_l": 0.1}, alone={"AU12_r": 0.1})


@pytest.mark.parametrize("name", ["affect_vlm", "smile_vlm"])
def test_the_models_of_the_package_give_every_unit(name):
    head = read_packaged_model(find_packaged_model(name)).action_units
    assert set(head.names) == {unit_name(unit) for unit in ACTION_UNITS if unit.startswith("AU")}
