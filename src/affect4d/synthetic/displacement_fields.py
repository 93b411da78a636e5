"""Displacement fields over the material plane, and those of every action unit, mm at weight 1.

A field is a sum of smooth bumps, written for the left half and mirrored. Peak displacements follow those of published
blend shapes: smile 12, brow 8, lids 10, jaw 28 mm.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL
from affect4d.synthetic.face_model_and_skin_coordinates import (
    EYE,
    MOUTH,
    MaterialPoints,
    ModeBasis,
    PointScalars,
    SpacePoints,
    mirrored,
    sigmoid,
)

SkinRegion = Literal["skin", "upper", "lower"]


@dataclass(frozen=True)
class Bump:
    """A Gaussian bump of the left half: centre, standard deviations and peak displacement, mm."""

    centre: tuple[float, float]
    radius: tuple[float, float]
    shift: tuple[float, float, float]
    region: SkinRegion = "skin"  # limited to above or below the mouth's slit, or anywhere on the skin


CORNER = (26.0, MOUTH.q)

UNIT_BUMPS: tuple[tuple[str, Bump], ...] = (
    ("AU1", Bump((13, 53), (11, 11), (-1.0, 8.5, 0.5))),
    ("AU1", Bump((12, 70), (16, 7), (0, 3, 2.0))),
    ("AU2", Bump((40, 54), (13, 11), (1.0, 9.0, 0.0))),
    ("AU2", Bump((36, 72), (18, 7), (0, 3, 2.0))),
    ("AU4", Bump((17, 51), (13, 9), (-4.0, -7.5, 2.0))),
    ("AU4", Bump((38, 54), (12, 8), (-1.5, -3.5, 0.5))),
    ("AU4", Bump((5, 48), (3.5, 8), (-1.5, -2.0, 3.5))),
    ("AU6", Bump((40, 16), (14, 11), (0.5, 5.5, 5.5))),
    ("AU6", Bump((52, 34), (8, 9), (-2.0, 0.5, 1.5))),
    ("AU7", Bump((32, 27), (12, 5), (0.0, 1.5, 1.5))),
    ("AU9", Bump((13, -3), (7, 8), (1.5, 5.5, 1.5))),
    ("AU9", Bump((8, 22), (5, 8), (0.0, 2.0, 3.5))),
    ("AU9", Bump((22, 10), (8, 10), (0.0, 4.0, 3.0))),
    ("AU9", Bump((14, 50), (10, 8), (-2.0, -5.0, 1.0))),
    ("AU9", Bump((9, -27), (10, 5), (1.0, 3.5, 1.0), "upper")),
    ("AU10", Bump((10, -28), (10, 6), (1.0, 7.5, 2.0), "upper")),
    ("AU10", Bump((22, -8), (7, 10), (1.5, 4.0, 3.5))),
    ("AU12", Bump(CORNER, (12, 10), (8.5, 10.5, -3.5))),
    ("AU12", Bump((36, -14), (10, 10), (3.0, 4.5, 4.5))),
    ("AU12", Bump((40, 10), (12, 10), (0.5, 2.5, 2.5))),
    ("AU12", Bump((12, -36), (12, 8), (0.0, -1.0, -1.5))),
    ("AU14", Bump((30, MOUTH.q), (6, 7), (4.0, 1.5, -5.5))),
    ("AU14", Bump((40, -34), (6, 8), (0.0, 0.0, 3.0))),
    ("AU15", Bump(CORNER, (9, 9), (1.0, -9.0, -1.0))),
    ("AU15", Bump((30, -46), (9, 8), (1.0, -3.0, 3.0))),
    ("AU16", Bump((11, -39), (11, 7), (1.0, -6.5, 1.5), "lower")),
    ("AU17", Bump((0, -56), (14, 9), (0.0, 8.0, 4.0))),
    ("AU17", Bump((6, -39), (14, 6), (0.0, 6.0, 3.5), "lower")),
    ("AU17", Bump((6, -27), (14, 5), (0.0, 3.0, 2.0), "upper")),
    ("AU17", Bump((0, -46), (10, 3), (0.0, 1.0, -3.0))),
    ("AU18", Bump(CORNER, (11, 10), (-9.0, 0.0, 3.0))),
    ("AU18", Bump((6, -32), (9, 8), (-1.0, 0.0, 5.0))),
    ("AU20", Bump(CORNER, (12, 9), (9.5, -2.5, -4.0))),
    ("AU20", Bump((36, -48), (10, 12), (3.5, -2.0, 1.0))),
    ("AU20", Bump((8, -37), (12, 6), (1.0, 0.0, -2.5))),
    ("AU22", Bump(CORNER, (11, 10), (-6.5, 0.0, 2.5))),
    ("AU22", Bump((7, -27), (11, 5), (0.0, 2.8, 5.0), "upper")),
    ("AU22", Bump((7, -38), (11, 5.5), (0.0, -4.0, 5.0), "lower")),
    ("AU23", Bump(CORNER, (9, 8), (-4.0, 0.0, 1.0))),
    ("AU23", Bump((8, -28), (12, 3.5), (-0.8, -2.5, -1.0), "upper")),
    ("AU23", Bump((8, -37), (12, 3.5), (-0.8, 2.8, -1.0), "lower")),
    ("AU24", Bump((8, -27), (15, 4), (0.0, -3.6, -2.2), "upper")),
    ("AU24", Bump((8, -38), (15, 4), (0.0, 3.8, -2.2), "lower")),
    ("AU24", Bump((32, -33), (5, 8), (-1.5, 0.0, 3.0))),
    ("AU25", Bump((7, -30), (14, 6), (0.0, 2.6, 0.0), "upper")),
    ("AU25", Bump((7, -36), (14, 7), (0.0, -4.8, 0.0), "lower")),
    ("AU26", Bump(CORNER, (8, 9), (-2.5, 0.0, 0.0))),
    ("AU26", Bump((44, -40), (12, 18), (-2.5, 0.0, -1.5))),
    ("AU28", Bump((8, -28.5), (15, 4), (0.0, -2.8, -4.5), "upper")),
    ("AU28", Bump((8, -36.5), (15, 5), (0.0, 3.2, -5.0), "lower")),
    ("AU28", Bump((0, -50), (14, 6), (0.0, 2.0, 1.5))),
    ("AU34", Bump((44, -22), (15, 15), (3.5, 0.0, 8.0))),
    ("AU34", Bump((24, -22), (8, 7), (0.0, 0.0, 3.0))),
)
"""Bumps of each unit; a unit has several."""
LID_SHIFTS: Mapping[str, tuple[float, float]] = {
    "AU4": (-1.2, 0.0),
    "AU5": (3.4, -0.3),
    "AU6": (-0.6, 1.8),
    "AU7": (-1.6, 2.6),
    "AU9": (-0.8, 1.5),
    "AU45": (-(EYE.upper + 0.7 * EYE.lower), 0.4 * EYE.lower),
}
"""Rise of the upper and of the lower lid margin, mm."""
JAW_DROP = (0.0, -28.0, -7.0)
JAW_SLIDE = (8.0, 0.0, 0.0)
LIPS_DRAWN = (9.0, 0.0, 0.0)  # to the subject's left, mm at weight 1


def left_field(points: MaterialPoints, bumps: Iterable[Bump]) -> SpacePoints:
    """Displacement of each point, mm: the sum of the bumps, fading out across the midline."""
    total = np.zeros((len(points), 3))
    for bump in bumps:
        offset = (points - bump.centre) / bump.radius
        weight = np.exp(-0.5 * (offset**2).sum(axis=1)) * _region_weight(points, bump.region)
        total += weight[:, None] * np.asarray(bump.shift)
    return np.asarray(total * sigmoid(points[:, 0] / 2.5)[:, None])


def both_sides(points: MaterialPoints, bumps: tuple[Bump, ...]) -> SpacePoints:
    """A symmetric field from its left half."""
    right = left_field(mirrored(points), bumps) * np.array([-1.0, 1.0, 1.0])
    return np.asarray(left_field(points, bumps) + right)


def action_basis(points: MaterialPoints) -> ModeBasis:
    """Fields of all units at material points, in the order of ``ACTION_UNITS``."""
    return np.stack([_action_field(points, unit) for unit in ACTION_UNITS])


def _action_field(points: MaterialPoints, unit: str) -> SpacePoints:
    name, _, side = unit.partition("_")
    if name not in BILATERAL:
        return _central_field(points, unit)
    if side == "L":
        return _left_field(points, name)
    return np.asarray(_left_field(mirrored(points), name) * np.array([-1.0, 1.0, 1.0]))


def _bumps(unit: str) -> tuple[Bump, ...]:
    return tuple(bump for name, bump in UNIT_BUMPS if name == unit)


def _left_field(points: MaterialPoints, name: str) -> SpacePoints:
    field = left_field(points, _bumps(name))
    upper, lower = LID_SHIFTS.get(name, (0.0, 0.0))
    field[:, 1] += upper * _upper_lid(points) + lower * _lower_lid(points)
    return field


def _central_field(points: MaterialPoints, unit: str) -> SpacePoints:
    if unit == "jaw_left":
        return np.asarray(_jaw_share(points)[:, None] * np.asarray(JAW_SLIDE))
    if unit == "mouth_left":
        p, q = points.T
        share = np.exp(-0.5 * ((p / 28.0) ** 2 + ((q - MOUTH.q) / 13.0) ** 2))
        return np.asarray(np.asarray(share)[:, None] * np.asarray(LIPS_DRAWN))
    field = both_sides(points, _bumps(unit))
    if unit == "AU26":
        field = field + _jaw_share(points)[:, None] * np.asarray(JAW_DROP)
    return field


def _jaw_share(points: MaterialPoints) -> PointScalars:
    """Share of the jaw's movement at a point: all at the chin, little at the ear and the neck."""
    hinge = sigmoid((64.0 - np.abs(points[:, 0])) / 7.0)
    return np.asarray(_below_mouth(points) * hinge * sigmoid((points[:, 1] + 92.0) / 5.0))


def _below_mouth(points: MaterialPoints) -> PointScalars:
    """Membership of the lower jaw, 0…1: sharp at the slit, soft beside the mouth."""
    p, q = np.abs(points[:, 0]), points[:, 1]
    beside = np.clip(p - MOUTH.half + 4.0, 0.0, None)
    return sigmoid((MOUTH.q - 0.15 * beside - q) / (0.35 + 0.35 * beside))


def _upper_lid(points: MaterialPoints) -> PointScalars:
    """Share of the left upper lid's movement at a point: 1 at mid-margin, 0 at the corners."""
    arch, across = _lid_arch(points)
    rise = points[:, 1] - EYE.q - EYE.upper * arch
    return np.where(points[:, 1] > EYE.q, across * np.exp(-0.5 * (np.clip(rise, 0.0, None) / 4.0) ** 2), 0.0)


def _lower_lid(points: MaterialPoints) -> PointScalars:
    arch, across = _lid_arch(points)
    drop = EYE.q - EYE.lower * arch - points[:, 1]
    return np.where(points[:, 1] <= EYE.q, across * np.exp(-0.5 * (np.clip(drop, 0.0, None) / 4.5) ** 2), 0.0)


def _lid_arch(points: MaterialPoints) -> tuple[PointScalars, PointScalars]:
    """Height of the left lid margin over the corners (share of mid-height), and the lids' freedom to move there."""
    arch = np.clip(1.0 - ((points[:, 0] - EYE.p) / EYE.half) ** 2, 0.0, 1.0)
    return arch, np.sqrt(arch) * arch**0.25


def _region_weight(points: MaterialPoints, region: SkinRegion) -> PointScalars | float:
    if region == "skin":
        return 1.0
    below = _below_mouth(points)
    return below if region == "lower" else 1.0 - below
