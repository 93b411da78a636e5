"""A face of 83 points that can be moved by hand."""

import numpy as np
import pytest

from affect4d.scans.landmarks import MIRROR

RIGHT = {
    **{
        row: (-30 + 12 * share, 30 + 4 * lift, -20)
        for row, share, lift in [
            (0, -1.3, 0),
            (1, -0.6, 1),
            (2, 0, 1.3),
            (3, 0.6, 1),
            (4, 1.1, 0),
            (5, 0.6, -1),
            (6, 0, -1.2),
            (7, -0.6, -1),
        ]
    },
    **{16 + step: (-52 + 10 * step, 47 + 2 * (2 - abs(step - 2)), -12) for step in range(5)},
    **{21 + step: (-12 - 10 * step, 43 + 2 * (2 - abs(step - 2)), -11) for step in range(5)},
    36: (-9, 28, -12),
    37: (-11, 14, -8),
    38: (-14, 4, -10),
    39: (-17, -2, -14),
    40: (-9, -6, -10),
    48: (-25, -35, -18),
    49: (-16, -30, -12),
    50: (-7, -28, -9),
    58: (-9, -43, -11),
    59: (-17, -40, -14),
    60: (-23, -35, -18),
    61: (-10, -33, -12),
    67: (-10, -36, -12),
    **{68 + step: (-72 + 9 * step, 25 - 15 * step, -90 + 9 * step) for step in range(7)},
}
MIDDLE = {41: (0, -8, -5), 47: (0, 0, 0), 51: (0, -29, -8), 57: (0, -45, -10), 62: (0, -33, -11), 66: (0, -36, -11),
          75: (0, -82, -22)}  # fmt: skip


@pytest.fixture
def face():
    """Neutral landmarks [83, 3], mm, mirror-symmetric."""
    points = np.zeros((83, 3))
    for row, place in {**RIGHT, **MIDDLE}.items():
        points[row] = place
        points[MIRROR[row]] = np.array(place) * (-1, 1, 1)
    return points


@pytest.fixture
def perform(face):
    """Landmarks [frames, 83, 3] of a face that moves groups of rows by offsets and comes back.

    Offsets are of the subject's right side; the left does the mirror image.
    """

    def perform(*moves, frames=7, strength=1.0):
        apex = np.zeros((83, 3))
        for rows, offset in moves:
            for row in rows:
                apex[row] = offset
                apex[MIRROR[row]] = np.array(offset) * (-1, 1, 1)
        course = strength * np.sin(np.linspace(0, np.pi, frames)) ** 0.5
        return face + course[:, None, None] * apex

    return perform
