"""Calibration of predicted probabilities, and temperature scaling (Guo et al. 2017)."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from affect4d.evaluation.prediction_tables_and_leak_checks import PROBABILITY_COLUMNS, LeakError
from affect4d.scans.expression import EXPRESSIONS

BINS = 15  # number of equally wide bins of confidence
SMALLEST = 1e-12  # smallest probability whose logarithm is taken
TEMPERATURES = (0.02, 50.0)

Probabilities = Float[np.ndarray, "sequences classes"]


def calibration_error(predictions: pd.DataFrame, bins: int = BINS) -> float:
    """Expected calibration error: mean distance of confidence from accuracy over bins, weighted by size; 0…1."""
    probabilities = predictions[list(PROBABILITY_COLUMNS)].to_numpy(np.float64)
    confidence = probabilities.max(axis=1)
    hits = (predictions["predicted"] == predictions["expression"]).to_numpy(np.float64)
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=confidence - hits, minlength=bins)
    return float(np.abs(gaps).sum() / len(predictions))


def negative_log_likelihood(probabilities: Probabilities, truth: "pd.Series[str]") -> float:
    """Mean −log of the probability of the true expression; nats."""
    columns = truth.map(EXPRESSIONS.index).to_numpy()
    return float(-np.log(np.clip(probabilities[np.arange(len(columns)), columns], SMALLEST, 1)).mean())


def fit_temperature(validation: pd.DataFrame) -> float:
    """The temperature of maximum likelihood on validation subjects, who are neither fitted on nor tested."""
    if validation.empty:
        raise ValueError("A temperature is fitted on validation subjects, and there is none.")
    probabilities = validation[list(PROBABILITY_COLUMNS)].to_numpy(np.float64)

    def loss(logarithm: float) -> float:
        return negative_log_likelihood(tempered(probabilities, np.exp(logarithm)), validation["expression"])

    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """softmax(log p / temperature): less confident above 1, more below; the most likely class stays."""
    logits = np.log(np.clip(probabilities, SMALLEST, 1)) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaled: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return scaled


def calibrate(test: pd.DataFrame, validation: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Test predictions at the temperature fitted on the validation subjects (LeakError: one is tested), and that."""
    shared = sorted(set(test["subject"]) & set(validation["subject"]))
    if shared:
        raise LeakError(f"A temperature may not be fitted on tested subjects: {', '.join(shared)}.")
    temperature = fit_temperature(validation)
    columns = list(PROBABILITY_COLUMNS)
    calibrated = test.copy()
    calibrated[columns] = tempered(test[columns].to_numpy(np.float64), temperature).astype(np.float32)
    return calibrated, temperature
