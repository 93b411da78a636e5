"""A face of 83 landmarks that moves on demand, and a small unlabelled corpus of six expressions."""

import numpy as np
import pandas as pd
import pytest

from affect4d.scans.landmark_names import MIRROR

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
UP, DOWN = (0, 4, 0), (0, -4, 0)
INNER_BROWS_UP, OUTER_BROWS_UP = ([19, 20, 21, 22], (0, 5, 0)), ([16, 17, 18, 23, 24, 25], (0, 5, 0))
BROWS_TOGETHER = ([18, 19, 20, 21, 22, 23], (2.5, -3, 0))
BROWS_UP_AND_TOGETHER = ([19, 20, 21, 22], (2, 3, 0))
LIDS_UP, LOWER_LIDS_UP = ([1, 2, 3], (0, 2, 0)), ([5, 6, 7], (0, 2, 0))
JAW_DOWN = ([56, 57, 58, 59, 65, 66, 67, 73, 74, 75], (0, -9, 0))
LIP_CORNERS, UPPER_LIP, LOWER_LIP = [48, 60], [49, 50, 51, 61, 62], [56, 57, 58]
MOVES = {
    "anger": (BROWS_TOGETHER, ([1, 2, 3], (0, 1, 0)), LOWER_LIDS_UP, ([50, 51], (0, -2, 0)), (LOWER_LIP, (0, 2, 0))),
    "disgust": (([38, 39, 40], UP), (UPPER_LIP, UP), ([19, 20, 21], (0, -1, 0)), (LIP_CORNERS, (0, -1, 0))),
    "fear": (
        BROWS_UP_AND_TOGETHER,
        OUTER_BROWS_UP,
        LIDS_UP,
        (LIP_CORNERS, (-5, -1, -3)),
        ([*LOWER_LIP, 65, 66, 67, 75], DOWN),
    ),
    "happiness": ((LIP_CORNERS, (-6, 5, -4)), LOWER_LIDS_UP, ([39], (-2, 0, 0)), (UPPER_LIP, (0, 1, 0))),
    "sadness": (BROWS_UP_AND_TOGETHER, (LIP_CORNERS, DOWN), ([*LOWER_LIP, 66, 74, 75], (0, 1, 0))),
    "surprise": (INNER_BROWS_UP, OUTER_BROWS_UP, LIDS_UP, JAW_DOWN),
}


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


@pytest.fixture
def corpus(perform):
    """A scan manifest without labels, and the truth: 8 subjects, 6 expressions, 7 frames, 0.4 mm landmark error."""
    rng = np.random.default_rng(0)
    rows, truth = [], {}
    for subject in range(8):
        for number, expression in enumerate(rng.permutation(list(MOVES))):
            name = f"F{subject:03d}/{number}"
            track = perform(*MOVES[expression], strength=rng.uniform(0.7, 1.2)) * rng.uniform(0.9, 1.1)
            track = track + rng.normal(0, 0.25, track.shape)
            truth[name] = expression
            rows += [(name, f"F{subject:03d}", frame, points.ravel().tolist()) for frame, points in enumerate(track)]
    return pd.DataFrame(rows, columns=["sequence", "subject", "frame", "landmarks"]), pd.Series(truth)


@pytest.fixture
def static(corpus):
    """The same people scan by scan, all of one size: the apex of every expression, and as ``…/6`` a neutral face."""
    scans, truth = corpus
    rows = []
    for name, subject in scans.groupby("sequence", sort=False)["subject"].first().items():
        track = np.stack(scans[scans["sequence"] == name]["landmarks"].to_list()).reshape(-1, 83, 3)
        track *= 100 / np.linalg.norm(track[0, 0] - track[0, 8])
        rows.append((name, subject, 0, track[4].ravel().tolist()))
        if name.endswith("/0"):
            rows.append((f"{subject}/6", subject, 0, track[0].ravel().tolist()))
    return pd.DataFrame(rows, columns=scans.columns), truth
