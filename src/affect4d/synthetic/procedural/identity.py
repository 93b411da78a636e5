"""The neutral procedural face: points of the mean face in space, and the modes in which identities differ.

Proportions are those of an average adult (hairline to chin 180 mm, eyes 64 mm apart, mouth 50 mm wide); no scan or
data set stands behind it.
"""

import numpy as np
from jaxtyping import Float64
from scipy.interpolate import PchipInterpolator

from affect4d.synthetic.face_model import SpacePoints
from affect4d.synthetic.procedural.displacement_fields import Bump, both_sides
from affect4d.synthetic.skin_coordinates import (
    EYE,
    MOUTH,
    MaterialPoints,
    PointScalars,
    eye_opening,
    mouth_slit,
    sigmoid,
)

HEIGHTS = np.array([-95, -88, -78, -68, -56, -46, -32, -20, -8, 15, 35, 52, 62, 80, 100], dtype=float)
DEPTHS = np.array([-58, -46, -30, -21, -19, -23, -21, -22, -24, -24, -22, -17, -18, -25, -42], dtype=float)
HALF_WIDTHS = np.array([40, 44, 49, 54, 60, 63, 67, 70, 72, 74, 75, 74, 73, 70, 64], dtype=float)
HEAD_DEPTH = 88.0
EYE_RADIUS = 15.5
EYE_SINK = 12.0
"""The eyeball's centre lies this far behind the skin that would cover the socket."""

_depth, _half_width = PchipInterpolator(HEIGHTS, DEPTHS), PchipInterpolator(HEIGHTS, HALF_WIDTHS)
_bridge = PchipInterpolator([-16, -12, -7, -2, 2, 12, 25, 36, 48], [0, 3, 15, 22.5, 23.5, 17.5, 9.5, 3.5, 0])
_bridge_width = PchipInterpolator([-16, -2, 2, 12, 25, 36, 48], [9, 8.5, 8, 6.5, 5.5, 7, 9])

FORM: tuple[Bump, ...] = (
    Bump((13.0, -5.0), (5.0, 5.5), (0, 0, 8.5)),  # nose wing
    Bump((30.0, 53.0), (18, 5.0), (0, 0, 3.5)),  # brow ridge
    Bump((44.0, 8.0), (12, 11), (0, 0, 5.0)),  # cheekbone
    Bump((34.0, 38.0), (15, 9.0), (0, 0, -5.0)),  # socket
    Bump((16.0, 36.0), (6, 8.0), (0, 0, -6.0)),  # inner corner
    Bump((0.0, -20.0), (2.5, 5.0), (0, 0, -1.5)),  # philtrum
    Bump((0.0, -60.0), (13, 8.0), (0, 0, 3.0)),  # chin
    Bump((0.0, -46.0), (14, 4.0), (0, 0, -2.0)),  # fold under the lip
    Bump((20.0, -12.0), (4, 9.0), (0, 0, -2.0)),  # nasolabial fold
    Bump((27.5, -32.0), (3.5, 4.0), (0, 0, -2.5)),  # mouth corner
    Bump((72.0, 45.0), (9, 22.0), (0, 0, -3.0)),  # temple
)

IDENTITY: tuple[tuple[Bump, ...], ...] = (
    (Bump((70, 10), (40, 80), (4.0, 0, 0)),),  # wide face
    (Bump((60, -55), (25, 25), (4.5, 0, 0)),),  # wide jaw
    (Bump((0, -80), (60, 26), (0, -5.0, 0)),),  # long chin
    (Bump((0, -64), (20, 14), (0, 0, 3.5)),),  # prominent chin
    (Bump((0, 85), (70, 25), (0, 4.0, 5.0)),),  # high, upright forehead
    (Bump((30, 53), (22, 6), (0, -0.5, 2.2)),),  # brow ridge
    (Bump((EYE.p, 42), (19, 15), (2.6, 0, 0)),),  # eyes wide apart
    (Bump((EYE.p, 44), (18, 8), (0, 1.3, 0)), Bump((EYE.p, 32), (18, 6), (0, -0.5, 0))),  # open eyes
    (Bump((46, 40), (9, 9), (0, 1.6, 0)), Bump((18, 38), (8, 8), (0, -0.8, 0))),  # slanted eyes
    (Bump((30, 54), (22, 8), (0, 2.6, 0)),),  # high brows
    (Bump((46, 54), (9, 7), (0, 2.2, 0)),),  # arched brows
    (Bump((0, -2), (11, 13), (0, 0, 3.0)),),  # prominent nose
    (Bump((0, -4), (16, 11), (0, -3.0, 0)),),  # long nose
    (Bump((14, -5), (9, 9), (2.2, 0, 0)),),  # wide nose
    (Bump((0, 20), (6, 10), (0, 0, 2.5)),),  # bridge
    (Bump((0, 0), (8, 5), (0, 2.5, 0)),),  # turned-up tip
    (Bump((27, -32), (12, 12), (2.8, 0, 0)),),  # wide mouth
    (Bump((0, -26), (20, 3.5), (0, 1.2, 1.2), "upper"), Bump((0, -38), (20, 4), (0, -1.4, 1.4), "lower")),  # full lips
    (Bump((0, -34), (32, 11), (0, -3.2, 0)),),  # low mouth
    (Bump((45, 8), (14, 12), (1.0, 0, 3.0)),),  # cheekbones
    (Bump((42, -25), (17, 18), (1.5, 0, 3.5)),),  # full cheeks
    (Bump((0, -30), (30, 15), (0, 0, 2.8)),),  # prominent mouth
    (Bump((27, -32), (7, 6), (0, 1.2, 0)),),  # mouth corners up
    (Bump((75, 40), (22, 40), (3.0, 0, -2.0)),),  # wide temples
)
"""One field for each parameter, at one standard deviation."""
FREE_MODES = 12
"""Further smooth, asymmetric modes without a name."""
SIZE_SPREAD = 0.045
"""Standard deviation of the head size, as a share of it."""
SHAPE_COUNT = 1 + len(IDENTITY) + FREE_MODES


def neutral_points(points: MaterialPoints) -> SpacePoints:
    """Points of the mean face in space, mouth closed, mm."""
    p, q = points[:, 0], points[:, 1]
    width = _half_width(np.clip(q, HEIGHTS[0], HEIGHTS[-1]))
    angle = p / 74.0
    place = np.stack([width * np.sin(angle), q + _slit_closing(points), _skull(q, angle)], axis=1)
    place += both_sides(points, FORM)
    place[:, 2] += _nose(points) + _lips(points)
    place[:, 2] = _hug_eyes(points, place)
    return place


def identity_basis(points: MaterialPoints) -> Float64[np.ndarray, "shape points 3"]:
    """Displacements of each identity parameter, mm at one standard deviation; the first is the size of the head."""
    named = [both_sides(points, bumps) for bumps in IDENTITY]
    free = [_free_mode(points, index) for index in range(FREE_MODES)]
    return np.stack([SIZE_SPREAD * neutral_points(points), *named, *free])


def eye_centre(side: float) -> Float64[np.ndarray, "3"]:
    """Centre of an eyeball of the mean face, mm; ``side`` is 1 for the left and −1 for the right."""
    point = np.array([[EYE.p, EYE.q]])
    angle = point[:, 0] / 74.0
    z = _skull(point[:, 1], angle)[0] - EYE_SINK - 5.0
    x = float(_half_width(EYE.q)) * np.sin(angle[0])
    return np.array([side * x, EYE.q, z])


def _skull(q: PointScalars, angle: PointScalars) -> PointScalars:
    """Depth of the skull's front: flat before, round towards the ears."""
    return np.asarray(_depth(np.clip(q, HEIGHTS[0], HEIGHTS[-1])) - HEAD_DEPTH * (1.0 - np.cos(angle)))


def _slit_closing(points: MaterialPoints) -> PointScalars:
    offset = points[:, 1] - MOUTH.q
    gap = mouth_slit(points)
    return np.asarray(-np.sign(offset) * gap * np.exp(-np.clip(np.abs(offset) - gap, 0.0, None) / 6.0))


def _nose(points: MaterialPoints) -> PointScalars:
    q = np.clip(points[:, 1], -16.0, 48.0)
    return np.asarray(_bridge(q) * np.exp(-0.5 * (points[:, 0] / _bridge_width(q)) ** 2))


def _lips(points: MaterialPoints) -> PointScalars:
    """Two cushions with the line of the mouth between them."""
    t = points[:, 0] / (MOUTH.half + 2.0)
    taper = np.clip(1.0 - t**2, 0.0, None)
    q = points[:, 1] - 0.8 * np.cos(2.2 * np.pi * t) * taper * (points[:, 1] > MOUTH.q)
    upper = 4.6 * np.exp(-0.5 * ((q + 27.8) / 2.9) ** 2)
    lower = 5.4 * np.exp(-0.5 * ((q + 37.2) / 3.3) ** 2)
    line = -2.6 * np.exp(-0.5 * ((q + 32.0) / 1.6) ** 2)
    return np.asarray((upper + lower + line) * np.sqrt(taper))


def _hug_eyes(points: MaterialPoints, place: SpacePoints) -> PointScalars:
    """Depth with the lid margins laid onto the eyeballs."""
    z = place[:, 2].copy()
    for side in (1.0, -1.0):
        centre = eye_centre(side)
        lateral = ((place[:, :2] - centre[:2]) ** 2).sum(axis=1)
        ball = centre[2] + np.sqrt(np.clip((EYE_RADIUS + 0.6) ** 2 - lateral, 9.0, None))
        opening = eye_opening(points * np.array([side, 1.0]))
        beside = np.clip(np.abs(side * points[:, 0] - EYE.p) - EYE.half, 0.0, None)
        hug = np.exp(-(((np.clip(opening, 0.0, None) + beside) / 4.5) ** 2))
        z += hug * (np.maximum(ball, z - 8.0) - z)
    return z


def _free_mode(points: MaterialPoints, index: int) -> SpacePoints:
    """A smooth ripple, different for each index, strongest at the front."""
    rng = np.random.default_rng([83, index])
    wave = rng.normal(0.0, 1.0, 2) / np.array([45.0, 45.0])
    phase, direction = rng.uniform(0.0, 2.0 * np.pi), rng.normal(0.0, 0.55, 3)
    ripple = np.sin(points @ wave + phase) * sigmoid((85.0 - np.abs(points[:, 0])) / 8.0)
    return np.asarray(ripple[:, None] * direction)
