"""Movement in time: neutral → apex → neutral, and movements that mean nothing (blinks, talking, gaze)."""

import numpy as np
from jaxtyping import Float64

from affect4d.faces.actions import ACTIONS, ActionTrack, Weights

Envelope = Float64[np.ndarray, " frames"]
DISTRACTOR_STRENGTH = {"AU24": 0.45, "AU25": 0.4, "AU26": 0.22, "AU18": 0.35, "AU14": 0.4, "AU2": 0.35, "AU7": 0.35}


def rise_and_fall(times: Envelope, onset: float, rise: float, hold: float, fall: float) -> Envelope:
    """Smooth rise, plateau and slower decay of one action.

    Args:
        times: Time of each frame as a share of the sequence, 0…1.
        onset: When the rise begins.
        rise: How long it takes.
        hold: How long the plateau lasts.
        fall: How long the decay takes.

    Returns:
        0 before the onset and after the decay, 1 on the plateau.
    """
    up = _smooth((times - onset) / rise)
    down = _smooth((times - onset - rise - hold) / fall)
    return np.asarray(up - down)


def perform(apex: Weights, lag: Weights, frames: int, rng: np.random.Generator) -> ActionTrack:
    """Weights of every action in every frame; frame 0 is neutral.

    Args:
        apex: Weights at the apex.
        lag: Onset delay of each action, as a share of the rise.
        frames: Length of the sequence.
        rng: Draws the timing of this take.
    """
    times = np.linspace(0.0, 1.0, frames)
    onset, rise, hold = rng.uniform(0.08, 0.2), rng.uniform(0.15, 0.25), rng.uniform(0.2, 0.3)
    fall = rng.uniform(0.2, 0.3)
    envelopes = [rise_and_fall(times, onset + delay * rise, rise, hold, fall) for delay in lag]
    return np.asarray(apex * np.stack(envelopes, axis=1))


def distract(frames: int, strength: float, rng: np.random.Generator) -> ActionTrack:
    """Movements that belong to no expression; frame 0 has none.

    Args:
        frames: Length of the sequence.
        strength: 0 for none; 1 for a restless person.
        rng: Draws which movements, and when.
    """
    track = np.zeros((frames, len(ACTIONS)))
    times = np.linspace(0.0, 1.0, frames)
    _blink(track, rng, strength)
    _look_about(track, times, rng, strength)
    for action, peak in DISTRACTOR_STRENGTH.items():
        if rng.random() < 0.35 * strength:
            pulse = rise_and_fall(times, rng.uniform(0.05, 0.7), 0.12, rng.uniform(0.0, 0.3), 0.15)
            _add(track, action, min(strength, 1.5) * peak * rng.uniform(0.4, 1.0) * pulse)
    return track


def _blink(track: ActionTrack, rng: np.random.Generator, strength: float) -> None:
    """Lids closed for one frame, with a chance per frame."""
    closed = (rng.random(len(track)) < min(0.08 * strength, 0.5)) & (np.arange(len(track)) > 0)
    _add(track, "AU45", closed * rng.uniform(0.6, 1.0))


def _look_about(track: ActionTrack, times: Envelope, rng: np.random.Generator, strength: float) -> None:
    """The eyes drift away from the camera and back."""
    for action in ("gaze_left", "gaze_up"):
        drift = np.sin(np.pi * times * rng.uniform(0.5, 2.0)) * rng.normal(0.0, 0.4 * strength)
        _add(track, action, np.clip(drift, -1.0, 1.0))


def _add(track: ActionTrack, action: str, amount: Envelope) -> None:
    """Add to an action, or to both halves of it."""
    names = (action,) if action in ACTIONS else (f"{action}_L", f"{action}_R")
    for name in names:
        track[:, ACTIONS.index(name)] += amount


def _smooth(share: Envelope) -> Envelope:
    """Cubic step: 0 below 0, 1 above 1."""
    clipped = np.clip(share, 0.0, 1.0)
    return np.asarray(clipped * clipped * (3.0 - 2.0 * clipped))
