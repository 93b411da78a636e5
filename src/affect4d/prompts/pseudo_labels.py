"""Pseudo-labeled prompts from geometry: what a face did, said in words, without any label and without any network.

SMILE-VLM (arXiv 2506.01203) trains against text made without labels; this is its ``geometry`` source [ours]: landmarks
→ measurements against the sequence's own neutral frame → scores, each relative to what is usual among the training
subjects → facial actions in a coder's words → an emotion word where the pattern is typical of one emotion.

Labels are not merely unused: a table that has them is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import logsumexp

from affect4d.prompts.action_coding import action_scores, emotion_scores
from affect4d.prompts.action_measurement import MEASUREMENTS, apex_measurements, can_compare
from affect4d.prompts.compose import possible_prompts, sequence_generator
from affect4d.prompts.templates import ACTION_TEMPLATES, EMOTION_ACTION_TEMPLATES, fill
from affect4d.prompts.vocabulary import ACTION_PHRASES, vocabulary_of
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.landmarks import LANDMARK_COUNT

PSEUDO_PROMPT_COLUMNS = ("sequence", "prompt", "pseudo_label", "confidence", "source")
STILL = "still"
"""The pseudo-label of a sequence in which no action stands out."""
STILL_PROMPTS = ("a face at rest", "a still face", "a relaxed, neutral face", "a face without a clear movement")
SMALLEST_SPREAD = 0.002
"""Share of the eye distance (about 0.2 mm, a scanner's noise): nothing smaller counts as usual movement."""
ASSIGNMENT_TEMPERATURE = 0.1
"""Softness of the balanced assignment, in units of a cosine."""
NOT_TOGETHER: frozenset[frozenset[str]] = frozenset(
    frozenset(pair)
    for pair in (
        ("AU6", "AU7"),  # two names for a raised lower lid
        ("AU12", "AU15"),
        ("AU12", "AU18"),
        ("AU18", "AU20"),
        ("AU17", "AU25"),
        ("AU17", "AU26"),
        ("AU24", "AU25"),
        ("AU24", "AU26"),
    )
)
"""Actions one description does not name together: opposites, and two names for one movement."""


class PseudoPromptOptions(BaseModel):
    """How geometry is put into words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts_per_sequence: int = Field(default=8, ge=1, le=64, description="how many prompts a sequence draws from")
    seed: int = Field(default=0, ge=0, description="seed of the draw")
    action_threshold: float = Field(default=0.3, ge=0.0, le=1.0, description="score from which an action is named")
    most_actions: int = Field(default=4, ge=1, le=6, description="most actions a prompt names")
    confidence: float = Field(
        default=0.05, ge=0.0, le=1.0, description="lead over the second emotion that earns its word"
    )
    balanced: bool = Field(default=True, description="spread the training sequences evenly over the emotions")


@dataclass(frozen=True)
class ActionThresholds:
    """What is usual among the training subjects; fitted without labels.

    Attributes:
        spread: For each measurement, 1.4826 × the median, over sequences, of its absolute apex value (the median
            absolute deviation about *no movement*), in shares of the eye distance.
        emotion_offset: What balanced assignment adds to each emotion's score; zeros without.
    """

    spread: Mapping[str, float]
    emotion_offset: Mapping[str, float]

    def scores(self, measurements: pd.DataFrame) -> pd.DataFrame:
        """Measurements as scores, −1…1: tanh(x / (2 spread)); an untracked measurement scores 0."""
        spread = np.array([self.spread[name] for name in MEASUREMENTS])
        values = np.nan_to_num(np.tanh(measurements[list(MEASUREMENTS)].to_numpy() / spread / 2))
        return pd.DataFrame(values, index=measurements.index, columns=list(MEASUREMENTS))


def write_pseudo_prompts(
    scan_manifest: pd.DataFrame, train_subjects: Sequence[str], options: PseudoPromptOptions
) -> pd.DataFrame:
    """Say in words, for every sequence, what its face did.

    Args:
        scan_manifest: One row a scan: ``sequence``, ``subject``, ``frame``, ``landmarks`` (83 × 3 canonical mm as one
            list, or null). It must not hold labels.
        train_subjects: Subjects from whom "usual" is learnt; the words are written for all subjects.
        options: How many prompts, and how sure to be.

    Returns:
        One row a prompt: ``sequence``, ``prompt``, ``pseudo_label`` (an expression where the pattern is typical, else
        the named actions, as in "AU1+AU4"), ``confidence`` (lead of the best emotion over the second, 0…1), ``source``
        ("geometry"). Sequences without usable landmarks in the neutral and one more frame have no row;
        ``attrs["unmeasured"]`` lists them.

    Raises:
        ValueError: If the table has a label column, or if no sequence, or none of a training subject, can be measured.
    """
    measurements = measure_sequences(scan_manifest)
    subjects = scan_manifest.drop_duplicates("sequence").set_index("sequence")["subject"]
    train = measurements[subjects[measurements.index].isin(list(train_subjects)).to_numpy()]
    labels = pseudo_labels(measurements, fit_to_measurements(train, options.balanced), options)
    rows = [
        (row.sequence, prompt, row.pseudo_label, row.confidence, "geometry")
        for row in labels.itertuples()
        for prompt in _prompts_of(row, options)
    ]
    table = pd.DataFrame(rows, columns=list(PSEUDO_PROMPT_COLUMNS))
    table.attrs["unmeasured"] = [name for name in subjects.index if name not in measurements.index]
    return table


def rule_scores(
    scan_manifest: pd.DataFrame, train_subjects: Sequence[str], options: PseudoPromptOptions
) -> pd.DataFrame:
    """How well each sequence fits the pattern of each emotion: what the rules say before anything is put into words.

    Args:
        scan_manifest: As for :func:`write_pseudo_prompts`; no labels.
        train_subjects: Subjects from whom "usual" is learnt.
        options: Whether assignment is balanced.

    Returns:
        One row a measurable sequence (the index), one column an emotion.

    Raises:
        ValueError: As :func:`write_pseudo_prompts`.
    """
    measurements = measure_sequences(scan_manifest)
    subjects = scan_manifest.drop_duplicates("sequence").set_index("sequence")["subject"]
    train = measurements[subjects[measurements.index].isin(list(train_subjects)).to_numpy()]
    thresholds = fit_to_measurements(train, options.balanced)
    return emotion_scores(thresholds.scores(measurements)) + pd.Series(thresholds.emotion_offset)


def fit_thresholds(manifest_train: pd.DataFrame, balanced: bool = True) -> ActionThresholds:
    """Learn what is usual from the training subjects' scans, without labels.

    Args:
        manifest_train: As for :func:`write_pseudo_prompts`, training subjects only.
        balanced: Also fit the offsets of a balanced assignment (Sinkhorn): no emotion swallows the others. It assumes
            that the corpus shows all six about equally often, as posed corpora do.

    Raises:
        ValueError: As :func:`measure_sequences`.
    """
    return fit_to_measurements(measure_sequences(manifest_train), balanced)


def fit_to_measurements(measurements: pd.DataFrame, balanced: bool = True) -> ActionThresholds:
    """:func:`fit_thresholds` for sequences that are measured already.

    Raises:
        ValueError: If there is no sequence.
    """
    if measurements.empty:
        raise ValueError("No sequence of a training subject could be measured: check the subject split.")
    spread = (1.4826 * measurements.abs().median()).fillna(1.0).clip(lower=SMALLEST_SPREAD)
    free = ActionThresholds(dict(spread), dict.fromkeys(EXPRESSIONS, 0.0))
    if not balanced:
        return free
    offsets = balancing_offsets(emotion_scores(free.scores(measurements)).to_numpy(), ASSIGNMENT_TEMPERATURE)
    return ActionThresholds(free.spread, dict(zip(EXPRESSIONS, offsets.tolist(), strict=True)))


def measure_sequences(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Apex measurements of every sequence whose landmarks allow it.

    Returns:
        One row a sequence (the index), one column a name of ``MEASUREMENTS``, in shares of the eye distance.

    Raises:
        ValueError: If the table has a label column, or if no sequence has landmarks in its neutral and another frame.
    """
    if "expression" in scan_manifest.columns:
        raise ValueError(
            "Pseudo-labels are made without labels: this table has an 'expression' column. "
            "Hand over sequence, subject, frame and landmarks only."
        )
    sequences = {str(name): _measured(rows) for name, rows in scan_manifest.groupby("sequence", sort=False)}
    measured = {name: values for name, values in sequences.items() if values is not None}
    if not measured:
        raise ValueError(
            "No sequence has landmarks in its neutral frame and another: geometric pseudo-labels need them. Put the "
            "corpus's landmark files beside its scans and ingest again, or choose another source of pseudo-labels."
        )
    return pd.DataFrame.from_dict(measured, orient="index", columns=list(MEASUREMENTS))


def pseudo_labels(
    measurements: pd.DataFrame, thresholds: ActionThresholds, options: PseudoPromptOptions
) -> pd.DataFrame:
    """Name the actions of every sequence, and the emotion they are typical of.

    Returns:
        One row a sequence: ``sequence``, ``pseudo_label``, ``confidence``, ``emotion`` ("" where the pattern is not
        typical of one) and ``actions`` (names, strongest first).
    """
    scores = thresholds.scores(measurements)
    emotions = emotion_scores(scores) + pd.Series(thresholds.emotion_offset)
    ordered = np.sort(emotions.to_numpy(), axis=1)
    confidence = np.clip(ordered[:, -1] - ordered[:, -2], 0.0, 1.0)
    actions = [named_actions(row, options) for _, row in action_scores(scores).iterrows()]
    typical = [bool(lead >= options.confidence and named) for lead, named in zip(confidence, actions, strict=True)]
    emotion = np.where(typical, emotions.idxmax(axis=1), "")
    patterns = ["+".join(sorted(named, key=_unit_number)) or STILL for named in actions]
    return pd.DataFrame(
        {
            "sequence": measurements.index,
            "pseudo_label": np.where(typical, emotion, patterns),
            "confidence": confidence,
            "emotion": emotion,
            "actions": actions,
        }
    )


def named_actions(scores: pd.Series, options: PseudoPromptOptions) -> tuple[str, ...]:
    """The actions strong enough to name, strongest first, without opposites and without two names for one movement.

    Where none reaches the threshold, the strongest is named from half of it.
    """
    enough = min(options.action_threshold, max(scores.max(), options.action_threshold / 2))
    named: list[str] = []
    for action in scores[(scores >= enough) & (scores > 0)].sort_values(ascending=False, kind="stable").index:
        if not any(frozenset((action, other)) in NOT_TOGETHER for other in named):
            named.append(str(action))
    return tuple(named[: options.most_actions])


def balancing_offsets(scores: np.ndarray, temperature: float, steps: int = 100) -> np.ndarray:
    """What to add to each column so that a soft assignment of the rows fills all columns evenly.

    Sinkhorn and Knopp (1967), in logarithms.

    Args:
        scores: [rows, columns].
        temperature: Softness of the assignment, in the scores' own unit.
        steps: Rounds of row and column normalisation.

    Returns:
        One offset a column, mean zero.
    """
    logits = scores / temperature
    share = np.log(logits.shape[0] / logits.shape[1])
    columns = np.zeros(logits.shape[1])
    for _ in range(steps):
        rows = -logsumexp(logits + columns, axis=1, keepdims=True)
        columns = share - logsumexp(logits + rows, axis=0)
    return np.asarray((columns - columns.mean()) * temperature)


def _measured(rows: pd.DataFrame) -> pd.Series | None:
    """Apex measurements of one sequence; None where its neutral frame, or every other, has no usable landmarks."""
    ordered = rows.sort_values("frame")["landmarks"]
    tracked = [np.asarray(one, float).reshape(LANDMARK_COUNT, 3) for one in ordered if _is_tracked(one)]
    if len(tracked) < 2 or not _is_tracked(ordered.iloc[0]):
        return None
    usable = [frame for frame in tracked if can_compare(frame, tracked[0])]
    return apex_measurements(np.stack(usable)) if len(usable) > 1 else None


def _is_tracked(landmarks: object) -> bool:
    return isinstance(landmarks, list | tuple | np.ndarray) and len(landmarks) > 0


def _unit_number(action: str) -> int:
    return int(action.removeprefix("AU"))


def _prompts_of(row: Any, options: PseudoPromptOptions) -> list[str]:
    """Prompts of one row of :func:`pseudo_labels`: half about the emotion, where there is one, half about actions."""
    rng = sequence_generator(options.seed, row.sequence)
    about_actions: list[str] = rng.permutation(_action_prompts(row.emotion, row.actions)).tolist()
    if not row.emotion:
        return about_actions[: options.prompts_per_sequence]
    about_emotion: list[str] = rng.permutation(possible_prompts(row.emotion)).tolist()
    half = options.prompts_per_sequence // 2
    return [*about_emotion[: options.prompts_per_sequence - half], *about_actions[:half]]


def _action_prompts(emotion: str, actions: tuple[str, ...]) -> list[str]:
    """Every sentence about these actions, each once; with words of the emotion where they are typical of one."""
    if not actions:
        return list(STILL_PROMPTS)
    words: dict[str, str] = {}
    if emotion:
        own = vocabulary_of(emotion)
        words = {"adjective": own.adjectives[0], "noun": own.nouns[0], "action": own.actions[0]}
    templates = (*ACTION_TEMPLATES, *(EMOTION_ACTION_TEMPLATES if emotion else ()))
    listings = _listings(actions)
    return [fill(template, {**words, "phrases": phrases}) for template in templates for phrases in listings]


def _listings(actions: tuple[str, ...]) -> list[str]:
    """The actions in words: all of them, and every pair; in a coder's first and second wording."""
    brows = ("AU1", "AU2")
    merged = tuple(dict.fromkeys("AU1+2" if set(brows) <= set(actions) and one in brows else one for one in actions))
    choices = [merged, *combinations(merged, 2)] if len(merged) > 2 else [merged]
    return [", ".join(ACTION_PHRASES[one][wording] for one in choice) for choice in choices for wording in (0, 1)]
