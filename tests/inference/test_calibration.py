"""A bundle's shares, corrected by answers on people whose expressions are known."""

import shutil

import numpy as np
import pandas as pd
import pytest

from affect4d.evaluation.calibration import tempered
from affect4d.inference import Predictor, calibrate_packaged_model, find_packaged_model
from affect4d.inference.packaged_model import read_description
from affect4d.scans.expression import EXPRESSIONS

COLUMNS = [f"prob_{name}" for name in EXPRESSIONS]


def answers(sure, right, count=60):
    """Recordings answered with one certainty, of which a share is right; and one that was refused."""
    rng = np.random.default_rng(0)
    rows, truth = [], {}
    for number in range(count):
        told = int(rng.integers(6))
        shown = told if number < right * count else (told + 1) % 6
        shares = np.full(6, (1 - sure) / 5)
        shares[told] = sure
        rows.append({"recording": f"r{number}", **dict(zip(COLUMNS, shares, strict=True))})
        truth[f"r{number}"] = EXPRESSIONS[shown]
    refused = {"recording": "refused", **dict.fromkeys(COLUMNS, np.nan)}
    stranger = {"recording": "stranger", **dict.fromkeys(COLUMNS, 1 / 6)}
    return pd.DataFrame([*rows, refused, stranger]), {**truth, "refused": "anger"}


@pytest.mark.parametrize(("sure", "right"), [(0.95, 0.6), (0.4, 0.9)])
def test_a_calibrated_copy_is_as_sure_as_it_is_right(tmp_path, sure, right):
    table, truth = answers(sure, right)
    made = calibrate_packaged_model(
        find_packaged_model("affect_vlm"), tmp_path / "copy", table, truth, "sixty faces of nobody"
    )
    shares = tempered(table.loc[:0, COLUMNS].to_numpy(), made.temperature)
    assert shares.max() == pytest.approx(right, abs=0.03)
    assert read_description(tmp_path / "copy").calibration == made
    assert made.fitted_on == "sixty faces of nobody"


def test_the_copy_answers_by_its_temperature_and_the_bundle_as_before(tmp_path):
    table, truth = answers(0.95, 0.6)
    source = find_packaged_model("affect_vlm")
    before = read_description(source)
    made = calibrate_packaged_model(source, tmp_path / "copy", table, truth, "nobody")
    plain, calibrated = Predictor.load(source), Predictor.load(tmp_path / "copy")
    assert calibrated.scale == pytest.approx(plain.scale / made.temperature)
    assert read_description(source) == before


def test_what_cannot_be_calibrated_is_refused(tmp_path):
    source, (table, truth) = find_packaged_model("affect_vlm"), answers(0.9, 0.9)
    with pytest.raises(ValueError, match="there is none"):
        calibrate_packaged_model(source, tmp_path / "none", table, {}, "nobody")
    assert not (tmp_path / "none").exists()
    calibrate_packaged_model(source, tmp_path / "copy", table, truth, "sixty faces")
    with pytest.raises(ValueError, match=r"calibrated already \(on sixty faces\)"):
        calibrate_packaged_model(tmp_path / "copy", tmp_path / "again", table, truth, "nobody")
    with pytest.raises(FileExistsError, match="name a new folder"):
        calibrate_packaged_model(source, tmp_path / "copy", table, truth, "nobody")
    shutil.copytree(source, tmp_path / "two")
    told = read_description(source)
    two = told.model_copy(update={"prompts": {name: told.prompts[name] for name in EXPRESSIONS[:2]}})
    (tmp_path / "two" / "bundle.json").write_text(two.model_dump_json())
    with pytest.raises(ValueError, match=r"predicts anger, disgust; .* to the six alone"):
        calibrate_packaged_model(tmp_path / "two", tmp_path / "three", table, truth, "nobody")
