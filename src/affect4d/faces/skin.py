"""Painting a face: a picture in which every pixel is a material point, so that skin and paint move together.

The upper four fifths of the picture are the skin; the strip below holds the left eye, the right eye and the inside of
the mouth.
"""

import functools

import numpy as np
from jaxtyping import Float32, Float64
from scipy.ndimage import gaussian_filter

from affect4d.faces.actions import ACTIONS
from affect4d.faces.anatomy import eye_opening, mouth_slit
from affect4d.faces.face_model import Albedo, Appearance
from affect4d.faces.fields import (
    EYE_HALF,
    EYE_P,
    EYE_Q,
    MOUTH_HALF,
    MOUTH_LINE,
    MaterialPoints,
    Scalars,
    mirrored,
    sigmoid,
)

WIDTH, HEIGHT, STRIP = 160, 200, 40
"""Pixels; the strip's height is part of the picture's."""
P_HALF, Q_LOW, Q_HIGH = 105.0, -97.0, 101.0
MELANIN = np.array([0.0, 0.3, 0.55, 0.8, 1.0])
TONES = np.array([[0.93, 0.78, 0.70], [0.80, 0.60, 0.48], [0.62, 0.43, 0.31], [0.42, 0.27, 0.19], [0.27, 0.17, 0.13]])
TEETH, GAPE = np.array([0.93, 0.9, 0.83]), np.array([0.16, 0.05, 0.05])
TONGUE = np.array([0.62, 0.28, 0.28])

Mask = Float64[np.ndarray, " pixels"]
Paint = Float64[np.ndarray, "pixels 3"]


def skin_coordinates(points: MaterialPoints) -> Float32[np.ndarray, "points 2"]:
    """(u, v) of material points, v up."""
    u = 0.5 + 0.5 * points[:, 0] / P_HALF
    share = (points[:, 1] - Q_LOW) / (Q_HIGH - Q_LOW)
    return np.stack([u, (STRIP + (HEIGHT - STRIP) * share) / HEIGHT], axis=1).astype(np.float32)


def eye_coordinates(directions: Float64[np.ndarray, "points 3"], side: float) -> Float32[np.ndarray, "points 2"]:
    """(u, v) of points of an eyeball, given as directions from its centre with the gaze straight ahead."""
    centre = np.array([0.125 if side > 0 else 0.375, 0.5 * STRIP / HEIGHT])
    reach = np.array([0.118, 0.47 * STRIP / HEIGHT])
    return np.asarray((centre + directions[:, :2] * reach).astype(np.float32))


def mouth_coordinates(across: Scalars, height: Scalars) -> Float32[np.ndarray, "points 2"]:
    """(u, v) inside the mouth; both arguments run −1…1."""
    return np.stack([0.75 + 0.235 * across, STRIP / HEIGHT * (0.5 + 0.47 * height)], axis=1).astype(np.float32)


def paint_skin(appearance: Appearance) -> Albedo:
    """The picture of a person without light, 0…1, row 0 at the top."""
    skin = _skin(appearance).reshape(HEIGHT - STRIP, WIDTH, 3)
    eye = _eye(appearance)
    strip = np.concatenate([eye, eye, _mouth()], axis=1)
    return np.asarray(np.clip(np.concatenate([skin, strip]), 0.0, 1.0).astype(np.float32))


@functools.cache
def wrinkle_maps() -> Float32[np.ndarray, "actions height width"]:
    """Where each action folds the skin of the picture, 0…1."""
    points = _skin_pixels()
    maps = np.zeros((len(ACTIONS), HEIGHT, WIDTH), dtype=np.float32)
    for index, action in enumerate(ACTIONS):
        name, _, side = action.partition("_")
        folds = _folds(mirrored(points) if side == "R" else points, name)
        maps[index, : HEIGHT - STRIP] = folds.reshape(HEIGHT - STRIP, WIDTH)
    return maps


def _folds(points: MaterialPoints, name: str) -> Mask:
    """Folds of the left half."""
    p, q = points.T
    left = sigmoid(p / 2.0)
    if name in ("AU1", "AU2"):
        centre = 12.0 if name == "AU1" else 38.0
        return np.asarray(left * _comb(q, (64.0, 71.0, 78.0)) * np.exp(-0.5 * ((p - centre) / 14.0) ** 2))
    if name == "AU4":
        return np.asarray(left * np.exp(-0.5 * ((p - 5.0) / 1.3) ** 2) * np.exp(-0.5 * ((q - 50.0) / 6.0) ** 2))
    if name == "AU6":
        return np.asarray(
            0.8 * left * _comb(q + 0.3 * (p - 50.0), (30.0, 35.5, 41.0)) * np.exp(-0.5 * ((p - 54.0) / 4.5) ** 2)
        )
    if name == "AU9":
        return np.asarray(left * _comb(q - 0.3 * p, (22.0, 27.0, 32.0)) * np.exp(-0.5 * ((p - 4.0) / 5.0) ** 2))
    if name in ("AU10", "AU12"):
        return np.asarray(0.8 * left * _stroke(points, (17.0, -3.0), (33.0, -33.0), 1.4))
    return np.zeros(len(points))


def _skin(appearance: Appearance) -> Paint:
    points = _skin_pixels()
    base = np.stack([np.interp(appearance.melanin, MELANIN, TONES[:, channel]) for channel in range(3)])
    paint = base * _complexion(points, appearance)
    paint = _age(points, paint, appearance)
    paint = _beard(points, paint, appearance)
    paint = _lip_colour(points, paint, appearance)
    paint = _around_eyes(points, paint, appearance)
    paint = _over(paint, 0.35 * base * np.array([0.8, 0.6, 0.6]), 0.9 * _nostrils(points))
    return _hair(points, paint, appearance)


def _complexion(points: MaterialPoints, appearance: Appearance) -> Paint:
    """Blotches, freckles and blushed cheeks, as a factor on the skin's colour."""
    rng = np.random.default_rng(appearance.speckle)
    shape = (HEIGHT - STRIP, WIDTH)
    blotches = 0.5 * gaussian_filter(rng.normal(0, 1, shape), 6.0).ravel()
    freckles = gaussian_filter((rng.random(shape) > 0.985).astype(float), 0.6).ravel() * rng.uniform(0.0, 0.8)
    cheeks = sum(_spot(points, (side * 42.0, 2.0), (15.0, 13.0)) for side in (1, -1)) + _spot(points, (0, -2), (10, 9))
    red = np.array([0.02, -0.08, -0.07]) * (1.0 - 0.6 * appearance.melanin)
    return np.asarray(1.0 + cheeks[:, None] * red + (blotches - freckles * (1.0 - appearance.melanin))[:, None])


def _age(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    """Lines and bags that stay."""
    folds = 0.5 * _folds(points, "AU1") + 0.5 * _folds(mirrored(points), "AU1")
    folds = folds + 0.8 * (_folds(points, "AU12") + _folds(mirrored(points), "AU12"))
    bags = sum(_spot(points, (side * 30.0, 27.0), (11.0, 3.0)) for side in (1, -1))
    return np.asarray(paint * (1.0 - (0.22 * appearance.age * (folds + bags))[:, None]))


def _beard(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    p, q = np.abs(points[:, 0]), points[:, 1]
    jaw = sigmoid((-30.0 - q + 0.55 * np.clip(p - 30, 0, None)) / 4.0) * sigmoid((p - 8 + 0.5 * (-20 - q)) / 4.0)
    moustache = _spot(points, (0.0, -19.0), (18.0, 3.5))
    cover = 0.6 * appearance.beard * np.clip(jaw + moustache, 0.0, 1.0)
    return _over(paint, np.asarray(appearance.hair) * 0.9, cover)


def _lip_colour(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    p, q = points.T
    t = p / (MOUTH_HALF + 1.0)
    arch = np.clip(1.0 - t**2, 0.0, None)
    upper = MOUTH_LINE + 7.0 * arch - 1.0 * np.exp(-((p / 4.0) ** 2))
    lower = MOUTH_LINE - 8.5 * np.sqrt(arch) * arch**0.25
    inside = sigmoid((upper - q) / 0.6) * sigmoid((q - lower) / 0.6) * (np.abs(t) < 1)
    colour = paint * (1 - 0.45 * appearance.lips) + np.array([0.62, 0.2, 0.22]) * (0.45 * appearance.lips)
    paint = _over(paint, colour * np.array([0.95, 0.78, 0.8]), inside)
    line = np.exp(-0.5 * (np.clip(np.abs(q - MOUTH_LINE) - mouth_slit(points), 0, None) / 0.8) ** 2)
    return _over(paint, np.array([0.2, 0.07, 0.07]), 0.75 * line * sigmoid((MOUTH_HALF + 2.0 - np.abs(p)) / 0.7))


def _around_eyes(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    """Lashes, the crease of the lid, and brows."""
    for sided in (points, mirrored(points)):
        p, q = sided.T
        beside = sigmoid((EYE_HALF + 1.0 - np.abs(p - EYE_P)) / 0.8)
        height = np.clip(eye_opening(sided), -4.0, None)
        lashes = np.exp(-0.5 * (height / 1.1) ** 2) * beside * np.where(q > EYE_Q, 1.0, 0.5)
        crease = np.exp(-0.5 * ((height - 4.2) / 0.8) ** 2) * beside * (q > EYE_Q)
        paint = paint * (1.0 - (0.3 * crease)[:, None])
        paint = _over(paint, np.array([0.08, 0.06, 0.05]), 0.8 * lashes)
        paint = _over(paint, 0.75 * np.asarray(appearance.hair), _brow(sided, appearance))
    return paint


def _brow(points: MaterialPoints, appearance: Appearance) -> Mask:
    p, q = points.T
    middle = brow_height(p)
    thick = (2.6 if appearance.gender == "F" else 3.3) * np.clip(1.2 - (p - 10.0) / 62.0, 0.25, 1.0)
    along = sigmoid((p - 11.0) / 1.2) * sigmoid((51.0 - p) / 1.2)
    return np.asarray(appearance.brows * along * np.exp(-(np.abs((q - middle) / thick) ** 3)))


def brow_height(p: Scalars) -> Scalars:
    """Height of the left brow's middle at each p, mm."""
    return np.asarray(51.0 + 4.5 * (1.0 - ((p - 35.0) / 22.0) ** 2))


def _nostrils(points: MaterialPoints) -> Mask:
    return np.asarray(_spot(points, (6.5, -10.5), (3.2, 1.6)) + _spot(points, (-6.5, -10.5), (3.2, 1.6)))


def _hair(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    p, q = np.abs(points[:, 0]), points[:, 1]
    top = 84.0 + appearance.hairline - 0.004 * p**2
    line = np.where(p < 62.0, top, top - 3.2 * (p - 62.0))
    rng = np.random.default_rng(appearance.speckle + 1)
    columns = np.clip(((points[:, 0] / P_HALF + 1) * WIDTH / 2).astype(int), 0, WIDTH - 1)
    strands = rng.uniform(0.8, 1.15, WIDTH)[columns]
    cover = sigmoid((q - line) / 1.5) * (q > -15.0 - 40.0 * (appearance.gender == "F"))
    return _over(paint, np.asarray(appearance.hair) * strands[:, None], cover)


def _eye(appearance: Appearance) -> Float64[np.ndarray, "strip strip 3"]:
    """An eyeball from the front: sclera, iris, pupil and a glint."""
    axis = (np.arange(STRIP) + 0.5) / STRIP * 2.0 - 1.0
    x, y = np.meshgrid(axis / 0.94, -axis / 0.94)
    radius = np.hypot(x, y)
    paint = np.broadcast_to([0.93, 0.91, 0.89], (STRIP, STRIP, 3)) * (1.0 - 0.25 * radius[..., None] ** 2)
    rim = np.asarray(appearance.iris) * np.where(radius > 0.33, 0.5, 1.0)[..., None]
    for colour, reach in ((rim, 0.39), (np.array([0.02, 0.02, 0.02]), 0.17)):
        cover = sigmoid((reach - radius) / 0.015)[..., None]
        paint = paint * (1 - cover) + colour * cover
    glint = np.exp(-((x - 0.1) ** 2 + (y - 0.14) ** 2) / 0.004)[..., None]
    return np.asarray(paint * (1 - 0.8 * glint) + 0.8 * glint)


def _mouth() -> Float64[np.ndarray, "strip wide 3"]:
    """Upper teeth, dark, tongue and lower teeth."""
    rows = -((np.arange(STRIP) + 0.5) / STRIP * 2.0 - 1.0)[:, None] / 0.94
    columns = ((np.arange(2 * STRIP) + 0.5) / STRIP - 1.0)[None, :] / 0.94
    gaps = 1.0 - 0.25 * np.exp(-(((columns * 6.0) % 1.0 - 0.5) ** 2) / 0.01)
    curve = 0.22 * columns**2
    upper = sigmoid((rows - 0.3 - curve) / 0.03)
    lower = sigmoid((-0.55 - curve - rows) / 0.03)
    tongue = sigmoid((-0.15 - rows - 0.5 * columns**2) / 0.08)
    paint = _over(np.broadcast_to(GAPE, (STRIP, 2 * STRIP, 3)), TONGUE * 0.8, tongue)
    teeth = TEETH * (gaps * sigmoid((0.9 - np.abs(columns)) / 0.05))[..., None]
    return _over(_over(paint, teeth, upper), 0.9 * teeth, lower)


@functools.cache
def _skin_pixels() -> MaterialPoints:
    """The material point of each pixel of the skin, row by row from the top."""
    p = P_HALF * (2.0 * (np.arange(WIDTH) + 0.5) / WIDTH - 1.0)
    rows = HEIGHT - STRIP
    q = Q_HIGH - (Q_HIGH - Q_LOW) * (np.arange(rows) + 0.5) / rows
    across, along = np.meshgrid(p, q)
    return np.stack([across.ravel(), along.ravel()], axis=1)


def _over(paint: Paint, colour: Paint, cover: Mask) -> Paint:
    """Lay a colour over the paint where the mask covers."""
    cover = np.clip(cover, 0.0, 1.0)[..., None]
    return np.asarray(paint * (1.0 - cover) + colour * cover)


def _spot(points: MaterialPoints, centre: tuple[float, float], radius: tuple[float, float]) -> Mask:
    return np.asarray(np.exp(-0.5 * (((points - centre) / radius) ** 2).sum(axis=1)))


def _comb(values: Scalars, lines: tuple[float, ...]) -> Mask:
    return np.asarray(sum(np.exp(-0.5 * ((values - line) / 1.1) ** 2) for line in lines))


def _stroke(points: MaterialPoints, start: tuple[float, float], end: tuple[float, float], width: float) -> Mask:
    """A soft line from one point to another."""
    along = np.subtract(end, start)
    share = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
    distance = np.linalg.norm(points - (np.asarray(start) + share[:, None] * along), axis=1)
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))
