"""What one person does in front of the scanner, take by take, and which moments of it are scanned.

How a corpus uses it, one subject after the other::

    performances = draw_performances(options, actions, rng)      # the subject's own takes, in the order of the files
    track = act(subject.style, performance, rng, actions)        # dynamics: action weights, one row a scanned frame
    recording = draw_recording(performance.times, rng, sensor)  # sensor: pose, light and noise of the take
    row = describe(subject, performance, track, recording)       # attributes: one flat row of known truth a take

``performance.name`` is unique within a subject and fit for a folder: ``anger``, ``anger-2``, ``micro-1``, ``talk-1``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field, model_validator

from affect4d.scans.expression import EXPRESSIONS
from affect4d.synthetic.micro import draw_micro_labels
from affect4d.synthetic.style import ActionOptions

Kind = Literal["macro", "micro", "neutral", "distractor"]
"""A posed expression, a micro-expression, a face at rest, or movement without emotion."""
DISTRACTIONS: tuple[str, ...] = ("talk", "blink", "look")
"""What people do who express nothing."""

FEWEST_SCANNED = 5
"""Frames of the scanner in a take, of which one falls into its apex: that lasts a fifth of it, or longer."""


class PerformanceOptions(BaseModel):
    """What every subject performs, and how it is sampled in time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    macro: int = Field(default=1, ge=0, le=20, description="takes of each of the six posed expressions")
    micro: int = Field(default=0, ge=0, le=100, description="micro-expressions")
    neutral: int = Field(default=0, ge=0, le=100, description="takes of a face at rest")
    distractors: int = Field(default=0, ge=0, le=100, description="takes of talking, blinking, looking about")
    seconds: float = Field(default=4.0, gt=0.2, le=60.0, description="length of every take but the micro-expressions")
    fps: float = Field(default=25.0, ge=1.0, le=1000.0, description="the scanner's frames a second in those")
    frames: int | None = Field(
        default=12, ge=3, le=5000, description="frames kept of such a take, evenly spread; None keeps all"
    )
    dropped: float = Field(default=0.0, ge=0.0, lt=0.9, description="chance that the scanner misses a frame")
    micro_seconds: float = Field(default=0.5, gt=0.1, le=2.0, description="length of a micro-expression's take")
    micro_fps: float = Field(default=60.0, ge=10.0, le=1000.0, description="frames a second in those; all are kept")
    micro_low: float = Field(default=0.1, ge=0.01, le=1.0, description="weakest micro-expression, as a share of full")
    micro_high: float = Field(default=0.3, ge=0.01, le=1.0, description="strongest micro-expression")
    micro_several: float = Field(default=0.2, ge=0.0, le=1.0, description="chance that one carries two labels")

    @model_validator(mode="after")
    def _an_apex_is_scanned(self) -> Self:
        if self.seconds * self.fps < FEWEST_SCANNED:
            raise ValueError(
                f"A take of {self.seconds:g} s at {self.fps:g} frames a second has no frame at its apex: raise seconds "
                f"or fps until they make {FEWEST_SCANNED} frames, and choose with frames how many are kept."
            )
        if self.micro_low > self.micro_high:
            raise ValueError(f"micro_low ({self.micro_low:g}) is above micro_high ({self.micro_high:g}): set both.")
        return self


@dataclass(frozen=True)
class Performance:
    """One take. Times are seconds since its first frame.

    Attributes:
        name: Unique within a subject, fit for a folder.
        kind: See ``Kind``.
        expression: The posed expression; None for all other kinds.
        labels: The expression, or the micro-expression's classes; empty where nothing is expressed.
        intensity: Strength of the apex as a share of full strength; 0 where nothing is expressed.
        fps: Frames a second of the scanner.
        scanned: Which of the scanner's frames are kept, rising from 0.
        begin: When the first action starts.
        rise: From there to the apex.
        hold: How long the apex lasts.
        fall: From there to rest.
    """

    name: str
    kind: Kind
    expression: str | None
    labels: tuple[str, ...]
    intensity: float
    fps: float
    scanned: tuple[int, ...]
    begin: float
    rise: float
    hold: float
    fall: float

    @property
    def frames(self) -> int:
        """How many frames are kept; they are numbered from 0."""
        return len(self.scanned)

    @property
    def times(self) -> Float64[np.ndarray, " frames"]:
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
        """The first kept frame at rest again; the last frame if rest comes later."""
        end = self.begin + self.rise + self.hold + self.fall
        return min(int(np.searchsorted(self.times, end)), self.frames - 1)


def draw_performances(
    options: PerformanceOptions, actions: ActionOptions, rng: np.random.Generator
) -> tuple[Performance, ...]:
    """Draw all takes of one subject: posed expressions, micro-expressions, rest, movement without emotion."""
    return (
        *_macros(options, actions, rng),
        *_micros(options, rng),
        *(_posed(f"neutral-{take + 1}", "neutral", 0.0, options, rng) for take in range(options.neutral)),
        *_distractions(options, rng),
    )


def _macros(options: PerformanceOptions, actions: ActionOptions, rng: np.random.Generator) -> Iterator[Performance]:
    for expression in EXPRESSIONS:
        for take in range(options.macro):
            name = expression if take == 0 else f"{expression}-{take + 1}"
            intensity = float(rng.uniform(actions.intensity_low, actions.intensity_high))
            yield _posed(name, "macro", intensity, options, rng, expression)


def _distractions(options: PerformanceOptions, rng: np.random.Generator) -> Iterator[Performance]:
    for take in range(options.distractors):
        word = DISTRACTIONS[take % len(DISTRACTIONS)]
        yield _posed(f"{word}-{take // len(DISTRACTIONS) + 1}", "distractor", 0.0, options, rng)


def _posed(
    name: str,
    kind: Kind,
    intensity: float,
    options: PerformanceOptions,
    rng: np.random.Generator,
    expression: str | None = None,
) -> Performance:
    """A take at the usual frame rate; shares of its length as posed sequences have them."""
    total = max(round(options.seconds * options.fps), 3)
    count = total if options.frames is None else min(options.frames, total)
    begin, rise, hold, fall = options.seconds * rng.uniform([0.08, 0.12, 0.2, 0.2], [0.2, 0.2, 0.35, 0.28])
    apex = begin + rise + 0.5 * hold
    return Performance(
        name=name,
        kind=kind,
        expression=expression,
        labels=(expression,) if expression else (),
        intensity=intensity,
        fps=options.fps,
        scanned=_delivered(np.linspace(0, total - 1, count).round(), apex * options.fps, options, rng),
        begin=float(begin),
        rise=float(rise),
        hold=float(hold),
        fall=float(fall),
    )


def _micros(options: PerformanceOptions, rng: np.random.Generator) -> Iterator[Performance]:
    total = max(round(options.micro_seconds * options.micro_fps), 3)
    for take in range(options.micro):
        begin, rise, hold, fall = options.micro_seconds * rng.uniform([0.06, 0.2, 0.06, 0.22], [0.14, 0.4, 0.14, 0.3])
        apex = begin + rise + 0.5 * hold
        yield Performance(
            name=f"micro-{take + 1}",
            kind="micro",
            expression=None,
            labels=draw_micro_labels(rng, options.micro_several),
            intensity=float(rng.uniform(options.micro_low, options.micro_high)),
            fps=options.micro_fps,
            scanned=_delivered(np.arange(total), apex * options.micro_fps, options, rng),
            begin=float(begin),
            rise=float(rise),
            hold=float(hold),
            fall=float(fall),
        )


def _delivered(
    scanned: Float64[np.ndarray, " frames"], apex: float, options: PerformanceOptions, rng: np.random.Generator
) -> tuple[int, ...]:
    """The frames that the scanner does not miss; it never misses the first, nor the one nearest to the apex."""
    missed = rng.random(len(scanned)) < options.dropped
    missed[0] = missed[int(np.abs(scanned - apex).argmin())] = False
    return tuple(int(frame) for frame in scanned[~missed])
