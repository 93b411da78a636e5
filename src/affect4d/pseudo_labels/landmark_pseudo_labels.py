"""Pseudo-labels by rules on landmarks: measurements, scores, action units, and the emotion they are typical of.

A sequence is measured against its neutral frame, a single scan against its subject's estimated neutral face. The
emotions' prototypes come from a published table, which ignores a corpus's habits and correlated measurements. So the
rules are self-trained: a linear discriminant is fitted to their own decisions on the training sequences, a few times.
No label is used: a table that has one is refused. [ours]
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import logsumexp, softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from affect4d.left_out import MissingInputError
from affect4d.pseudo_labels.action_units_and_emotion_prototypes import describe_patterns, prototype_scores
from affect4d.pseudo_labels.landmark_movement import (
    MEASUREMENTS,
    MIN_SCANS,
    FaceLandmarks,
    is_measurable,
    is_tracked,
    measure_apex,
    neutral_faces,
    single_scans,
    to_points,
)
from affect4d.pseudo_labels.options import GeometryOptions, PseudoLabelOptions, refuse_labels
from affect4d.scans.expression import EXPRESSIONS

SMALLEST_SPREAD = 0.002  # fraction of the eye distance (about 0.2 mm, a scanner's noise): the least usual movement
TEMPERATURE = 0.1  # divisor of cosines with the prototypes before the softmax
FEWEST = 5  # training sequences of every emotion that a discriminant needs; with fewer, the prototypes decide
NAMED_SUBJECTS = 10  # most subjects that a warning names


class UnmeasurableError(MissingInputError):
    """No sequence of a corpus can be measured; the message names the reason and the remedy."""


@dataclass(frozen=True)
class Rules:
    """From measurements to scores, from scores to emotions."""

    spread: Mapping[str, float]
    """Median absolute deviation of each measurement's apex value about no movement, × 1.4826, per eye distance."""
    offsets: tuple[float, ...]
    """Class-balancing addition to each emotion's logit, in the order of ``EXPRESSIONS``."""
    discriminant: LinearDiscriminantAnalysis | None = None
    """Result of self-training; None where the prototypes decide."""

    def scores(self, measurements: pd.DataFrame) -> pd.DataFrame:
        """Measurements as scores, −1…1: tanh(x / (2 spread)); an untracked measurement scores 0."""
        spread = np.array([self.spread[name] for name in MEASUREMENTS])
        values = np.nan_to_num(np.tanh(measurements[list(MEASUREMENTS)].to_numpy() / spread / 2))
        return pd.DataFrame(values, index=measurements.index, columns=list(MEASUREMENTS))

    def emotions(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Probability of each emotion, one row a row of scores; uniform where nothing moved."""
        probabilities = softmax(_logits(scores, self.discriminant) + np.array(self.offsets), axis=1)
        probabilities[~scores.to_numpy().any(axis=1)] = 1 / len(EXPRESSIONS)
        return pd.DataFrame(probabilities, index=scores.index, columns=list(EXPRESSIONS))


def fit_rules(measurements: pd.DataFrame, options: GeometryOptions, balanced: bool) -> Rules:
    """Rules fitted to training subjects' measurements, without labels; ``balanced``: six equally frequent emotions."""
    if measurements.empty:
        raise UnmeasurableError("No sequence of a training subject could be measured: check the subject split.")
    spread = (1.4826 * measurements.abs().median()).fillna(1.0).clip(lower=SMALLEST_SPREAD)
    usual = Rules(dict(spread), (0.0,) * len(EXPRESSIONS))
    scores = usual.scores(measurements)
    rules = _decided_by(None, usual, scores, balanced)
    for _ in range(options.self_training):
        decided = rules.emotions(scores).to_numpy().argmax(axis=1)
        if np.bincount(decided, minlength=len(EXPRESSIONS)).min() < FEWEST:
            return rules
        rules = _decided_by(_discriminant(scores, decided), usual, scores, balanced)
    return rules


def _decided_by(
    discriminant: LinearDiscriminantAnalysis | None, usual: Rules, scores: pd.DataFrame, balanced: bool
) -> Rules:
    """The rules with another discriminant, class-balanced over the training sequences on request."""
    logits = _logits(scores, discriminant)
    offsets = balancing_offsets(logits, temperature=1.0) if balanced else np.zeros(len(EXPRESSIONS))
    return Rules(usual.spread, tuple(offsets.tolist()), discriminant)


def _discriminant(scores: pd.DataFrame, decided: Float[np.ndarray, " sequences"]) -> LinearDiscriminantAnalysis:
    """Fisher's linear discriminant with Ledoit and Wolf's shrinkage, all emotions equally likely."""
    uniform = np.full(len(EXPRESSIONS), 1 / len(EXPRESSIONS))
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=uniform).fit(scores.to_numpy(), decided)


def _logits(scores: pd.DataFrame, discriminant: LinearDiscriminantAnalysis | None) -> np.ndarray:
    if discriminant is None:
        return prototype_scores(scores).to_numpy() / TEMPERATURE
    return np.asarray(discriminant.decision_function(scores.to_numpy()))


def label_by_geometry(
    scan_manifest: pd.DataFrame, train_subjects: Sequence[str], options: PseudoLabelOptions
) -> pd.DataFrame:
    """``PSEUDO_LABEL_COLUMNS`` of every measurable sequence, with the margin over the second emotion for confidence.

    Sequences without usable landmarks in the neutral and one more frame have none, nor have single scans of subjects
    whose neutral face is unknown.

    Args:
        scan_manifest: One row a scan: ``sequence``, ``subject``, ``frame``, ``landmarks`` (83 × 3 canonical mm as one
            list, or null).

    Raises:
        ValueError: If the table has a label column, or if no sequence, or none of a training subject, can be measured.
    """
    rules, scores = measured_by_rules(scan_manifest, train_subjects, options)
    return describe_patterns(scores, rules.emotions(scores), options)


def rule_probabilities(
    scan_manifest: pd.DataFrame, train_subjects: Sequence[str], options: PseudoLabelOptions
) -> pd.DataFrame:
    """Probability of each emotion in each measurable sequence (the index), by the rules; as above."""
    rules, scores = measured_by_rules(scan_manifest, train_subjects, options)
    return rules.emotions(scores)


def measured_by_rules(
    scan_manifest: pd.DataFrame, train_subjects: Sequence[str], options: PseudoLabelOptions
) -> tuple[Rules, pd.DataFrame]:
    """The rules fitted to training subjects, and every sequence's scores by them; arguments as above."""
    measurements = measure_sequences(scan_manifest)
    subjects = subject_of(scan_manifest)[measurements.index]
    train = measurements[subjects.isin(list(train_subjects)).to_numpy()]
    rules = fit_rules(train, options.geometry, options.balanced)
    return rules, rules.scores(measurements)


def balancing_offsets(
    scores: Float[np.ndarray, "rows columns"], temperature: float, steps: int = 100
) -> Float[np.ndarray, " columns"]:
    """Offset of each column, mean zero, that balances a soft assignment of the rows (Sinkhorn and Knopp 1967)."""
    logits = scores / temperature
    column_total = np.log(logits.shape[0] / logits.shape[1])
    columns = np.zeros(logits.shape[1])
    for _ in range(steps):
        rows = -logsumexp(logits + columns, axis=1, keepdims=True)
        columns = column_total - logsumexp(logits + rows, axis=0)
    return np.asarray((columns - columns.mean()) * temperature)


def measure_sequences(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Apex measurements, per eye distance, of every measurable sequence; an UnmeasurableError if there is none."""
    refuse_labels(scan_manifest.columns)
    neutral = neutral_faces(scan_manifest)
    sequences = {str(name): _measured(rows, neutral) for name, rows in scan_manifest.groupby("sequence", sort=False)}
    measured = {name: values for name, values in sequences.items() if values is not None}
    if not measured:
        raise UnmeasurableError(_unmeasurable_message(scan_manifest))
    _warn_without_neutral(sorted({*single_scans(scan_manifest)["subject"].astype(str)} - {*neutral}))
    return pd.DataFrame.from_dict(measured, orient="index", columns=list(MEASUREMENTS))


def subject_of(table: pd.DataFrame) -> pd.Series:
    """Subject of each sequence, by the sequence's name."""
    return table.drop_duplicates("sequence").set_index("sequence")["subject"]


def _measured(rows: pd.DataFrame, neutral_of: Mapping[str, FaceLandmarks]) -> pd.Series | None:
    """Apex measurements of one sequence; None where its neutral frame, or every other, has no usable landmarks."""
    ordered = rows.sort_values("frame")["landmarks"]
    if not is_tracked(ordered.iloc[0]):
        return None
    frames = [to_points(one) for one in ordered if is_tracked(one)]
    neutral = neutral_of.get(str(rows["subject"].iloc[0])) if len(rows) == 1 else None
    tracked = frames if neutral is None else [neutral, *frames]
    usable = [frame for frame in tracked if is_measurable(frame, tracked[0])]
    return measure_apex(np.stack(usable)) if len(usable) > 1 else None


def _warn_without_neutral(subjects: Sequence[str]) -> None:
    if subjects:
        warnings.warn(
            f"Of {len(subjects)} subjects with single scans, fewer than {MIN_SCANS} of these have landmarks. Their "
            "neutral face is unknown, and their single scans get no geometric pseudo-label: "
            f"{', '.join(subjects[:NAMED_SUBJECTS])}{' …' if len(subjects) > NAMED_SUBJECTS else ''}. More scans of "
            "them, of other expressions, would help.",
            stacklevel=3,
        )


def _unmeasurable_message(scan_manifest: pd.DataFrame) -> str:
    otherwise = (
        "train with labels (`kedro run --pipeline=train_affect`), or without any, by a pretrained model "
        "(`--params pseudo_labels.source=zero_shot,pseudo_labels.zero_shot.pretrained=openai`)."
    )
    if scan_manifest["landmarks"].map(is_tracked).any() and not scan_manifest["sequence"].duplicated().any():
        return (
            "Every sequence of this corpus is a single scan, and no subject's neutral face is known: geometric "
            f"pseudo-labels need {MIN_SCANS} scans with landmarks of a subject, of different expressions, for it. "
            f"Check that the column `subject` of the scan manifest names the subject, add the other scans, {otherwise}"
        )
    return (
        "No sequence has landmarks in its neutral frame and another: geometric pseudo-labels need them. Put the "
        "corpus's landmark files beside its scans, or install the landmark detector (`make setup`), and ingest again, "
        f"{otherwise}"
    )
