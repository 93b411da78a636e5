"""Whether a model's probabilities mean what they say, and one number that corrects them (Guo et al. 2017)."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from affect4d.evaluation.predictions import PROBABILITY_COLUMNS
from affect4d.evaluation.protocols import LeakError
from affect4d.scans.expression import EXPRESSIONS

BINS = 15
"""Of confidence, equally wide."""
SMALLEST = 1e-12
"""Probabilities below count as this: their logarithm is taken."""
BOUNDS = (0.02, 50.0)
"""Of a temperature."""

Probabilities = Float[np.ndarray, "sequences classes"]


def calibration_error(predictions: pd.DataFrame, bins: int = BINS) -> float:
    """Expected calibration error: how far confidence is from accuracy, over bins of confidence, weighted by size.

    Args:
        predictions: See :func:`affect4d.evaluation.predictions.prediction_table`.
        bins: How many.

    Returns:
        0 (probabilities mean what they say) … 1.
    """
    probabilities = predictions[list(PROBABILITY_COLUMNS)].to_numpy(np.float64)
    confidence = probabilities.max(axis=1)
    hits = (predictions["predicted"] == predictions["expression"]).to_numpy(np.float64)
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=confidence - hits, minlength=bins)
    return float(np.abs(gaps).sum() / len(predictions))


def negative_log_likelihood(probabilities: Probabilities, truth: "pd.Series[str]") -> float:
    """Mean of −log of the probability of what is true; nats."""
    columns = truth.map(EXPRESSIONS.index).to_numpy()
    return float(-np.log(np.clip(probabilities[np.arange(len(columns)), columns], SMALLEST, 1)).mean())


def fit_temperature(validation: pd.DataFrame) -> float:
    """The temperature under which a model's predictions on held-out training people are likeliest.

    Args:
        validation: Predictions on people who are neither fitted on nor tested.

    Raises:
        ValueError: If there is no prediction to fit to.
    """
    if validation.empty:
        raise ValueError("A temperature is fitted on validation people, and there is none.")
    probabilities = validation[list(PROBABILITY_COLUMNS)].to_numpy(np.float64)

    def loss(logarithm: float) -> float:
        return negative_log_likelihood(tempered(probabilities, np.exp(logarithm)), validation["expression"])

    found = minimize_scalar(loss, bounds=tuple(np.log(BOUNDS)), method="bounded")
    return float(np.exp(found.x))


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """softmax(log p / temperature): above 1 less sure, below 1 surer; what is likeliest stays so."""
    logits = np.log(np.clip(probabilities, SMALLEST, 1)) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return shares


def calibrate(test: pd.DataFrame, validation: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Test predictions at the temperature of the validation people, and that temperature.

    Raises:
        LeakError: If a validation person is tested.
        ValueError: If there is no validation prediction.
    """
    shared = sorted(set(test["subject"]) & set(validation["subject"]))
    if shared:
        raise LeakError(f"A temperature may not be fitted on tested subjects: {', '.join(shared)}.")
    temperature = fit_temperature(validation)
    columns = list(PROBABILITY_COLUMNS)
    cooled = test.copy()
    cooled[columns] = tempered(test[columns].to_numpy(np.float64), temperature).astype(np.float32)
    return cooled, temperature
