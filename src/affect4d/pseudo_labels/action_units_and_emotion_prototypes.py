"""Action units (AUs) of a movement, and the emotion they are typical of.

No number here was fitted to a corpus: the effects are the appearance changes of the Facial Action Coding System (Ekman,
Friesen and Hager 2002), coarsened to 1 (defining) and ½ or ¼ (usual); the emotions are EMFACS's prototypes. [ours]
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.optimize import nnls

from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.scans.expression import EXPRESSIONS

ACTION_UNIT_EFFECTS: Mapping[str, Mapping[str, float]] = {
    "AU1": {"inner_brow_raise": 1, "outer_brow_raise": 0.25},
    "AU2": {"outer_brow_raise": 1, "inner_brow_raise": 0.5},
    "AU4": {"brow_gathering": 1, "inner_brow_raise": -0.5, "outer_brow_raise": -0.25},
    "AU5": {"upper_lid_raise": 1, "eye_opening": 1},
    "AU6": {"lower_lid_raise": 1, "eye_opening": -0.5},
    "AU7": {"lower_lid_raise": 1, "eye_opening": -1},
    "AU9": {"nose_wing_raise": 1, "upper_lip_raise": 0.5, "inner_brow_raise": -0.5},
    "AU10": {"upper_lip_raise": 1, "nose_wing_raise": 0.5, "nose_widening": 0.5, "lip_parting": 0.5},
    "AU12": {"lip_corner_raise": 1, "mouth_widening": 1, "lip_corner_pull_back": 0.5, "nose_widening": 0.5},
    "AU15": {"lip_corner_raise": -1},
    "AU16": {"lower_lip_lowering": 0.5, "lip_parting": 0.5},
    "AU17": {"jaw_drop": -1, "lower_lip_lowering": -1, "lip_parting": -0.5},
    "AU18": {"mouth_widening": -1, "lip_protrusion": 1, "lip_corner_pull_back": -0.5},
    "AU20": {"mouth_widening": 1, "lip_corner_pull_back": 0.5, "lip_corner_raise": -0.25},
    "AU24": {"upper_lip_thinning": 1, "lower_lip_thinning": 1},
    "AU25": {"lip_parting": 0.5, "lower_lip_lowering": 0.25},
    "AU26": {"jaw_drop": 1, "lip_parting": 1, "lower_lip_lowering": 1, "lip_corner_raise": -0.5},
}
"""AU → its effect on the measurements of :mod:`affect4d.pseudo_labels.landmark_movement`."""

BLENDSHAPE_EFFECTS: Mapping[str, Mapping[str, float]] = {
    "AU1": {"browInnerUp": 1},
    "AU2": {"browOuterUp": 1},
    "AU4": {"browDown": 1, "browOuterUp": -0.25},
    "AU5": {"eyeWide": 1, "eyeBlink": -0.5},
    "AU6": {"cheekSquint": 1, "eyeSquint": 0.5},
    "AU7": {"eyeSquint": 1, "eyeBlink": 0.25},
    "AU9": {"noseSneer": 1, "mouthUpperUp": 0.25},
    "AU10": {"mouthUpperUp": 1},
    "AU12": {"mouthSmile": 1},
    "AU15": {"mouthFrown": 1},
    "AU16": {"mouthLowerDown": 1},
    "AU17": {"mouthShrugLower": 1, "mouthShrugUpper": 0.25},
    "AU18": {"mouthPucker": 1},
    "AU20": {"mouthStretch": 1},
    "AU24": {"mouthPress": 1, "mouthRollLower": 0.5, "mouthRollUpper": 0.5},
    "AU25": {"mouthLowerDown": 0.75, "mouthUpperUp": 0.5},
    "AU26": {"jawOpen": 1},
}
"""AU → its effect on ARKit's blendshapes, left and right as one: the correspondences of M. Ozel's table "ARKit to FACS"
(melindaozel.com), with the sizes of :data:`ACTION_UNIT_EFFECTS`; none was fitted."""

EMOTION_ACTION_UNITS: Mapping[str, Mapping[str, float]] = {
    "anger": {"AU4": 1, "AU5": 1, "AU7": 1, "AU24": 1},
    "disgust": {"AU9": 1, "AU10": 0.5, "AU15": 1, "AU16": 0.5, "AU17": 0.5},
    "fear": {"AU1": 1, "AU2": 1, "AU4": 1, "AU5": 1, "AU7": 0.5, "AU20": 1, "AU26": 1},
    "happiness": {"AU6": 1, "AU12": 1, "AU25": 0.5},
    "sadness": {"AU1": 1, "AU4": 1, "AU15": 1, "AU17": 0.5},
    "surprise": {"AU1": 1, "AU2": 1, "AU5": 1, "AU26": 1},
}
"""Emotion → its AUs, after EMFACS: 1 where the table lists the AU, ½ where in brackets or as one of two."""

_PROTOTYPES = np.array(
    [[EMOTION_ACTION_UNITS[name].get(unit, 0.0) for unit in ACTION_UNIT_EFFECTS] for name in EXPRESSIONS]
)
"""[expressions, AUs]"""

SPARSITY = 0.05  # penalty on the sum of AUs, against squared scores left unexplained

PSEUDO_LABEL_COLUMNS = ("sequence", "pseudo_label", "confidence", "emotion", "action_units")
"""Sequence; an emotion or a pattern ("AU1+AU4"); confidence, 0…1; emotion ("": none); AUs, the strongest first."""

STILL = "still"  # pseudo-label of a sequence without a distinct AU
EXCLUSIVE: frozenset[frozenset[str]] = frozenset(
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
"""AUs that no description names together: opposites, and two names for one movement."""


def _effects(measurements: pd.Index) -> Float[np.ndarray, "units measurements"]:
    """Effect of every AU on measurements of landmarks, or of blendshapes."""
    tables = ({**ACTION_UNIT_EFFECTS[unit], **BLENDSHAPE_EFFECTS[unit]} for unit in ACTION_UNIT_EFFECTS)
    return np.array([[effects.get(str(name), 0.0) for name in measurements] for effects in tables])


def top_margin(scores: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " rows"]:
    """Best score of each row minus its second best, at most 1."""
    ordered = np.sort(scores, axis=1)
    return np.asarray(np.clip(ordered[:, -1] - ordered[:, -2], 0.0, 1.0))


def action_unit_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """The fewest, weakest AUs that together explain the movement: 0 (not needed) … 1 (fully shown); one column an AU.

    Non-negative least squares over the effects of all AUs, with a penalty on their sum: a lip lifted by a wrinkled
    nose is not also called a raised lip (Lawson and Hanson 1974, chapter 23, with one penalty row). ``scores`` have one
    row a sequence, one column a measurement, each −1…1.
    """
    effects = _effects(scores.columns)
    system = np.vstack([effects.T, np.full((1, len(effects)), SPARSITY**0.5)])
    moved = np.pad(scores.to_numpy(), ((0, 0), (0, 1)))
    values = np.array([nnls(system, row)[0] for row in moved]).reshape(-1, len(effects))
    return pd.DataFrame(values.clip(max=1.0), index=scores.index, columns=list(ACTION_UNIT_EFFECTS))


def prototype_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Cosine between the movement and that of each emotion's prototype, −1…1; 0 where nothing moved."""
    moved, templates = scores.to_numpy(), _PROTOTYPES @ _effects(scores.columns)
    lengths = np.outer(np.linalg.norm(moved, axis=1), np.linalg.norm(templates, axis=1))
    values = moved @ templates.T / np.maximum(lengths, 1e-12)
    return pd.DataFrame(values, index=scores.index, columns=list(EXPRESSIONS))


def describe_patterns(scores: pd.DataFrame, emotions: pd.DataFrame, options: PseudoLabelOptions) -> pd.DataFrame:
    """``PSEUDO_LABEL_COLUMNS`` of every movement (scores of its measurements, −1…1) and its fit to each emotion."""
    confidence = top_margin(emotions.to_numpy())
    units = [named_units(row, options) for _, row in action_unit_scores(scores).iterrows()]
    typical = [bool(margin > options.confidence and named) for margin, named in zip(confidence, units, strict=True)]
    emotion = np.where(typical, emotions.idxmax(axis=1), "")
    patterns = ["+".join(sorted(named, key=lambda unit: int(unit.removeprefix("AU")))) or STILL for named in units]
    return pd.DataFrame(
        {
            "sequence": scores.index,
            "pseudo_label": np.where(typical, emotion, patterns),
            "confidence": confidence,
            "emotion": emotion,
            "action_units": units,
        }
    )


def named_units(scores: pd.Series, options: PseudoLabelOptions) -> tuple[str, ...]:
    """AUs above the threshold (half of it, where none is), strongest first, without :data:`EXCLUSIVE` pairs."""
    enough = min(options.action_threshold, max(scores.max(), options.action_threshold / 2))
    named: list[str] = []
    for unit in scores[(scores >= enough) & (scores > 0)].sort_values(ascending=False, kind="stable").index:
        if not any(frozenset((unit, other)) in EXCLUSIVE for other in named):
            named.append(str(unit))
    return tuple(named[: options.most_actions])
