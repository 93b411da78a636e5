"""Pseudo-labels by rules: measurements, scores, action units, and the emotion they are typical of.

Landmarks are measured or, as another author's measurement that learnt from real people, a detector's blendshape scores.
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
from affect4d.pseudo_labels.action_units_and_emotion_prototypes import (
    BLENDSHAPE_EFFECTS,
    describe_patterns,
    prototype_scores,
)
from affect4d.pseudo_labels.landmark_movement import (
    APEX_FRACTION,
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
SMALLEST_CHANGE = 0.02  # of a blendshape score: the least usual movement
TEMPERATURE = 0.1  # divisor of cosines with the prototypes before the softmax
FEWEST = 5  # training sequences of every emotion that a discriminant needs; with fewer, the prototypes decide
NAMED_SUBJECTS = 10  # most subjects that a warning names

ScoreTrack = Float[np.ndarray, "frames blendshapes"]
BLENDSHAPE_MEASUREMENTS: tuple[str, ...] = tuple(sorted({name for one in BLENDSHAPE_EFFECTS.values() for name in one}))
"""Blendshapes that action units have an effect on; of a left and a right one, their mean."""


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
        names, spread = list(self.spread), np.array(list(self.spread.values()))
        values = np.nan_to_num(np.tanh(measurements[names].to_numpy() / spread / 2))
        return pd.DataFrame(values, index=measurements.index, columns=names)

    def emotions(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Probability of each emotion, one row a row of scores; uniform where nothing moved."""
        probabilities = softmax(_logits(scores, self.discriminant) + np.array(self.offsets), axis=1)
        probabilities[~scores.to_numpy().any(axis=1)] = 1 / len(EXPRESSIONS)
        return pd.DataFrame(probabilities, index=scores.index, columns=list(EXPRESSIONS))


def fit_rules(
    measurements: pd.DataFrame, options: GeometryOptions, balanced: bool, least: float = SMALLEST_SPREAD
) -> Rules:
    """Rules fitted to training subjects' measurements, without labels; ``balanced``: six equally frequent emotions.

    ``least`` is the smallest spread, in the unit of the measurements.
    """
    if measurements.empty:
        raise UnmeasurableError("No sequence of a training subject could be measured: check the subject split.")
    spread = (1.4826 * measurements.abs().median()).fillna(1.0).clip(lower=least)
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


def measured_by_blendshapes(
    scores: pd.DataFrame, subjects: pd.Series, train_subjects: Sequence[str], options: PseudoLabelOptions
) -> tuple[Rules, pd.DataFrame]:
    """The rules on blendshape scores instead of landmarks; UnmeasurableError if no sequence has any."""
    measurements = measure_blendshapes(scores, subjects)
    if measurements.empty:
        raise UnmeasurableError(
            "The detector found no face in the neutral and another frame of any sequence: check the poses in the page "
            "of the ingest, or take another source of pseudo-labels (pseudo_labels.source)."
        )
    train = measurements[subjects[measurements.index].isin(list(train_subjects)).to_numpy()]
    rules = fit_rules(train, options.geometry, options.balanced, SMALLEST_CHANGE)
    return rules, rules.scores(measurements)


def measure_blendshapes(scores: pd.DataFrame, subjects: pd.Series) -> pd.DataFrame:
    """Apex change of every sequence's scores since neutral; columns ``BLENDSHAPE_MEASUREMENTS``.

    A sequence is measured against its first frame, a single scan against the median of its subject's single scans.
    Sequences without a score in the neutral and another frame, and single scans of subjects with fewer than
    ``MIN_SCANS``, have no row.

    Args:
        scores: One row a frame: ``sequence``, ``frame``, and the columns of
            :data:`affect4d.scans.alignment.face_landmarker.BLENDSHAPES`, 0…1 or NaN.
        subjects: Subject of each sequence.
    """
    sides = {
        name: [column for column in (f"{name}Left", f"{name}Right", name) if column in scores]
        for name in BLENDSHAPE_MEASUREMENTS
    }
    frames = pd.DataFrame({name: scores[columns].mean(axis=1) for name, columns in sides.items()})
    frames.index = pd.MultiIndex.from_frame(scores[["sequence", "frame"]])
    ordered = frames.sort_index()
    neutral_of = _neutral_scores(ordered, subjects)
    tracks = {str(name): rows.to_numpy() for name, rows in ordered.groupby(level=0)}
    found = {name: _apex_change(track, neutral_of.get(str(subjects[name]))) for name, track in tracks.items()}
    measured = {name: values for name, values in found.items() if values is not None}
    return pd.DataFrame.from_dict(measured, orient="index", columns=list(BLENDSHAPE_MEASUREMENTS))


def _neutral_scores(frames: pd.DataFrame, subjects: pd.Series) -> dict[str, np.ndarray]:
    """Median scores of every subject with enough single scans that show a face."""
    names = frames.index.get_level_values(0)
    single = frames[~names.duplicated(keep=False)].dropna()
    owners = subjects[single.index.get_level_values(0)].to_numpy()
    return {str(owner): rows.median().to_numpy() for owner, rows in single.groupby(owners) if len(rows) >= MIN_SCANS}


def _apex_change(track: ScoreTrack, neutral: np.ndarray | None) -> np.ndarray | None:
    """Median change over the frames that moved most, a blink left aside; None where nothing can be compared."""
    if len(track) > 1:
        neutral = track[0]
    if neutral is None or np.isnan(neutral).any():
        return None
    moved = track[1:] - neutral if len(track) > 1 else track - neutral
    moved = moved[~np.isnan(moved).any(axis=1)]
    if not len(moved):
        return None
    distance = np.linalg.norm(moved, axis=1)
    enough = APEX_FRACTION * np.sort(distance)[-2:][0]
    return np.asarray(np.median(moved[distance >= enough], axis=0))


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
