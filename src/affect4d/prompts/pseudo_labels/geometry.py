"""The source ``geometry``: what a face did, read off its landmarks, without any label and without any network.

Landmarks → measurements against the sequence's own neutral frame, or, of a scan that is alone in its sequence, against
that person's face at rest (:mod:`~.at_rest`) → scores, each relative to what is usual among the training subjects →
facial actions in a coder's words → an emotion's word where the pattern is typical of one. [ours]

Labels are not merely unused: a table that has them is refused.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from affect4d.prompts.action_measurement import MEASUREMENTS, apex_measurements, can_compare
from affect4d.prompts.pseudo_labels.at_rest import (
    FEWEST_SCANS,
    Points,
    faces_at_rest,
    is_tracked,
    points_of,
    single_scans,
)
from affect4d.prompts.pseudo_labels.naming import name_patterns
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.prompts.pseudo_labels.rules import Rules, fit_rules

UNLABELLED = ("sequence", "subject", "frame", "landmarks")
"""What of a scan manifest a source may see."""
LABELS = ("expression", "label")
"""Columns that no source may see."""
NAMED = 10
"""People a warning names."""


class UnmeasurableError(ValueError):
    """No sequence of a corpus can be measured; the message says why, and what helps."""


def geometric_findings(
    scan_manifest: pd.DataFrame, train_subjects: Sequence[str], options: PseudoLabelOptions
) -> pd.DataFrame:
    """What the face of every measurable sequence did.

    Args:
        scan_manifest: One row a scan: ``sequence``, ``subject``, ``frame``, ``landmarks`` (83 × 3 canonical mm as one
            list, or null). It must not hold labels.
        train_subjects: Subjects from whom the rules learn; findings are of all subjects.
        options: How to name.

    Returns:
        One row a sequence: :data:`affect4d.prompts.pseudo_labels.FINDING_COLUMNS`; confidence is the lead of the best
        emotion's share over the second. Sequences without usable landmarks in the neutral and one more frame have none,
        nor have single scans of people whose face at rest is unknown.

    Raises:
        ValueError: If the table has a label column, or if no sequence, or none of a training subject, can be measured.
    """
    rules, scores = measured_by_rules(scan_manifest, train_subjects, options)
    return name_patterns(scores, rules.emotions(scores), options)


def rule_scores(
    scan_manifest: pd.DataFrame, train_subjects: Sequence[str], options: PseudoLabelOptions
) -> pd.DataFrame:
    """Share of each emotion in each sequence: what the rules say before anything is put into words.

    Returns:
        One row a measurable sequence (the index), one column an emotion; rows sum to one.

    Raises:
        ValueError: As :func:`geometric_findings`.
    """
    rules, scores = measured_by_rules(scan_manifest, train_subjects, options)
    return rules.emotions(scores)


def measured_by_rules(
    scan_manifest: pd.DataFrame, train_subjects: Sequence[str], options: PseudoLabelOptions
) -> tuple[Rules, pd.DataFrame]:
    """The rules fitted on training subjects, and every sequence's scores by them; arguments as above."""
    measurements = measure_sequences(scan_manifest)
    subjects = subject_of(scan_manifest)[measurements.index]
    train = measurements[subjects.isin(list(train_subjects)).to_numpy()]
    rules = fit_rules(train, options.geometry, options.balanced)
    return rules, rules.scores(measurements)


def measure_sequences(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Apex measurements of every sequence whose landmarks allow it.

    Returns:
        One row a sequence (the index), one column a name of ``MEASUREMENTS``, in shares of the eye distance. Warns of
        people whose single scans are too few to measure, by name.

    Raises:
        ValueError: If the table has a label column.
        UnmeasurableError: If no sequence can be measured.
    """
    refuse_labels(scan_manifest)
    at_rest = faces_at_rest(scan_manifest)
    sequences = {str(name): _measured(rows, at_rest) for name, rows in scan_manifest.groupby("sequence", sort=False)}
    measured = {name: values for name, values in sequences.items() if values is not None}
    if not measured:
        raise UnmeasurableError(_why_none(scan_manifest))
    _warn_of_unknown_rest(sorted({*single_scans(scan_manifest)["subject"].astype(str)} - {*at_rest}))
    return pd.DataFrame.from_dict(measured, orient="index", columns=list(MEASUREMENTS))


def subject_of(table: pd.DataFrame) -> pd.Series:
    """Subject of each sequence, by the sequence's name."""
    return table.drop_duplicates("sequence").set_index("sequence")["subject"]


def refuse_labels(table: pd.DataFrame) -> None:
    """Pseudo-labels are made without labels.

    Raises:
        ValueError: If the table has a label column; the message names it.
    """
    found = [name for name in LABELS if name in table.columns]
    if found:
        raise ValueError(
            f"Pseudo-labels are made without labels: this table has a column {found[0]!r}. "
            "Hand over the table without it."
        )


def _measured(rows: pd.DataFrame, at_rest: Mapping[str, Points]) -> pd.Series | None:
    """Apex measurements of one sequence; None where its neutral frame, or every other, has no usable landmarks."""
    ordered = rows.sort_values("frame")["landmarks"]
    if not is_tracked(ordered.iloc[0]):
        return None
    frames = [points_of(one) for one in ordered if is_tracked(one)]
    rest = at_rest.get(str(rows["subject"].iloc[0])) if len(rows) == 1 else None
    tracked = frames if rest is None else [rest, *frames]
    usable = [frame for frame in tracked if can_compare(frame, tracked[0])]
    return apex_measurements(np.stack(usable)) if len(usable) > 1 else None


def _warn_of_unknown_rest(people: Sequence[str]) -> None:
    if people:
        warnings.warn(
            f"Of {len(people)} people with single scans, fewer than {FEWEST_SCANS} of these have landmarks. Their face "
            f"at rest is unknown, and their single scans get no geometric pseudo-label: {', '.join(people[:NAMED])}"
            f"{' …' if len(people) > NAMED else ''}. More scans of them, of other expressions, would help.",
            stacklevel=3,
        )


def _why_none(scan_manifest: pd.DataFrame) -> str:
    """Why no sequence could be measured, and what helps."""
    otherwise = (
        "train with labels (`kedro run --pipeline=train_affect`), or without any, by a pretrained model "
        "(`--params pseudo_labels.source=zero_shot,pseudo_labels.zero_shot.pretrained=openai`)."
    )
    if scan_manifest["landmarks"].map(is_tracked).any() and not scan_manifest["sequence"].duplicated().any():
        return (
            "Every sequence of this corpus is a single scan, and nobody's face at rest is known: geometric "
            f"pseudo-labels need {FEWEST_SCANS} scans with landmarks of a person, of different expressions, for it. "
            f"Check that the column `subject` of the scan manifest names the person, add the other scans, {otherwise}"
        )
    return (
        "No sequence has landmarks in its neutral frame and another: geometric pseudo-labels need them. Put the "
        f"corpus's landmark files beside its scans and ingest again, {otherwise}"
    )
