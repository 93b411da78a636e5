"""Every generated attribute of a take, as metadata: fairness and robustness can be measured against a known truth."""

from typing import Any

import numpy as np

from affect4d.synthetic.actions import ACTIONS, SIDED, ActionTrack
from affect4d.synthetic.face_model import Subject
from affect4d.synthetic.performance import Performance
from affect4d.synthetic.sensor import Recording


def describe(subject: Subject, performance: Performance, track: ActionTrack, recording: Recording) -> dict[str, Any]:
    """One flat row of known truth a take.

    Args:
        subject: Who.
        performance: What, and when.
        track: The weights of all actions, frame by frame.
        recording: Under which conditions.

    Returns:
        Plain values by name: of the person (``gender`` … ``beard``), the performance (``kind`` … ``asymmetry``), the
        light (``lamps`` … ``exposure_drift``) and the scanner (``noise_mm`` … ``drift_deg``). Angles are degrees,
        lengths mm, times seconds.
    """
    return {
        **_person(subject),
        **_performed(performance, track),
        **_lit(recording),
        **_scanned(recording),
    }


def _person(subject: Subject) -> dict[str, Any]:
    look = subject.appearance
    return {
        "gender": look.gender,
        "age_group": look.age_group,
        "skin_tone": look.skin_tone,
        "monk_tone": look.monk_tone,
        "melanin": look.melanin,
        "brows": look.brows,
        "lips": look.lips,
        "beard": look.beard,
        "head_size": subject.size,
        "identity_norm": float(np.linalg.norm(subject.shape)),
    }


def _performed(performance: Performance, track: ActionTrack) -> dict[str, Any]:
    times = performance.times
    left, right = track[:, 0 : 2 * len(SIDED) : 2], track[:, 1 : 2 * len(SIDED) : 2]
    blink = track[:, [ACTIONS.index("AU45_L"), ACTIONS.index("AU45_R")]].max(axis=1)
    return {
        "kind": performance.kind,
        "labels": "+".join(performance.labels),
        "intensity": performance.intensity,
        "frames": performance.frames,
        "fps": performance.fps,
        "onset_s": float(times[performance.onset]),
        "apex_s": float(times[performance.apex]),
        "offset_s": float(times[performance.offset]),
        "rise_s": performance.rise,
        "strongest_action": float(np.abs(track).max()),
        "first_frame_activity": float(np.abs(track[0]).max()),
        "asymmetry": float(np.abs(left - right).max()),
        "blinks": int((np.diff((blink > 0.5).astype(int), prepend=0) > 0).sum()),
    }


def _lit(recording: Recording) -> dict[str, Any]:
    lights = recording.lights
    shares = np.linalg.norm(lights.directions, axis=2)
    brightest = int(shares[0].argmax())
    x, y, z = lights.directions[0, brightest] / max(float(shares[0, brightest]), 1e-9)
    return {
        "lamps": len(lights.colours),
        "light_share": float(shares[0].sum()),
        "light_azimuth": float(np.degrees(np.arctan2(x, z))),
        "light_elevation": float(np.degrees(np.arcsin(np.clip(y, -1.0, 1.0)))),
        "light_warmth": float(lights.colours[brightest, 0] - lights.colours[brightest, 2]),
        "exposure": float(lights.exposure.mean()),
        "exposure_drift": float(np.ptp(lights.exposure)),
    }


def _scanned(recording: Recording) -> dict[str, Any]:
    turned, moved = recording.turns, recording.places
    return {
        "noise_mm": recording.noise_mm,
        "density": recording.density,
        "hair_strands": recording.strands,
        "pose_pitch": float(turned[0, 0]),
        "pose_yaw": float(turned[0, 1]),
        "pose_roll": float(turned[0, 2]),
        "residue_deg": float(np.linalg.norm(recording.tracker.turn)),
        "residue_mm": float(np.linalg.norm(recording.tracker.shift)),
        "drift_deg": float(np.linalg.norm(turned - turned[0], axis=1).max()),
        "drift_mm": float(np.linalg.norm(moved - moved[0], axis=1).max()),
    }
