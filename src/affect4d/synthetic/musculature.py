"""What each facial action does to the procedural face, as displacement fields in mm at weight 1.

Peak displacements follow those of published blend shapes: smile 12, brow 8, lids 10, jaw 28 mm.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64

from affect4d.synthetic.actions import ACTIONS, SIDED
from affect4d.synthetic.fields import (
    LOWER_LID,
    MOUTH_LINE,
    UPPER_LID,
    Bump,
    Displacement,
    MaterialPoints,
    below_mouth,
    both_sides,
    left_field,
    lower_lid,
    mirrored,
    sigmoid,
    upper_lid,
)

CORNER = (26.0, MOUTH_LINE)

BUMPS: Mapping[str, tuple[Bump, ...]] = MappingProxyType(
    {
        "AU1": (Bump((13, 53), (11, 11), (-1.0, 8.5, 0.5)), Bump((12, 70), (16, 7), (0, 3, 2.0))),
        "AU2": (Bump((40, 54), (13, 11), (1.0, 9.0, 0.0)), Bump((36, 72), (18, 7), (0, 3, 2.0))),
        "AU4": (
            Bump((17, 51), (13, 9), (-4.0, -7.5, 2.0)),
            Bump((38, 54), (12, 8), (-1.5, -3.5, 0.5)),
            Bump((5, 48), (3.5, 8), (-1.5, -2.0, 3.5)),
        ),
        "AU5": (),
        "AU6": (
            Bump((40, 16), (14, 11), (0.5, 5.5, 5.5)),
            Bump((52, 34), (8, 9), (-2.0, 0.5, 1.5)),
        ),
        "AU7": (Bump((32, 27), (12, 5), (0.0, 1.5, 1.5)),),
        "AU9": (
            Bump((13, -3), (7, 8), (1.5, 5.5, 1.5)),
            Bump((8, 22), (5, 8), (0.0, 2.0, 3.5)),
            Bump((22, 10), (8, 10), (0.0, 4.0, 3.0)),
            Bump((14, 50), (10, 8), (-2.0, -5.0, 1.0)),
            Bump((9, -27), (10, 5), (1.0, 3.5, 1.0), "upper"),
        ),
        "AU10": (
            Bump((10, -28), (10, 6), (1.0, 7.5, 2.0), "upper"),
            Bump((22, -8), (7, 10), (1.5, 4.0, 3.5)),
        ),
        "AU12": (
            Bump(CORNER, (12, 10), (8.5, 10.5, -3.5)),
            Bump((36, -14), (10, 10), (3.0, 4.5, 4.5)),
            Bump((40, 10), (12, 10), (0.5, 2.5, 2.5)),
            Bump((12, -36), (12, 8), (0.0, -1.0, -1.5)),
        ),
        "AU14": (Bump((30, MOUTH_LINE), (6, 7), (4.0, 1.5, -5.5)), Bump((40, -34), (6, 8), (0.0, 0.0, 3.0))),
        "AU15": (
            Bump(CORNER, (9, 9), (1.0, -9.0, -1.0)),
            Bump((30, -46), (9, 8), (1.0, -3.0, 3.0)),
        ),
        "AU16": (Bump((11, -39), (11, 7), (1.0, -6.5, 1.5), "lower"),),
        "AU17": (
            Bump((0, -56), (14, 9), (0.0, 8.0, 4.0)),
            Bump((6, -39), (14, 6), (0.0, 6.0, 3.5), "lower"),
            Bump((6, -27), (14, 5), (0.0, 3.0, 2.0), "upper"),
            Bump((0, -46), (10, 3), (0.0, 1.0, -3.0)),
        ),
        "AU18": (
            Bump(CORNER, (11, 10), (-9.0, 0.0, 3.0)),
            Bump((6, -32), (9, 8), (-1.0, 0.0, 5.0)),
        ),
        "AU20": (
            Bump(CORNER, (12, 9), (9.5, -2.5, -4.0)),
            Bump((36, -48), (10, 12), (3.5, -2.0, 1.0)),
            Bump((8, -37), (12, 6), (1.0, 0.0, -2.5)),
        ),
        "AU22": (
            Bump(CORNER, (11, 10), (-6.5, 0.0, 2.5)),
            Bump((7, -27), (11, 5), (0.0, 2.8, 5.0), "upper"),
            Bump((7, -38), (11, 5.5), (0.0, -4.0, 5.0), "lower"),
        ),
        "AU23": (
            Bump(CORNER, (9, 8), (-4.0, 0.0, 1.0)),
            Bump((8, -28), (12, 3.5), (-0.8, -2.5, -1.0), "upper"),
            Bump((8, -37), (12, 3.5), (-0.8, 2.8, -1.0), "lower"),
        ),
        "AU24": (
            Bump((8, -27), (15, 4), (0.0, -3.6, -2.2), "upper"),
            Bump((8, -38), (15, 4), (0.0, 3.8, -2.2), "lower"),
            Bump((32, -33), (5, 8), (-1.5, 0.0, 3.0)),
        ),
        "AU25": (
            Bump((7, -30), (14, 6), (0.0, 2.6, 0.0), "upper"),
            Bump((7, -36), (14, 7), (0.0, -4.8, 0.0), "lower"),
        ),
        "AU26": (Bump(CORNER, (8, 9), (-2.5, 0.0, 0.0)), Bump((44, -40), (12, 18), (-2.5, 0.0, -1.5))),
        "AU28": (
            Bump((8, -28.5), (15, 4), (0.0, -2.8, -4.5), "upper"),
            Bump((8, -36.5), (15, 5), (0.0, 3.2, -5.0), "lower"),
            Bump((0, -50), (14, 6), (0.0, 2.0, 1.5)),
        ),
        "AU34": (Bump((44, -22), (15, 15), (3.5, 0.0, 8.0)), Bump((24, -22), (8, 7), (0.0, 0.0, 3.0))),
        "gaze_left": (),
        "gaze_up": (),
    }
)
LID_SHIFTS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "AU4": (-1.2, 0.0),
        "AU5": (3.4, -0.3),
        "AU6": (-0.6, 1.8),
        "AU7": (-1.6, 2.6),
        "AU9": (-0.8, 1.5),
        "AU45": (-(UPPER_LID + 0.7 * LOWER_LID), 0.4 * LOWER_LID),
    }
)
"""Rise of the upper and of the lower lid margin, mm."""
JAW_DROP = (0.0, -28.0, -7.0)
JAW_SLIDE = (8.0, 0.0, 0.0)
LIPS_DRAWN = (9.0, 0.0, 0.0)
"""To the subject's left, mm at weight 1."""


def action_field(points: MaterialPoints, action: str) -> Displacement:
    """What an action does to the skin, mm at weight 1.

    Args:
        points: Places on the skin, in the material plane.
        action: One of ``ACTIONS``.
    """
    name, _, side = action.partition("_")
    if name not in SIDED:
        return _central_field(points, action)
    if side == "L":
        return _left_action(points, name)
    return np.asarray(_left_action(mirrored(points), name) * np.array([-1.0, 1.0, 1.0]))


def action_basis(points: MaterialPoints) -> Float64[np.ndarray, "actions points 3"]:
    """All actions, in the order of ``ACTIONS``."""
    return np.stack([action_field(points, action) for action in ACTIONS])


def jaw_share(points: MaterialPoints) -> Float64[np.ndarray, " points"]:
    """How much a point follows the jaw: the chin fully, the ear and the neck little."""
    hinge = sigmoid((64.0 - np.abs(points[:, 0])) / 7.0)
    return np.asarray(below_mouth(points) * hinge * sigmoid((points[:, 1] + 92.0) / 5.0))


def _central_field(points: MaterialPoints, action: str) -> Displacement:
    if action == "jaw_left":
        return np.asarray(jaw_share(points)[:, None] * np.asarray(JAW_SLIDE))
    if action == "mouth_left":
        return np.asarray(_round_the_mouth(points)[:, None] * np.asarray(LIPS_DRAWN))
    field = both_sides(points, BUMPS[action])
    if action == "AU26":
        field = field + jaw_share(points)[:, None] * np.asarray(JAW_DROP)
    return field


def _round_the_mouth(points: MaterialPoints) -> Float64[np.ndarray, " points"]:
    """How much a point follows lips that are drawn aside."""
    p, q = points.T
    return np.asarray(np.exp(-0.5 * ((p / 28.0) ** 2 + ((q - MOUTH_LINE) / 13.0) ** 2)))


def _left_action(points: MaterialPoints, name: str) -> Displacement:
    field = left_field(points, BUMPS.get(name, ()))
    upper, lower = LID_SHIFTS.get(name, (0.0, 0.0))
    field[:, 1] += upper * upper_lid(points) + lower * lower_lid(points)
    return field
