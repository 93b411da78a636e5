"""Where facial actions fold the skin of the picture."""

import functools
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32

from affect4d.synthetic.actions import ACTIONS, SIDED, Weights
from affect4d.synthetic.canvas import HEIGHT, STRIP, WIDTH, Mask, comb, skin_pixels, stroke
from affect4d.synthetic.face_model import Relief
from affect4d.synthetic.fields import MOUTH_LINE, MaterialPoints, Scalars, mirrored, sigmoid


def relief_of(weights: Weights) -> Relief:
    """How deeply the skin is folded under these weights, 0…1."""
    active = np.clip(weights, 0.0, 1.0).astype(np.float32)
    return np.clip(np.tensordot(active, wrinkle_maps(), axes=1), 0.0, 1.0)


@functools.cache
def wrinkle_maps() -> Float32[np.ndarray, "actions height width"]:
    """Where each action folds the skin of the picture, 0…1."""
    points = skin_pixels()
    maps = np.zeros((len(ACTIONS), HEIGHT, WIDTH), dtype=np.float32)
    for index, action in enumerate(ACTIONS):
        name, _, side = action.partition("_")
        folds = folds_of(mirrored(points) if side == "R" else points, name)
        maps[index, : HEIGHT - STRIP] = folds.reshape(HEIGHT - STRIP, WIDTH)
    return maps


def folds_of(points: MaterialPoints, name: str) -> Mask:
    """Folds that an action makes in the left half (a central one in both), 0…1; many actions fold nothing."""
    if name not in FOLDS:
        return np.zeros(len(points))
    mask = FOLDS[name](*points.T)
    return np.asarray(mask * sigmoid(points[:, 0] / 2.0) if name in SIDED else mask)


def _forehead(centre: float, p: Scalars, q: Scalars) -> Mask:
    return np.asarray(comb(q, (64.0, 71.0, 78.0)) * np.exp(-0.5 * ((p - centre) / 14.0) ** 2))


def _frown(p: Scalars, q: Scalars) -> Mask:
    return np.asarray(np.exp(-0.5 * ((p - 5.0) / 1.3) ** 2 - 0.5 * ((q - 50.0) / 6.0) ** 2))


def _crows_feet(p: Scalars, q: Scalars) -> Mask:
    return np.asarray(0.8 * comb(q + 0.3 * (p - 50.0), (30.0, 35.5, 41.0)) * np.exp(-0.5 * ((p - 54.0) / 4.5) ** 2))


def _nose_wrinkles(p: Scalars, q: Scalars) -> Mask:
    return np.asarray(comb(q - 0.3 * p, (22.0, 27.0, 32.0)) * np.exp(-0.5 * ((p - 4.0) / 5.0) ** 2))


def _pebbled_chin(p: Scalars, q: Scalars) -> Mask:
    chin = np.exp(-0.5 * ((p / 11.0) ** 2 + ((q + 58.0) / 6.0) ** 2))
    return np.asarray(0.4 * chin * (1.0 + np.cos(1.6 * p) * np.cos(1.6 * q)))


def _puckered_lips(p: Scalars, q: Scalars) -> Mask:
    return np.asarray(0.6 * np.exp(-0.5 * ((q - MOUTH_LINE) / 7.0) ** 2) * comb(np.abs(p), (5.0, 10.0, 15.0)))


def _line(strength: float, start: tuple[float, float], end: tuple[float, float], p: Scalars, q: Scalars) -> Mask:
    return np.asarray(strength * stroke(np.stack([p, q], axis=1), start, end, 1.4))


FOLDS: Mapping[str, Callable[[Scalars, Scalars], Mask]] = MappingProxyType(
    {
        "AU1": partial(_forehead, 12.0),
        "AU2": partial(_forehead, 38.0),
        "AU4": _frown,
        "AU6": _crows_feet,
        "AU9": _nose_wrinkles,
        "AU10": partial(_line, 0.8, (17.0, -3.0), (33.0, -33.0)),
        "AU12": partial(_line, 0.8, (17.0, -3.0), (33.0, -33.0)),
        "AU14": partial(_line, 1.0, (30.0, -27.0), (32.0, -38.0)),
        "AU15": partial(_line, 0.7, (28.0, -37.0), (33.0, -52.0)),
        "AU17": _pebbled_chin,
        "AU18": _puckered_lips,
        "AU20": partial(_line, 0.6, (37.0, -24.0), (39.0, -46.0)),
    }
)
"""Folds of each action over p and q, mm in the material plane, written for the left half."""
