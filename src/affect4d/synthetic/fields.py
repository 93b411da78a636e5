"""Displacement fields over the procedural face: smooth bumps on the *material plane*.

A material point (p, q) is a place on the skin of the mean face, in mm: p along the surface from the midline to the
subject's left, q up, (0, 0) the tip of the nose. Every field is written for the left half; the right is its mirror
image.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

MaterialPoints = Float64[np.ndarray, "points 2"]
Scalars = Float64[np.ndarray, " points"]
Displacement = Float64[np.ndarray, "points 3"]

MOUTH_LINE = -32.0
MOUTH_HALF = 25.0
SLIT_HALF = 1.6
"""Half the height of the mouth's slit in the material plane; in space it is closed."""
EYE_P, EYE_Q = 32.0, 38.0
EYE_HALF, UPPER_LID, LOWER_LID = 14.5, 6.0, 4.2

Place = Literal["skin", "upper", "lower"]


@dataclass(frozen=True)
class Bump:
    """A Gaussian bump of the left half.

    Attributes:
        centre: (p, q), mm.
        radius: Standard deviations along p and q, mm.
        shift: Displacement at the centre, mm.
        place: Limited to above or below the mouth's slit, or anywhere on the skin.
    """

    centre: tuple[float, float]
    radius: tuple[float, float]
    shift: tuple[float, float, float]
    place: Place = "skin"


def left_field(points: MaterialPoints, bumps: Iterable[Bump]) -> Displacement:
    """Sum of bumps, fading out across the midline.

    Returns:
        Displacement of each point, mm.
    """
    total = np.zeros((len(points), 3))
    for bump in bumps:
        offset = (points - bump.centre) / bump.radius
        weight = np.exp(-0.5 * (offset**2).sum(axis=1)) * _place_weight(points, bump.place)
        total += weight[:, None] * np.asarray(bump.shift)
    return np.asarray(total * sigmoid(points[:, 0] / 2.5)[:, None])


def mirrored(points: MaterialPoints) -> MaterialPoints:
    """The same places on the other half."""
    return np.asarray(points * np.array([-1.0, 1.0]))


def right_field(points: MaterialPoints, bumps: Iterable[Bump]) -> Displacement:
    """The mirror image of :func:`left_field`."""
    return np.asarray(left_field(mirrored(points), bumps) * np.array([-1.0, 1.0, 1.0]))


def both_sides(points: MaterialPoints, bumps: tuple[Bump, ...]) -> Displacement:
    """A symmetric field from its left half."""
    return np.asarray(left_field(points, bumps) + right_field(points, bumps))


def below_mouth(points: MaterialPoints) -> Scalars:
    """How much a point belongs to the lower jaw, 0…1: sharp at the slit, soft beside the mouth."""
    p, q = np.abs(points[:, 0]), points[:, 1]
    beside = np.clip(p - MOUTH_HALF + 4.0, 0.0, None)
    return sigmoid((MOUTH_LINE - 0.15 * beside - q) / (0.35 + 0.35 * beside))


def upper_lid(points: MaterialPoints) -> Scalars:
    """How much a point of the left half follows the upper lid: 1 at mid-margin, 0 at the corners."""
    arch, across = lid_arch(points)
    rise = points[:, 1] - EYE_Q - UPPER_LID * arch
    return np.where(points[:, 1] > EYE_Q, across * np.exp(-0.5 * (np.clip(rise, 0.0, None) / 4.0) ** 2), 0.0)


def lower_lid(points: MaterialPoints) -> Scalars:
    """How much a point of the left half follows the lower lid."""
    arch, across = lid_arch(points)
    drop = EYE_Q - LOWER_LID * arch - points[:, 1]
    return np.where(points[:, 1] <= EYE_Q, across * np.exp(-0.5 * (np.clip(drop, 0.0, None) / 4.5) ** 2), 0.0)


def lid_arch(points: MaterialPoints) -> tuple[Scalars, Scalars]:
    """Height of the left lid margin over the corners (share of mid-height), and the lids' freedom to move there."""
    arch = np.clip(1.0 - ((points[:, 0] - EYE_P) / EYE_HALF) ** 2, 0.0, 1.0)
    return arch, np.sqrt(arch) * arch**0.25


def sigmoid(values: Scalars) -> Scalars:
    """Smooth step from 0 to 1."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -50.0, 50.0))))


def _place_weight(points: MaterialPoints, place: Place) -> Scalars | float:
    if place == "skin":
        return 1.0
    below = below_mouth(points)
    return below if place == "lower" else 1.0 - below
