"""Agreement of action-unit strengths with the truth on unseen subjects, beside landmarks and blendshape scores."""

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64

from affect4d.evaluation.action_unit_head import (
    ActionUnitHead,
    FrameRows,
    both_cases,
    embed_frames,
    fit_readout,
    known_frames,
    learnable,
    shown_share,
    subjects_of,
)
from affect4d.evaluation.action_unit_sentences import score_sentences, sentence_similarities
from affect4d.evaluation.prediction_tables_and_leak_checks import Setting
from affect4d.evaluation.significance import percentile_interval
from affect4d.left_out import MissingInputError
from affect4d.scans.action_unit_truth import PRESENT
from affect4d.scans.splits import SubjectSplit, check_disjoint
from affect4d.views.bank import REFERENCE, ViewBank
from affect4d.views.input_options import InputOptions

FREQUENT = 0.05  # share of test frames that show a unit, from which it counts in the means
BOOTSTRAP_SEED = 0
DRAWS = 1000
CASES: tuple[Setting, ...] = ("sequence", "single_scan")
"""Frames with their sequence's neutral frame, and the same frames as scans alone."""

Strengths = Float[np.ndarray, "frames units"]
Counts = Float64[np.ndarray, "... 9"]


class UnitScores(TypedDict):
    """Agreement for one unit; NaN becomes None."""

    shown: float  # share of frames that show it
    f1: float | None  # of presence, strength ≥ PRESENT in truth and prediction
    pearson: float | None
    icc: float | None  # ICC(3,1) of strength (Shrout, Fleiss 1979)


def score_strengths(
    predicted: pd.DataFrame, truth: pd.DataFrame, subjects: np.ndarray, generator: np.random.Generator
) -> dict[str, Any]:
    """Scores per unit, and their means over the units that at least ``FREQUENT`` of the frames show.

    Args:
        predicted: 0…1, a row a frame; a unit that it lacks counts as never shown.
        truth: 0…1, the same rows; NaN is left out.
        subjects: Subject of every row, over which the means' 95 % intervals are bootstrapped.

    Returns:
        ``units`` by name (:class:`UnitScores`), ``frequent`` (their names), ``frames``, ``subjects``, and ``f1``,
        ``pearson``, ``icc``, each with ``…_interval``.
    """
    answered = predicted.reindex(columns=truth.columns, fill_value=0.0).to_numpy(np.float64)
    codes, names = pd.factorize(subjects)
    counts = _counts(truth.to_numpy(np.float64), answered, codes, len(names))  # [subjects, units, 9]
    scores, shown = _agreement(counts.sum(axis=0)), shown_share(truth)
    frequent = (shown >= FREQUENT).to_numpy()
    picks = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)
    drawn = _agreement(np.einsum("ds,suk->duk", picks, counts[:, frequent]))
    means: dict[str, Any] = {}
    for name, values in scores.items():
        means[name] = float(np.nan_to_num(values[frequent]).mean()) if frequent.any() else None
        bounds = percentile_interval(np.nan_to_num(drawn[name]).mean(axis=1)) if frequent.any() else None
        means[f"{name}_interval"] = bounds and list(bounds)
    units = {
        unit: {"shown": float(shown[unit]), **{name: _number(values[place]) for name, values in scores.items()}}
        for place, unit in enumerate(truth.columns)
    }
    frequent_units = [unit for unit, often in zip(truth.columns, frequent, strict=True) if often]
    return {**means, "frames": len(truth), "subjects": len(names), "frequent": frequent_units, "units": units}


def _counts(truth: Strengths, predicted: Strengths, codes: np.ndarray, subjects: int) -> Counts:
    """Sums over each subject's frames, [subjects, units, 9], from which every score follows."""
    known = ~np.isnan(truth)
    x, y = np.where(known, truth, 0.0), np.where(known, predicted, 0.0)
    shown, claimed = x >= PRESENT, y >= PRESENT
    parts = [known, x, y, x * x, y * y, x * y, shown & claimed, ~shown & claimed & known, shown & ~claimed]
    stacked = np.stack([part.astype(np.float64) for part in parts], axis=-1)
    sums = np.zeros((subjects, *stacked.shape[1:]))
    np.add.at(sums, codes, stacked)
    return sums


def _agreement(counts: Counts) -> dict[str, Float64[np.ndarray, "..."]]:
    """F1, Pearson's r and ICC(3,1) from sums; NaN where undefined."""
    n, x, y, xx, yy, xy, hits, false, missed = np.moveaxis(counts, -1, 0)
    n = np.maximum(n, 1)
    covariance, var_x, var_y = xy - x * y / n, xx - x * x / n, yy - y * y / n
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "f1": 2 * hits / (2 * hits + false + missed),
            "pearson": np.where((var_x > 1e-9) & (var_y > 1e-9), covariance / np.sqrt(var_x * var_y), np.nan),
            "icc": np.where(var_x + var_y > 1e-9, 2 * covariance / (var_x + var_y), np.nan),
        }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def evaluate_heads(
    heads: Mapping[str, tuple[Any, ActionUnitHead]],
    bank: ViewBank,
    inputs: InputOptions,
    truth: pd.DataFrame,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    """Scores of every model and baseline on the same frames of test subjects: case → name → :func:`score_strengths`.

    Those of a model have ``sentences``, too: :func:`~affect4d.evaluation.action_unit_sentences.score_sentences`.

    Args:
        heads: Name → frozen model, which embeds prompts, and its head.
        sequences: Columns ``sequence``, ``subject``.
        tables: Baseline → measurements by (sequence, frame), such as landmarks; ridge regression on them, and on their
            difference to the neutral frame, is fitted with training subjects.
    """
    check_disjoint(split.train, split.test)
    subjects = sequences.set_index("sequence")["subject"]
    sides = (subjects[subjects.isin(side)] for side in (split.train, split.test))
    train, test = (dict(zip(map(str, side.index), side, strict=True)) for side in sides)
    rows, strengths = known_frames(bank, truth, test)
    if not len(rows):
        raise MissingInputError("Action units are not scored: no frame of a test subject has them.")
    owners = subjects_of(strengths, test)
    found: dict[str, Any] = {}
    for case, at, has_neutral in zip(CASES, both_cases(bank), (True, False), strict=True):
        embedded = {name: embed_frames(model, at, inputs, rows) for name, (model, _) in heads.items()}
        predicted = {name: head.predict(embedded[name].hidden, has_neutral) for name, (_, head) in heads.items()}
        for name, table in tables.items():
            predicted[name] = predict_from_measurements(table, at, truth, train, rows, has_neutral)
        found[case] = {
            name: score_strengths(one, strengths, owners, np.random.default_rng(BOOTSTRAP_SEED))
            for name, one in predicted.items()
        }
        for name, (model, _) in heads.items():
            scores = found[case][name]
            similarities = sentence_similarities(model, embedded[name].fused, list(map(str, strengths)))
            generator = np.random.default_rng(BOOTSTRAP_SEED)
            scores["sentences"] = score_sentences(similarities, strengths, owners, scores["frequent"], generator)
    return found


def predict_from_measurements(
    table: pd.DataFrame,
    bank: ViewBank,
    truth: pd.DataFrame,
    train: Mapping[str, str],
    rows: FrameRows,
    has_neutral: bool,
) -> pd.DataFrame:
    """Strengths of some rows by ridge regression on measurements by (sequence, frame), fitted on training sequences."""
    fitted_rows, strengths = known_frames(bank, truth, train)
    strengths, owners = learnable(strengths, train)
    known, asked = (_measurements(table, bank, one, has_neutral) for one in (fitted_rows, rows))
    middle = known.mean().fillna(0.0)
    readout = fit_readout(known.fillna(middle).to_numpy(), strengths.to_numpy(), owners)
    return pd.DataFrame(readout.predict(asked.fillna(middle).to_numpy()), columns=strengths.columns)


def _measurements(table: pd.DataFrame, bank: ViewBank, rows: FrameRows, has_neutral: bool) -> pd.DataFrame:
    """Measurements of some rows (NaN where there is none) and, with a neutral, their difference to the neutral's."""
    shown = _looked_up(table, bank, rows)
    if not has_neutral:
        return shown
    moved = shown - _looked_up(table, bank, bank.neutral[rows].numpy())
    return pd.concat([shown, moved], axis=1, ignore_index=True)


def _looked_up(table: pd.DataFrame, bank: ViewBank, rows: FrameRows) -> pd.DataFrame:
    """Measurements of some rows; NaN of a reference image, which shows no frame."""
    places = bank.sequence[rows].numpy()
    names = np.where(places == REFERENCE, "", np.asarray(bank.sequences, dtype=object)[places])
    found = table.reindex(pd.MultiIndex.from_arrays([names, bank.frame[rows].numpy()]))
    return found.astype("float64").reset_index(drop=True)
