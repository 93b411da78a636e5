"""Movement in time: rest → apex → rest, with everything that moves meanwhile and means nothing."""

import numpy as np

from affect4d.synthetic.actions import ACTIONS, ActionTrack, Weights
from affect4d.synthetic.distraction import Times, blinks, look_about, postures, smooth, talk, unrest
from affect4d.synthetic.micro import draw_micro_actions
from affect4d.synthetic.performance import Performance
from affect4d.synthetic.style import STRONGEST, ActionOptions, ActionStyle, apex_of_actions, apex_weights

TALKING = 0.25
"""Chance that somebody talks in a posed take."""


def act(style: ActionStyle, performance: Performance, rng: np.random.Generator, options: ActionOptions) -> ActionTrack:
    """Weights of every action in every kept frame of a take.

    Args:
        style: Of the person.
        performance: What is performed, and when.
        rng: Draws how this take differs from the person's others, and the distractions.
        options: How strong those are.

    Returns:
        −1…``STRONGEST``. Nothing of the expression moves before ``performance.onset`` or after ``performance.offset``.
    """
    expressed = envelopes(performance, style.lag) * _apex(style, performance, rng, options)
    distracted = _distract(performance, rng, options)
    return np.asarray(np.clip(expressed + distracted, -1.0, STRONGEST))


def envelopes(performance: Performance, lag: Weights) -> ActionTrack:
    """How far each action has come, 0…1: laggards start, and are there, up to half a rise later; all rest together."""
    times, take = performance.times, performance
    delays = np.minimum(lag * take.rise, take.hold)
    risen = take.begin + delays
    falls = take.begin + take.rise + take.hold
    columns = [rise_and_fall(times, start, take.rise, falls - start - take.rise, take.fall) for start in risen]
    return np.stack(columns, axis=1)


def rise_and_fall(times: Times, onset: float, rise: float, hold: float, fall: float) -> Times:
    """Smooth rise, plateau and slower decay of one action.

    Args:
        times: Second of each frame.
        onset: When the rise begins.
        rise: How long it takes.
        hold: How long the plateau lasts.
        fall: How long the decay takes.

    Returns:
        0 before the onset and after the decay, 1 on the plateau.
    """
    return np.asarray(smooth((times - onset) / rise) - smooth((times - onset - rise - hold) / fall))


def _apex(style: ActionStyle, performance: Performance, rng: np.random.Generator, options: ActionOptions) -> Weights:
    """What the expression of a take is at its strongest."""
    if performance.expression is not None:
        return apex_weights(style, performance.expression, performance.intensity, rng, options)
    if performance.kind == "micro":
        shown = draw_micro_actions(performance.labels, rng)
        return apex_of_actions(style, shown, performance.intensity, rng, options)
    return np.zeros(len(ACTIONS))


def _distract(performance: Performance, rng: np.random.Generator, options: ActionOptions) -> ActionTrack:
    """What moves beside the expression; micro-expressions are too short for more than a blink and a glance."""
    times, strength = performance.times, options.distractors
    track: ActionTrack = blinks(times, min(strength, 1.5), rng) + look_about(times, strength, rng)
    if performance.kind == "macro":
        track += postures(times, strength, rng)
        if rng.random() < options.restless:
            track += unrest(times, options.unrest, rng)
        if rng.random() < TALKING * min(strength, 1.0):
            track += talk(times, 0.5 * strength, rng)
    if performance.kind == "distractor":
        track += _act_out(performance, rng)
    return track


def _act_out(performance: Performance, rng: np.random.Generator) -> ActionTrack:
    """A take of one distraction, named in ``performance.name``, in full strength."""
    word, times = performance.name.partition("-")[0], performance.times
    if word == "talk":
        return talk(times, 1.0, rng)
    return blinks(times, 5.0, rng) if word == "blink" else look_about(times, 2.0, rng)
