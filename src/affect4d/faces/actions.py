"""Facial actions (FACS), and how one person shows an expression with them.

The emotion tables follow the EMFACS convention; that people differ in the actions they show for one emotion (an action
counts as typical when most people show it) follows Du, Tao and Martinez, "Compound facial expressions of emotion",
PNAS 2014.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field

from affect4d.scans.expression import EXPRESSIONS

SIDED: tuple[str, ...] = (
    "AU1",  # inner brow raiser
    "AU2",  # outer brow raiser
    "AU4",  # brow lowerer
    "AU5",  # upper lid raiser
    "AU6",  # cheek raiser
    "AU7",  # lid tightener
    "AU9",  # nose wrinkler
    "AU10",  # upper lip raiser
    "AU12",  # lip corner puller
    "AU14",  # dimpler
    "AU15",  # lip corner depressor
    "AU16",  # lower lip depressor
    "AU20",  # lip stretcher
    "AU45",  # blink
)
"""Actions with a left and a right half."""
CENTRAL: tuple[str, ...] = (
    "AU17",  # chin raiser
    "AU18",  # lip pucker
    "AU23",  # lip tightener
    "AU24",  # lip presser
    "AU25",  # lips part
    "AU26",  # jaw drop
    "gaze_left",  # signed: the eyes turn to the subject's left
    "gaze_up",  # signed
)
ACTIONS: tuple[str, ...] = (*(f"{action}_{side}" for action in SIDED for side in "LR"), *CENTRAL)
"""Column order of every array of action weights; ``_L`` is the subject's left."""

Weights = Float64[np.ndarray, " actions"]
ActionTrack = Float64[np.ndarray, "frames actions"]

TYPICAL: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "anger": MappingProxyType({"AU4": 1.0, "AU5": 0.5, "AU7": 0.8, "AU23": 0.6, "AU24": 0.8}),
        "disgust": MappingProxyType({"AU9": 0.9, "AU10": 0.7, "AU4": 0.4, "AU15": 0.35, "AU16": 0.4, "AU17": 0.35}),
        "fear": MappingProxyType(
            {"AU1": 0.9, "AU2": 0.5, "AU4": 0.6, "AU5": 0.9, "AU20": 0.9, "AU25": 0.6, "AU26": 0.3}
        ),
        "happiness": MappingProxyType({"AU6": 0.8, "AU12": 1.0, "AU25": 0.7}),
        "sadness": MappingProxyType({"AU1": 0.9, "AU4": 0.6, "AU15": 1.0, "AU17": 0.7}),
        "surprise": MappingProxyType({"AU1": 0.9, "AU2": 1.0, "AU5": 0.7, "AU25": 0.5, "AU26": 0.8}),
    }
)
"""Actions most people show, with their usual strength at full intensity."""

OCCASIONAL: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "anger": MappingProxyType({"AU9": 0.4, "AU10": 0.4, "AU17": 0.5, "AU25": 0.5, "AU15": 0.4}),
        "disgust": MappingProxyType({"AU6": 0.4, "AU7": 0.6, "AU25": 0.6, "AU26": 0.3, "AU24": 0.3}),
        "fear": MappingProxyType({"AU7": 0.5, "AU15": 0.4, "AU16": 0.4, "AU12": 0.25}),
        "happiness": MappingProxyType({"AU7": 0.4, "AU26": 0.35, "AU2": 0.35, "AU14": 0.5, "AU5": 0.3}),
        "sadness": MappingProxyType({"AU6": 0.4, "AU7": 0.4, "AU20": 0.45, "AU25": 0.4, "AU24": 0.4}),
        "surprise": MappingProxyType({"AU4": 0.3, "AU20": 0.35, "AU12": 0.35, "AU10": 0.3}),
    }
)
"""Actions some people add; many are typical of another expression."""


class ActionOptions(BaseModel):
    """How much people differ in showing one expression."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    intensity_low: float = Field(
        default=0.45, ge=0.05, le=1.0, description="weakest apex, as a share of full intensity"
    )
    intensity_high: float = Field(default=0.9, ge=0.05, le=1.2, description="strongest apex")
    action_drop: float = Field(default=0.18, ge=0.0, le=0.9, description="chance that a person lacks a typical action")
    action_extra: float = Field(
        default=0.26, ge=0.0, le=1.0, description="chance that a person adds an occasional action"
    )
    gain_spread: float = Field(
        default=0.3, ge=0.0, le=1.0, description="log spread of a person's strength of each action"
    )
    asymmetry: float = Field(default=0.15, ge=0.0, le=1.0, description="spread of left against right")
    distractors: float = Field(default=0.6, ge=0.0, le=3.0, description="strength of movements that mean nothing")


@dataclass(frozen=True)
class ActionStyle:
    """How one person shows the six expressions.

    Attributes:
        apex: Weights at full intensity, one row an expression in the order of ``EXPRESSIONS``.
        lag: Onset delay of each action, as a share of the rise.
    """

    apex: Float64[np.ndarray, "expressions actions"]
    lag: Weights


def draw_style(rng: np.random.Generator, options: ActionOptions) -> ActionStyle:
    """Draw one person: gains, sides, missing and added actions, onset order."""
    gains = np.exp(rng.normal(0.0, options.gain_spread, len(ACTIONS)))
    gains *= _sides(rng, options.asymmetry)
    apex = np.stack([_both_sides(_shown(expression, rng, options)) for expression in EXPRESSIONS])
    lag = np.clip(rng.normal(0.15, 0.15, len(ACTIONS)), 0.0, 0.5)
    return ActionStyle(np.clip(apex * gains, 0.0, 1.2), _paired(lag))


def apex_weights(style: ActionStyle, expression: str, rng: np.random.Generator, options: ActionOptions) -> Weights:
    """Weights at the apex of one performance, 0…1.2: the person's own, at this take's intensity."""
    own = style.apex[EXPRESSIONS.index(expression)]
    intensity = rng.uniform(options.intensity_low, options.intensity_high)
    take = np.exp(rng.normal(0.0, 0.5 * options.gain_spread, len(ACTIONS)))
    return np.asarray(np.clip(own * intensity * _paired(take), 0.0, 1.2))


def _shown(expression: str, rng: np.random.Generator, options: ActionOptions) -> dict[str, float]:
    """Actions this person shows for this expression; never fewer than two of the typical ones."""
    typical, extra = TYPICAL[expression], OCCASIONAL[expression]
    kept = [action for action in typical if rng.random() >= options.action_drop]
    if len(kept) < 2:
        kept = list(typical)[:2]
    added = [action for action in extra if rng.random() < options.action_extra]
    return {action: typical[action] for action in kept} | {action: extra[action] for action in added}


def _both_sides(shown: Mapping[str, float]) -> Weights:
    """Weights in the order of ``ACTIONS``, equal on both sides."""
    return np.array([shown.get(action.removesuffix("_L").removesuffix("_R"), 0.0) for action in ACTIONS])


def _sides(rng: np.random.Generator, asymmetry: float) -> Weights:
    """Factor on each action that favours one side, mean one over the two sides."""
    lean = np.clip(rng.normal(0.0, asymmetry, len(SIDED)), -0.8, 0.8)
    factors = np.ones(len(ACTIONS))
    factors[0 : 2 * len(SIDED) : 2], factors[1 : 2 * len(SIDED) : 2] = 1.0 + lean, 1.0 - lean
    return factors


def _paired(values: Weights) -> Weights:
    """The left value on both sides: one muscle pair moves nearly together."""
    paired = values.copy()
    paired[1 : 2 * len(SIDED) : 2] = paired[0 : 2 * len(SIDED) : 2]
    return paired
