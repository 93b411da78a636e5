"""Movements that mean nothing: postures of the mouth and jaw, talk, blinks, wandering eyes.

None of the postures is typical of an expression; they are large, and most of what moves in a take may be theirs.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64

from affect4d.synthetic.actions import ACTIONS, ActionTrack, Weights, weights_of

Times = Float64[np.ndarray, " frames"]

POSTURES: tuple[Mapping[str, float], ...] = tuple(
    MappingProxyType(posture)
    for posture in (
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
)
"""What mouths do while nothing is felt, at full strength."""
RESTING: tuple[Mapping[str, float], ...] = tuple(
    MappingProxyType(face)
    for face in (
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
)
"""What faces that are told to be neutral still show, or show already, at full strength."""
SOUNDS: tuple[Mapping[str, float], ...] = tuple(
    MappingProxyType(sound)
    for sound in (
        {"AU26": 0.5, "AU25": 0.6},
        {"AU26": 0.25, "AU25": 0.5},
        {"AU22": 0.7, "AU25": 0.3},
        {"AU18": 0.6, "AU26": 0.15},
        {"AU28": 0.4, "AU24": 0.4},
        {"AU14": 0.3, "AU25": 0.4},
        {},
    )
)
"""Mouth shapes of speech, roughly a, e, o, u, m, i and a pause."""
SOUND_SECONDS = 0.22
BLINKS_A_SECOND = 0.3
BLINK_SECONDS = 0.15


def postures(times: Times, strength: float, rng: np.random.Generator) -> ActionTrack:
    """Postures that come and stay for a good part of a take; the first frame has none.

    Args:
        times: Second of each frame.
        strength: 0 for none; 1 for a restless person.
        rng: Draws which, when and how strongly.
    """
    track = np.zeros((len(times), len(ACTIONS)))
    share = times / max(float(times[-1]), 1e-9)
    for _ in range(rng.poisson(1.2 * strength)):
        track += np.outer(_coming(share, rng), strength * _posture(rng))
    return track


def unrest(times: Times, strength: float, rng: np.random.Generator) -> ActionTrack:
    """A first frame that is not at rest: a posture, and a few actions of expressions, all gone before long.

    Args:
        times: Second of each frame.
        strength: 0 for none; 1 for a restless person.
        rng: Draws which, how strongly, and when they go.
    """
    share = times / max(float(times[-1]), 1e-9)
    track = np.outer(_going(share, rng), _posture(rng))
    for place in rng.choice(len(RESTING), 3, replace=False):
        track += np.outer(_going(share, rng), weights_of(RESTING[int(place)]) * rng.uniform(0.2, 1.0))
    return np.asarray(strength * track)


def talk(times: Times, strength: float, rng: np.random.Generator) -> ActionTrack:
    """One mouth shape after the other, smoothly; the first frame is silent."""
    knots = np.arange(0.0, float(times[-1]) + 2 * SOUND_SECONDS, SOUND_SECONDS)
    shapes = np.stack([weights_of(SOUNDS[int(rng.integers(len(SOUNDS)))]) for _ in knots])
    shapes *= strength * rng.uniform(0.5, 1.1, (len(knots), 1))
    shapes[0] = 0.0
    return np.stack([np.interp(times, knots, column) for column in shapes.T], axis=1)


def blinks(times: Times, often: float, rng: np.random.Generator) -> ActionTrack:
    """Lids that close and open again within ``BLINK_SECONDS``; never in the first frame.

    Args:
        times: Second of each frame.
        often: 1 for the usual number of blinks.
        rng: Draws when.
    """
    length = float(times[-1])
    moments = rng.uniform(BLINK_SECONDS, max(length, 2 * BLINK_SECONDS), rng.poisson(BLINKS_A_SECOND * often * length))
    distance = np.abs(times[:, None] - moments[None, :]).min(axis=1, initial=np.inf)
    closed = np.clip(1.5 * (1.0 - 2.0 * distance / BLINK_SECONDS), 0.0, 1.0)
    return np.outer(closed, weights_of({"AU45": 1.0}))


def look_about(times: Times, strength: float, rng: np.random.Generator) -> ActionTrack:
    """The eyes drift away from the camera; they look at it in the first frame."""
    track = np.zeros((len(times), len(ACTIONS)))
    for action in ("gaze_left", "gaze_up"):
        drift = np.sin(np.pi * times / rng.uniform(2.0, 8.0)) * rng.normal(0.0, 0.4 * strength)
        track[:, ACTIONS.index(action)] = np.clip(drift, -1.0, 1.0)
    return track


def _posture(rng: np.random.Generator) -> Weights:
    """One posture, at some strength, to either side, often of one cheek or mouth corner only."""
    weights: Weights = weights_of(POSTURES[int(rng.integers(len(POSTURES)))]) * rng.uniform(0.4, 1.0)
    side = rng.choice(("L", "R", "both"))
    for place, action in enumerate(ACTIONS):
        if action in ("jaw_left", "mouth_left"):
            weights[place] *= 1.0 if side == "L" else -1.0
        elif action.endswith(("_L", "_R")) and side != "both" and not action.endswith(f"_{side}"):
            weights[place] = 0.0
    return weights


def _coming(share: Times, rng: np.random.Generator) -> Times:
    """A rise early or late, and at times a fall."""
    begin, length = rng.uniform(0.05, 0.5), rng.uniform(0.25, 0.8)
    return np.asarray(smooth((share - begin) / 0.12) - smooth((share - begin - length) / 0.12))


def _going(share: Times, rng: np.random.Generator) -> Times:
    """Held from before the first frame; it goes before the apex, as a rule."""
    return np.asarray(1.0 - smooth((share - rng.uniform(0.0, 0.3)) / 0.12))


def smooth(share: Times) -> Times:
    """Cubic step: 0 below 0, 1 above 1."""
    clipped = np.clip(share, 0.0, 1.0)
    return np.asarray(clipped * clipped * (3.0 - 2.0 * clipped))
