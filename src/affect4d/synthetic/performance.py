"""Performances: what a subject does in front of the scanner, take by take, and which of its frames are scanned."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from affect4d.scans.expression import EXPRESSIONS, MICRO_EXPRESSIONS
from affect4d.synthetic.recipe import ActionUnitOptions, PerformanceOptions

PerformanceKind = Literal["macro", "micro", "neutral", "distractor"]
"""A posed expression, a micro-expression, a neutral face, or movement without emotion."""
FrameTimes = Float64[np.ndarray, " frames"]
"""Second of each frame."""
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


@dataclass(frozen=True)
class Performance:
    """One take. Times are seconds since its first frame.

    ``name`` is unique within a subject and fit for a folder: ``anger``, ``anger-2``, ``micro-1``, ``talk-1``.
    """

    name: str
    kind: PerformanceKind
    expression: str | None
    """The posed expression; None for all other kinds."""
    labels: tuple[str, ...]
    """The expression, or the micro-expression's classes; empty where nothing is expressed."""
    intensity: float
    """Strength of the apex as a share of full strength; 0 where nothing is expressed."""
    fps: float
    scanned: tuple[int, ...]
    """Which of the scanner's frames are kept, rising from 0."""
    begin: float
    """When the first action unit starts."""
    rise: float
    hold: float
    fall: float

    @property
    def frames(self) -> int:
        """How many frames are kept; they are numbered from 0."""
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
    return (
        *_macros(options, actions, rng),
        *(_micro(take, options, rng) for take in range(options.micro)),
        *(_posed(f"neutral-{take + 1}", "neutral", 0.0, options, rng) for take in range(options.neutral)),
        *_distractors(options, rng),
    )


def draw_micro_labels(rng: np.random.Generator, several: float) -> tuple[str, ...]:
    """Draw the classes of one clip, in the order of ``MICRO_EXPRESSIONS``; two of them by the chance ``several``."""
    if rng.random() < several:
        pair = COMPOUND_MICRO[int(rng.integers(len(COMPOUND_MICRO)))]
        return tuple(sorted(pair, key=MICRO_EXPRESSIONS.index))
    return (MICRO_EXPRESSIONS[int(rng.integers(len(MICRO_EXPRESSIONS)))],)


def _macros(options: PerformanceOptions, actions: ActionUnitOptions, rng: np.random.Generator) -> Iterator[Performance]:
    for expression in EXPRESSIONS:
        for take in range(options.macro):
            name = expression if take == 0 else f"{expression}-{take + 1}"
            intensity = float(rng.uniform(actions.intensity_low, actions.intensity_high))
            yield _posed(name, "macro", intensity, options, rng, expression)


def _distractors(options: PerformanceOptions, rng: np.random.Generator) -> Iterator[Performance]:
    for take in range(options.distractors):
        word = DISTRACTORS[take % len(DISTRACTORS)]
        yield _posed(f"{word}-{take // len(DISTRACTORS) + 1}", "distractor", 0.0, options, rng)


def _posed(
    name: str,
    kind: PerformanceKind,
    intensity: float,
    options: PerformanceOptions,
    rng: np.random.Generator,
    expression: str | None = None,
) -> Performance:
    """A take at the usual frame rate, with the timing of posed sequences."""
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
