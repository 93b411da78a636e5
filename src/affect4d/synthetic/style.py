"""How one person shows expressions: which actions, how strongly, how evenly on both sides, and in which order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field, model_validator

from affect4d.scans.expression import EXPRESSIONS
from affect4d.synthetic.actions import ACTIONS, OCCASIONAL, SIDED, TELLING, TYPICAL, Weights, weights_of

STRONGEST = 1.2
"""Greatest weight of an action."""


class ActionOptions(BaseModel):
    """How much people differ in showing one expression, and how much else they do meanwhile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    intensity_low: float = Field(
        default=0.45, ge=0.05, le=1.0, description="weakest apex, as a share of full intensity"
    )
    intensity_high: float = Field(default=0.9, ge=0.05, le=1.2, description="strongest apex")
    action_drop: float = Field(default=0.3, ge=0.0, le=0.9, description="chance that a person lacks a typical action")
    action_extra: float = Field(
        default=0.26, ge=0.0, le=1.0, description="chance that a person adds an occasional action"
    )
    gain_spread: float = Field(
        default=0.3, ge=0.0, le=1.0, description="log spread of a person's strength of each action"
    )
    asymmetry: float = Field(default=0.35, ge=0.0, le=1.0, description="spread of left against right")
    distractors: float = Field(default=1.0, ge=0.0, le=3.0, description="strength of movements that mean nothing")
    restless: float = Field(default=0.6, ge=0.0, le=1.0, description="share of takes whose first frame is not at rest")
    unrest: float = Field(default=0.8, ge=0.0, le=2.0, description="how far from rest that frame is")

    @model_validator(mode="after")
    def _weakest_is_below_strongest(self) -> Self:
        if self.intensity_low > self.intensity_high:
            raise ValueError(
                f"intensity_low ({self.intensity_low:g}) is above intensity_high ({self.intensity_high:g}): set both."
            )
        return self


@dataclass(frozen=True)
class ActionStyle:
    """How one person shows expressions.

    Attributes:
        apex: Weights of the six expressions at full intensity, one row each in the order of ``EXPRESSIONS``.
        gains: Factor on the strength of each action, whatever it expresses.
        lag: Onset delay of each action, as a share of the rise.
    """

    apex: Float64[np.ndarray, "expressions actions"]
    gains: Weights
    lag: Weights


def draw_style(rng: np.random.Generator, options: ActionOptions) -> ActionStyle:
    """Draw one person: gains, sides, missing and added actions, onset order."""
    gains = paired(np.exp(rng.normal(0.0, options.gain_spread, len(ACTIONS)))) * _sides(rng, options.asymmetry)
    apex = np.stack([weights_of(_shown(expression, rng, options)) for expression in EXPRESSIONS])
    lag = np.clip(rng.normal(0.15, 0.15, len(ACTIONS)), 0.0, 0.5)
    return ActionStyle(np.clip(apex * gains, 0.0, STRONGEST), gains, paired(lag))


def apex_weights(
    style: ActionStyle, expression: str, intensity: float, rng: np.random.Generator, options: ActionOptions
) -> Weights:
    """Weights at the apex of one take of a posed expression, 0…``STRONGEST``: the person's own, at its intensity."""
    own = style.apex[EXPRESSIONS.index(expression)]
    return np.asarray(np.clip(own * intensity * _take(rng, options), 0.0, STRONGEST))


def apex_of_actions(
    style: ActionStyle, shown: Mapping[str, float], intensity: float, rng: np.random.Generator, options: ActionOptions
) -> Weights:
    """Weights at the apex of one take that shows these actions (micro-expressions), by the same person."""
    own = weights_of(shown) * style.gains
    return np.asarray(np.clip(own * intensity * _take(rng, options), 0.0, STRONGEST))


def paired(values: Weights) -> Weights:
    """The left value on both sides: one muscle pair moves nearly together."""
    both = values.copy()
    both[1 : 2 * len(SIDED) : 2] = both[0 : 2 * len(SIDED) : 2]
    return both


def _take(rng: np.random.Generator, options: ActionOptions) -> Weights:
    """How this take differs from the person's usual one, as a factor on each action."""
    return paired(np.exp(rng.normal(0.0, 0.5 * options.gain_spread, len(ACTIONS))))


def _shown(expression: str, rng: np.random.Generator, options: ActionOptions) -> dict[str, float]:
    """Actions this person shows for this expression: at least one telling one, and two typical ones."""
    typical, extra = TYPICAL[expression], OCCASIONAL[expression]
    kept = {action for action in typical if rng.random() >= options.action_drop}
    if not kept & set(TELLING[expression]):
        kept.add(TELLING[expression][int(rng.integers(len(TELLING[expression])))])
    if len(kept) < 2:
        kept |= set(list(typical)[:2])
    added = {action: extra[action] for action in extra if rng.random() < options.action_extra}
    return {action: weight for action, weight in typical.items() if action in kept} | added


def _sides(rng: np.random.Generator, asymmetry: float) -> Weights:
    """Factor on each action that favours one side, mean one over the two sides."""
    lean = np.clip(rng.normal(0.0, asymmetry, len(SIDED)), -0.9, 0.9)
    factors = np.ones(len(ACTIONS))
    factors[0 : 2 * len(SIDED) : 2], factors[1 : 2 * len(SIDED) : 2] = 1.0 + lean, 1.0 - lean
    return factors
