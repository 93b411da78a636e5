"""Subjects of a synthetic corpus: appearance, and expressive style (which action units, how strongly, how evenly)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from affect4d.scans.expression import EXPRESSIONS
from affect4d.synthetic.action_units import (
    ACTION_UNITS,
    BILATERAL,
    DEFINING,
    OCCASIONAL,
    TYPICAL,
    ActionWeights,
    EmotionVariant,
    published_tables,
    weights_of,
)
from affect4d.synthetic.recipe import ActionUnitOptions, EmotionTables

GENDERS: tuple[str, ...] = ("F", "M")
AGE_GROUPS: tuple[str, ...] = ("18-30", "31-50", "51-70")
SKIN_TONES: tuple[str, ...] = ("light", "medium", "brown", "dark")
MONK_TONES = 10
LIP_COLOUR = (0.62, 0.2, 0.22)
STRONGEST = 1.2  # greatest weight of an action unit
LEFT, RIGHT = slice(0, 2 * len(BILATERAL), 2), slice(1, 2 * len(BILATERAL), 2)
"""Columns of the bilateral units in an array of weights."""

IdentityShape = Float64[np.ndarray, " shape"]  # parameters of a face model's identity modes
Colour = tuple[float, float, float]  # RGB, 0…1


@dataclass(frozen=True)
class Appearance:
    """Skin, hair and eyes of a subject; strengths are 0…1."""

    gender: str
    age_group: str
    melanin: float  # 0 (lightest) … 1 (darkest)
    hair: Colour
    iris: Colour
    lips: float  # how far lip colour stands out from skin colour
    lipstick: Colour  # colour of the lips, painted or their own
    shadow: float  # strength of paint on the upper lids
    brows: float
    beard: float
    hairline: float  # height of the hairline over its usual place, mm
    speckle: int  # seed of freckles, spots and blotches

    @property
    def skin_tone(self) -> str:
        """Name of the melanin level, one of ``SKIN_TONES``."""
        return SKIN_TONES[min(int(self.melanin * len(SKIN_TONES)), len(SKIN_TONES) - 1)]

    @property
    def monk_tone(self) -> int:
        """The nearest step of the Monk Skin Tone Scale, 1 (lightest) … 10 (darkest)."""
        return 1 + round(self.melanin * (MONK_TONES - 1))

    @property
    def age(self) -> float:
        """0 for the youngest group, 1 for the oldest."""
        return AGE_GROUPS.index(self.age_group) / (len(AGE_GROUPS) - 1)


@dataclass(frozen=True)
class ExpressiveStyle:
    """One subject's way to show expressions."""

    apex: Float64[np.ndarray, "expressions units"]
    """Weights of the six expressions at full intensity, in the order of ``EXPRESSIONS``."""
    gains: ActionWeights  # factor on the strength of each unit, whatever it expresses
    lag: ActionWeights  # onset delay of each unit, as a share of the rise

    def posed(self, expression: str) -> ActionWeights:
        """The subject's weights of a posed expression at full intensity."""
        weights: ActionWeights = self.apex[EXPRESSIONS.index(expression)]
        return weights

    def showing(self, units: Mapping[str, float]) -> ActionWeights:
        """The subject's weights when these units are shown (micro-expressions)."""
        return np.asarray(weights_of(units) * self.gains)


@dataclass(frozen=True)
class Subject:
    """A subject of the synthetic corpus."""

    name: str
    shape: IdentityShape
    appearance: Appearance
    style: ExpressiveStyle
    size: float  # of the head; 1 is the model's own


def draw_appearance(rng: np.random.Generator, gender: str) -> Appearance:
    """Draw a skin, hair and eyes; all skin tones and age groups are equally likely."""
    melanin = float(rng.uniform())
    age_group = AGE_GROUPS[int(rng.integers(len(AGE_GROUPS)))]
    made_up = gender == "F" and rng.random() < 0.5
    return Appearance(
        gender=gender,
        age_group=age_group,
        melanin=melanin,
        hair=_hair(rng, melanin, grey=age_group == AGE_GROUPS[-1]),
        iris=_iris(rng, melanin),
        lips=float(rng.uniform(0.7, 1.0) if made_up else rng.uniform(0.25, 0.7)),
        lipstick=_colour(rng.uniform((0.4, 0.05, 0.1), (0.85, 0.4, 0.5))) if made_up else LIP_COLOUR,
        shadow=float(rng.uniform(0.2, 0.8)) if made_up else 0.0,
        brows=float(rng.uniform(0.3, 1.0)),
        beard=float(max(rng.uniform(-0.5, 1.0), 0.0) if gender == "M" else 0.0),
        hairline=float(rng.normal(0.0, 5.0) + (5.0 if gender == "M" else 0.0)),
        speckle=int(rng.integers(2**31)),
    )


def draw_style(
    rng: np.random.Generator, options: ActionUnitOptions, tables: EmotionTables = "project"
) -> ExpressiveStyle:
    """Draw a style: gains, sides, the units of each expression, onset order.

    Of ``published`` tables a subject follows one source, and one of its variants of each expression.
    """
    gains = _paired(np.exp(rng.normal(0.0, options.gain_spread, len(ACTION_UNITS)))) * _sides(rng, options.asymmetry)
    if tables == "published":
        shown = _draw_published(rng)
    else:
        shown = {expression: _shown(expression, rng, options) for expression in EXPRESSIONS}
    apex = np.stack([weights_of(shown[expression]) for expression in EXPRESSIONS])
    lag = np.clip(rng.normal(0.15, 0.15, len(ACTION_UNITS)), 0.0, 0.5)
    return ExpressiveStyle(np.clip(apex * gains, 0.0, STRONGEST), gains, _paired(lag))


def apex_weights(
    full: ActionWeights, intensity: float, rng: np.random.Generator, options: ActionUnitOptions
) -> ActionWeights:
    """Weights at the apex of one take, 0…``STRONGEST``: those of full intensity, scaled and varied by take."""
    variation = _paired(np.exp(rng.normal(0.0, 0.5 * options.gain_spread, len(ACTION_UNITS))))
    return np.asarray(np.clip(full * intensity * variation, 0.0, STRONGEST))


def _hair(rng: np.random.Generator, melanin: float, grey: bool) -> Colour:
    darkness = melanin + (1.0 - melanin) * rng.uniform(0.1, 1.0)
    hair = np.array([0.6, 0.43, 0.26]) * (1.0 - 0.85 * darkness) + 0.03
    return _colour(0.4 * hair + 0.6 * np.full(3, rng.uniform(0.3, 0.75)) if grey else hair)


def _iris(rng: np.random.Generator, melanin: float) -> Colour:
    tint = 0.65 * (1.0 - melanin) * rng.uniform(0.0, 1.0)
    return _colour(np.array([0.3, 0.19, 0.1]) + tint * np.array([0.05, 0.25, 0.4]))


def _colour(values: Float64[np.ndarray, "3"]) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _paired(values: ActionWeights) -> ActionWeights:
    """The left value on both sides: one muscle pair moves nearly together."""
    both = values.copy()
    both[RIGHT] = both[LEFT]
    return both


def _shown(expression: str, rng: np.random.Generator, options: ActionUnitOptions) -> dict[str, float]:
    """Units this subject shows for an expression: at least one defining one, and two typical ones."""
    typical, extra = TYPICAL[expression], OCCASIONAL[expression]
    kept = {unit for unit in typical if rng.random() >= options.action_drop}
    if not kept & set(DEFINING[expression]):
        kept.add(DEFINING[expression][int(rng.integers(len(DEFINING[expression])))])
    if len(kept) < 2:
        kept |= set(list(typical)[:2])
    added = {unit: extra[unit] for unit in extra if rng.random() < options.action_extra}
    return {unit: weight for unit, weight in typical.items() if unit in kept} | added


def _draw_published(rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """The units of each expression, by one published source."""
    sources = list(published_tables().values())
    variants = sources[int(rng.integers(len(sources)))]
    return {name: _draw_variant(variants[name][int(rng.integers(len(variants[name])))], rng) for name in EXPRESSIONS}


def _draw_variant(variant: EmotionVariant, rng: np.random.Generator) -> dict[str, float]:
    added = {unit: weight for unit, (weight, chance) in variant.optional.items() if rng.random() < chance}
    return {**added, **variant.units}


def _sides(rng: np.random.Generator, asymmetry: float) -> ActionWeights:
    """Factor on each unit that favours one side, mean one over the two sides."""
    lean = np.clip(rng.normal(0.0, asymmetry, len(BILATERAL)), -0.9, 0.9)
    factors = np.ones(len(ACTION_UNITS))
    factors[LEFT], factors[RIGHT] = 1.0 + lean, 1.0 - lean
    return factors
