import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from affect4d.evaluation.calibration import (
    BINS,
    calibrate,
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    tempered,
)
from affect4d.evaluation.prediction_tables_and_leak_checks import PROBABILITY_COLUMNS, LeakError, prediction_table
from affect4d.scans.expression import EXPRESSIONS


def drawn(generator, sharpness, count=4000, subject="A"):
    """Predictions whose truth is drawn from the probabilities, which are then sharpened."""
    honest = generator.dirichlet(np.full(6, 0.7), count)
    truth = [EXPRESSIONS[generator.choice(6, p=row)] for row in honest]
    rows = pd.DataFrame({"sequence": [f"{subject}{n}" for n in range(count)], "subject": subject, "expression": truth})
    sharp = honest**sharpness
    return prediction_table(rows, sharp / sharp.sum(axis=1, keepdims=True), "m")


def test_the_error_of_hand_computed_rows():
    rows = pd.DataFrame({"sequence": list("ab"), "subject": "A", "expression": ["anger", "fear"]})
    sure = np.array([[0.9, 0.1, 0, 0, 0, 0], [0.8, 0.2, 0, 0, 0, 0]])
    assert calibration_error(prediction_table(rows, sure, "m")) == pytest.approx((0.1 + 0.8) / 2)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_error_equals_that_of_torchmetrics(generator, sharpness):
    table = drawn(generator, sharpness, 500)
    probabilities = torch.tensor(table[list(PROBABILITY_COLUMNS)].to_numpy())
    truth = torch.tensor(table["expression"].map(EXPRESSIONS.index).to_numpy())
    reference = multiclass_calibration_error(probabilities, truth, num_classes=6, n_bins=BINS)
    assert calibration_error(table) == pytest.approx(float(reference), abs=1e-5)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_was_sharpened(generator, sharpness):
    table = drawn(generator, sharpness)
    assert fit_temperature(table) == pytest.approx(sharpness, rel=0.1)


def test_calibration_helps_people_it_was_not_fitted_on_and_changes_no_answer(generator):
    test, validation = drawn(generator, 3.0), drawn(generator, 3.0, subject="B")
    cooled, temperature = calibrate(test, validation)
    assert temperature > 2
    assert calibration_error(cooled) < 0.3 * calibration_error(test)
    columns = list(PROBABILITY_COLUMNS)
    assert (cooled[columns].to_numpy().argmax(axis=1) == test[columns].to_numpy().argmax(axis=1)).all()


def test_a_temperature_fitted_on_tested_people_is_refused(generator):
    table = drawn(generator, 1.0, 10)
    with pytest.raises(LeakError, match="tested subjects: A"):
        calibrate(table, table)
    with pytest.raises(ValueError, match="there is none"):
        calibrate(table, table[:0])


def test_a_probability_of_zero_is_survived():
    certain = np.eye(6)[[0, 1]]
    assert np.isfinite(negative_log_likelihood(tempered(certain, 2.0), pd.Series(["fear", "anger"])))
