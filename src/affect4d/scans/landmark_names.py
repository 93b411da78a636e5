"""The 83 facial landmarks of the BU corpora: named and rigid points, and mirror image.

The *order inside each group* is this project's convention ([ours]: BU publishes it as a drawing only); every face
model of ``affect4d.synthetic`` writes it, and every measurement reads it through the names below. "right" is the
**subject's** right (−x), which is on the left of a frontal image.

::

    rows | group | order
    0–7 | right eye | outer corner, upper lid (3, towards the nose), inner corner, lower lid (3, back outwards)
    8–15 | left eye | the mirror image, row by row
    16–25 | right brow | upper edge outer → inner (5), lower edge inner → outer (5)
    26–35 | left brow | the mirror image, row by row
    36–47 | nose | right root 36, side 37, upper wing 38, wing 39, nostril 40; base 41; left 42–46 back up; tip 47
    48–59 | outer lip | right corner 48, upper edge to the left (49–53), left corner 54, lower edge back (55–59)
    60–67 | inner lip | right corner 60, upper (61–63), left corner 64, lower back (65–67)
    68–82 | contour | right ear → chin 75 → left ear
"""

from collections.abc import Mapping

import numpy as np

LANDMARK_COUNT = 83

NAMED: Mapping[str, int] = {
    "right_eye_outer": 0,
    "right_upper_lid": 2,
    "right_eye_inner": 4,
    "right_lower_lid": 6,
    "left_eye_outer": 8,
    "left_upper_lid": 10,
    "left_eye_inner": 12,
    "left_lower_lid": 14,
    "right_brow_outer": 16,
    "right_brow_middle": 18,
    "right_brow_inner": 20,
    "left_brow_outer": 26,
    "left_brow_middle": 28,
    "left_brow_inner": 30,
    "right_wing": 39,
    "left_wing": 43,
    "nose_base": 41,
    "nose_tip": 47,
    "right_mouth_corner": 48,
    "upper_lip_top": 51,
    "left_mouth_corner": 54,
    "lower_lip_bottom": 57,
    "upper_lip_inner": 62,
    "lower_lip_inner": 66,
    "chin": 75,
}

RIGID: tuple[int, ...] = (0, 4, 8, 12, 36, 37, 45, 46, 41, 47, 68, 69, 81, 82)
"""Landmarks that expressions move least: eye corners, nose root, sides, base and tip, contour at the ears."""


def _mirror() -> tuple[int, ...]:
    order = np.arange(LANDMARK_COUNT)
    order[0:8], order[8:16] = np.arange(8, 16), np.arange(0, 8)
    order[16:26], order[26:36] = np.arange(26, 36), np.arange(16, 26)
    order[36:47] = np.arange(36, 47)[::-1]
    order[48:60] = [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55]
    order[60:68] = [64, 63, 62, 61, 60, 67, 66, 65]
    order[68:83] = np.arange(68, 83)[::-1]
    return tuple(int(index) for index in order)


MIRROR: tuple[int, ...] = _mirror()
"""``landmarks[list(MIRROR)] * (-1, 1, 1)`` is the landmark set of the mirrored face."""
