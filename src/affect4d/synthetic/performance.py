"""Performances: when each take's expression rises and falls, and its action-unit track with distractor movements."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from affect4d.scans.expression import EXPRESSIONS, MICRO_EXPRESSIONS
from affect4d.synthetic.action_units import ACTION_UNITS, MICRO_VARIANTS, ActionTrack, ActionWeights, weights_of
from affect4d.synthetic.recipe import ActionUnitOptions, PerformanceOptions
from affect4d.synthetic.subject_appearance_and_expressive_style import STRONGEST, ExpressiveStyle, apex_weights

PerformanceKind = Literal["macro", "micro", "neutral", "distractor"]
"""A posed expression, a micro-expression, a neutral face, or movement without emotion."""
FrameTimes = Float64[np.ndarray, " frames"]  # second of each frame
DISTRACTORS: tuple[str, ...] = ("talk", "blink", "look")

COMPOUND_MICRO: tuple[tuple[str, str], ...] = (
    ("negative", "repression"),
    ("positive", "repression"),
    ("negative", "surprise"),
    ("positive", "surprise"),
)
"""Classes of micro-expressions that occur in one clip."""
POSED_SHARES = [0.08, 0.12, 0.2, 0.2], [0.2, 0.2, 0.35, 0.28]
MICRO_SHARES = [0.06, 0.2, 0.06, 0.22], [0.14, 0.4, 0.14, 0.3]
"""Least and greatest share of a take's length of begin, rise, hold and fall."""
TALKING = 0.25  # chance of talk in a posed take
POSTURES: tuple[Mapping[str, float], ...] = (
    {"AU18": 0.8},
    {"AU22": 0.8},
    {"AU28": 0.8},
    {"AU34": 0.9},
    {"AU14": 0.6},
    {"jaw_left": 1.0},
    {"mouth_left": 1.0},
    {"AU18": 0.5, "mouth_left": 0.7},
    {"AU22": 0.5, "jaw_left": 0.6},
)
"""Mouth postures without emotion, at full strength."""
RESIDUAL: tuple[Mapping[str, float], ...] = (
    {"AU1": 0.5, "AU2": 0.5},
    {"AU4": 0.6},
    {"AU5": 0.5},
    {"AU6": 0.5},
    {"AU7": 0.6},
    {"AU10": 0.4},
    {"AU12": 0.5},
    {"AU15": 0.5},
    {"AU17": 0.5},
    {"AU20": 0.5},
    {"AU24": 0.6},
    {"AU25": 0.5, "AU26": 0.25},
)
"""Units that a posed neutral face may still show, at full strength."""
SOUNDS: tuple[Mapping[str, float], ...] = (
    {"AU26": 0.5, "AU25": 0.6},
    {"AU26": 0.25, "AU25": 0.5},
    {"AU22": 0.7, "AU25": 0.3},
    {"AU18": 0.6, "AU26": 0.15},
    {"AU28": 0.4, "AU24": 0.4},
    {"AU14": 0.3, "AU25": 0.4},
    {},
)
"""Mouth shapes of speech, roughly a, e, o, u, m, i and a pause."""
SOUND_SECONDS = 0.22
BLINKS_A_SECOND = 0.3
BLINK_SECONDS = 0.15


@dataclass(frozen=True)
class Performance:
    """One take, times in seconds since its first frame, by a name unique within a subject: ``anger-2``, ``micro-1``."""

    name: str
    kind: PerformanceKind
    expression: str | None  # the posed expression; None for all other kinds
    labels: tuple[str, ...]  # the expression, or the micro-expression's classes; empty where nothing is expressed
    intensity: float  # strength of the apex as a share of full strength; 0 where nothing is expressed
    fps: float
    scanned: tuple[int, ...]  # which of the scanner's frames are kept, rising from 0
    begin: float  # when the first action unit starts
    rise: float
    hold: float
    fall: float

    @property
    def frames(self) -> int:
        """Number of kept frames; they are numbered from 0."""
        return len(self.scanned)

    @property
    def times(self) -> FrameTimes:
        """Second of each kept frame."""
        return np.array(self.scanned) / self.fps

    @property
    def onset(self) -> int:
        """The last kept frame before anything moves."""
        return max(int(np.searchsorted(self.times, self.begin, side="right")) - 1, 0)

    @property
    def apex(self) -> int:
        """The kept frame nearest to the middle of the apex."""
        return int(np.abs(self.times - (self.begin + self.rise + 0.5 * self.hold)).argmin())

    @property
    def offset(self) -> int:
        """The first kept neutral frame after the apex; the last frame if that comes later."""
        end = self.begin + self.rise + self.hold + self.fall
        return min(int(np.searchsorted(self.times, end)), self.frames - 1)


def draw_performances(
    options: PerformanceOptions, actions: ActionUnitOptions, rng: np.random.Generator
) -> tuple[Performance, ...]:
    """Draw all takes of one subject: posed expressions, micro-expressions, neutral faces, movement without emotion."""
    drawn = []
    for expression, take in itertools.product(EXPRESSIONS, range(options.macro)):
        name = expression if take == 0 else f"{expression}-{take + 1}"
        intensity = float(rng.uniform(actions.intensity_low, actions.intensity_high))
        drawn.append(_posed(name, "macro", intensity, options, rng, expression))
    drawn += [_micro(take, options, rng) for take in range(options.micro)]
    drawn += [_posed(f"neutral-{take + 1}", "neutral", 0.0, options, rng) for take in range(options.neutral)]
    for take in range(options.distractors):
        name = f"{DISTRACTORS[take % len(DISTRACTORS)]}-{take // len(DISTRACTORS) + 1}"
        drawn.append(_posed(name, "distractor", 0.0, options, rng))
    return tuple(drawn)


def draw_micro_labels(rng: np.random.Generator, several: float) -> tuple[str, ...]:
    """Draw the classes of one clip, in the order of ``MICRO_EXPRESSIONS``; two of them by the chance ``several``."""
    if rng.random() < several:
        pair = COMPOUND_MICRO[int(rng.integers(len(COMPOUND_MICRO)))]
        return tuple(sorted(pair, key=MICRO_EXPRESSIONS.index))
    return (MICRO_EXPRESSIONS[int(rng.integers(len(MICRO_EXPRESSIONS)))],)


def _posed(
    name: str,
    kind: PerformanceKind,
    intensity: float,
    options: PerformanceOptions,
    rng: np.random.Generator,
    expression: str | None = None,
) -> Performance:
    total = max(round(options.seconds * options.fps), 3)
    count = total if options.frames is None else min(options.frames, total)
    timing = options.seconds * rng.uniform(*POSED_SHARES)
    scanned = _delivered(np.linspace(0, total - 1, count).round(), timing, options.fps, options.dropped, rng)
    labels = (expression,) if expression else ()
    return Performance(name, kind, expression, labels, intensity, options.fps, scanned, *timing.tolist())


def _micro(take: int, options: PerformanceOptions, rng: np.random.Generator) -> Performance:
    total = max(round(options.micro_seconds * options.micro_fps), 3)
    timing = options.micro_seconds * rng.uniform(*MICRO_SHARES)
    labels = draw_micro_labels(rng, options.micro_several)
    intensity = float(rng.uniform(options.micro_low, options.micro_high))
    scanned = _delivered(np.arange(total), timing, options.micro_fps, options.dropped, rng)
    return Performance(
        f"micro-{take + 1}", "micro", None, labels, intensity, options.micro_fps, scanned, *timing.tolist()
    )


def _delivered(
    scanned: FrameTimes, timing: Float64[np.ndarray, "4"], fps: float, dropped: float, rng: np.random.Generator
) -> tuple[int, ...]:
    """The frames that the scanner does not miss; it never misses the first, nor the one nearest to the apex."""
    begin, rise, hold, _ = timing
    apex = (begin + rise + 0.5 * hold) * fps
    missed = rng.random(len(scanned)) < dropped
    missed[0] = missed[int(np.abs(scanned - apex).argmin())] = False
    return tuple(int(frame) for frame in scanned[~missed])


def act(
    style: ExpressiveStyle, performance: Performance, rng: np.random.Generator, options: ActionUnitOptions
) -> ActionTrack:
    """Weights (−1…``STRONGEST``) of every unit and kept frame; the expression moves from onset to offset only."""
    expressed = envelopes(performance, style.lag) * _apex(style, performance, rng, options)
    return np.asarray(np.clip(expressed + _distractor_track(performance, rng, options), -1.0, STRONGEST))


def envelopes(performance: Performance, lag: ActionWeights) -> ActionTrack:
    """Progress of each unit, 0…1: it starts and arrives up to half a rise late by its lag; all end together."""
    take = performance
    onsets = take.begin + np.minimum(lag * take.rise, take.hold)
    falls = take.begin + take.rise + take.hold
    columns = [rise_and_fall(take.times, onset, take.rise, falls - onset - take.rise, take.fall) for onset in onsets]
    return np.stack(columns, axis=1)


def rise_and_fall(times: FrameTimes, onset: float, rise: float, hold: float, fall: float) -> FrameTimes:
    """Smooth rise, plateau of 1 and slower decay of one unit; 0 before and after. All arguments are seconds."""
    return np.asarray(_smooth((times - onset) / rise) - _smooth((times - onset - rise - hold) / fall))


def draw_micro_units(labels: tuple[str, ...], rng: np.random.Generator) -> dict[str, float]:
    """Units of one micro-expression: one variant of each class, the stronger where two share a unit."""
    shown: dict[str, float] = {}
    for label in labels:
        variants = MICRO_VARIANTS[label]
        for unit, weight in variants[int(rng.integers(len(variants)))].items():
            shown[unit] = max(weight, shown.get(unit, 0.0))
    return shown


def postures(times: FrameTimes, strength: float, rng: np.random.Generator) -> ActionTrack:
    """Mouth postures that last a good part of a take; the first frame has none. ``strength`` 1 is restless."""
    track = np.zeros((len(times), len(ACTION_UNITS)))
    progress = times / max(float(times[-1]), 1e-9)
    for _ in range(rng.poisson(1.2 * strength)):
        track += np.outer(_coming(progress, rng), strength * _posture(rng))
    return track


def unrest(times: FrameTimes, strength: float, rng: np.random.Generator) -> ActionTrack:
    """A first frame that is not neutral: a posture and a few units of expressions, all gone before the apex."""
    progress = times / max(float(times[-1]), 1e-9)
    track = np.outer(_going(progress, rng), _posture(rng))
    for index in rng.choice(len(RESIDUAL), 3, replace=False):
        track += np.outer(_going(progress, rng), weights_of(RESIDUAL[int(index)]) * rng.uniform(0.2, 1.0))
    return np.asarray(strength * track)


def talk(times: FrameTimes, strength: float, rng: np.random.Generator) -> ActionTrack:
    """One mouth shape after the other, smoothly; the first frame is silent."""
    knots = np.arange(0.0, float(times[-1]) + 2 * SOUND_SECONDS, SOUND_SECONDS)
    shapes = np.stack([weights_of(SOUNDS[int(rng.integers(len(SOUNDS)))]) for _ in knots])
    shapes *= strength * rng.uniform(0.5, 1.1, (len(knots), 1))
    shapes[0] = 0.0
    return np.stack([np.interp(times, knots, column) for column in shapes.T], axis=1)


def blinks(times: FrameTimes, rate: float, rng: np.random.Generator) -> ActionTrack:
    """Lids that close and open within ``BLINK_SECONDS``, never in the first frame; ``rate`` 1 is the usual one."""
    length = float(times[-1])
    moments = rng.uniform(BLINK_SECONDS, max(length, 2 * BLINK_SECONDS), rng.poisson(BLINKS_A_SECOND * rate * length))
    distance = np.abs(times[:, None] - moments[None, :]).min(axis=1, initial=np.inf)
    closed = np.clip(1.5 * (1.0 - 2.0 * distance / BLINK_SECONDS), 0.0, 1.0)
    return np.outer(closed, weights_of({"AU45": 1.0}))


def gaze_drift(times: FrameTimes, strength: float, rng: np.random.Generator) -> ActionTrack:
    """The eyes drift away from the camera; they look at it in the first frame."""
    track = np.zeros((len(times), len(ACTION_UNITS)))
    for unit in ("gaze_left", "gaze_up"):
        drift = np.sin(np.pi * times / rng.uniform(2.0, 8.0)) * rng.normal(0.0, 0.4 * strength)
        track[:, ACTION_UNITS.index(unit)] = np.clip(drift, -1.0, 1.0)
    return track


def _apex(
    style: ExpressiveStyle, performance: Performance, rng: np.random.Generator, options: ActionUnitOptions
) -> ActionWeights:
    if performance.expression is not None:
        return apex_weights(style.posed(performance.expression), performance.intensity, rng, options)
    if performance.kind == "micro":
        shown = style.showing(draw_micro_units(performance.labels, rng))
        return apex_weights(shown, performance.intensity, rng, options)
    return np.zeros(len(ACTION_UNITS))


def _distractor_track(performance: Performance, rng: np.random.Generator, options: ActionUnitOptions) -> ActionTrack:
    """Movement beside the expression; micro-expressions are too short for more than a blink and a glance."""
    times, strength = performance.times, options.distractors
    track: ActionTrack = blinks(times, min(strength, 1.5), rng) + gaze_drift(times, strength, rng)
    if performance.kind == "macro":
        track += postures(times, strength, rng)
        if rng.random() < options.restless:
            track += unrest(times, options.unrest, rng)
        if rng.random() < TALKING * min(strength, 1.0):
            track += talk(times, 0.5 * strength, rng)
    if performance.kind == "distractor":
        track += _named_distractor(performance, rng)
    return track


def _named_distractor(performance: Performance, rng: np.random.Generator) -> ActionTrack:
    word, times = performance.name.partition("-")[0], performance.times
    if word == "talk":
        return talk(times, 1.0, rng)
    return blinks(times, 5.0, rng) if word == "blink" else gaze_drift(times, 2.0, rng)


def _posture(rng: np.random.Generator) -> ActionWeights:
    """One posture, at some strength, to either side, often of one cheek or mouth corner only."""
    weights: ActionWeights = weights_of(POSTURES[int(rng.integers(len(POSTURES)))]) * rng.uniform(0.4, 1.0)
    side = rng.choice(("L", "R", "both"))
    for index, unit in enumerate(ACTION_UNITS):
        if unit in ("jaw_left", "mouth_left"):
            weights[index] *= 1.0 if side == "L" else -1.0
        elif unit.endswith(("_L", "_R")) and side != "both" and not unit.endswith(f"_{side}"):
            weights[index] = 0.0
    return weights


def _coming(progress: FrameTimes, rng: np.random.Generator) -> FrameTimes:
    """A rise early or late, and at times a fall."""
    begin, length = rng.uniform(0.05, 0.5), rng.uniform(0.25, 0.8)
    return np.asarray(_smooth((progress - begin) / 0.12) - _smooth((progress - begin - length) / 0.12))


def _going(progress: FrameTimes, rng: np.random.Generator) -> FrameTimes:
    """Held from before the first frame; it ends before the apex, as a rule."""
    return np.asarray(1.0 - _smooth((progress - rng.uniform(0.0, 0.3)) / 0.12))


def _smooth(progress: FrameTimes) -> FrameTimes:
    clipped = np.clip(progress, 0.0, 1.0)
    return np.asarray(clipped * clipped * (3.0 - 2.0 * clipped))
