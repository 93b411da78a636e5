"""Painting: skin, brows, lips, hair, eyes and mouth of a subject as a texture without light, and its wrinkles.

The skin tones run over the ten steps of the Monk Skin Tone Scale (E. Monk, Google 2022), given as its sRGB values.
"""

import functools
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float32, Float64
from scipy.ndimage import gaussian_filter

from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL, ActionWeights
from affect4d.synthetic.face_model_and_skin_coordinates import (
    EYE,
    HEIGHT,
    MOUTH,
    P_HALF,
    STRIP,
    WIDTH,
    MaterialPoints,
    PointScalars,
    brow_height,
    eye_opening,
    mirrored,
    mouth_slit,
    sigmoid,
    skin_pixels,
)
from affect4d.synthetic.subject_appearance_and_expressive_style import Appearance

Albedo = Float32[np.ndarray, "height width 3"]  # texture without light, RGB 0…1, row 0 at the top
WrinkleMap = Float32[np.ndarray, "height width"]  # depth of the skin's folds over the texture, 0…1
PixelMask = Float64[np.ndarray, " pixels"]
PixelColours = Float64[np.ndarray, "pixels 3"]
FoldMask = Callable[[PointScalars, PointScalars], PixelMask]

MONK = (0xF6EDE4, 0xF3E7DB, 0xF7EAD0, 0xEADABA, 0xD7BD96, 0xA07E56, 0x825C43, 0x604134, 0x3A312A, 0x292420)
TONES = np.array([[tone >> 16 & 255, tone >> 8 & 255, tone & 255] for tone in MONK]) / 255.0
BLOOD = np.array([0.95, 0.84, 0.80])  # blood under pale skin, a factor on RGB; it fades with melanin
TEETH, GAPE = np.array([0.93, 0.9, 0.83]), np.array([0.16, 0.05, 0.05])
TONGUE = np.array([0.62, 0.28, 0.28])


def paint_skin(appearance: Appearance) -> Albedo:
    """The texture of a subject without light."""
    skin = _skin(appearance).reshape(HEIGHT - STRIP, WIDTH, 3)
    eye = _eye(appearance)
    strip = np.concatenate([eye, eye, _mouth()], axis=1)
    return np.asarray(np.clip(np.concatenate([skin, strip]), 0.0, 1.0).astype(np.float32))


def wrinkle_map(weights: ActionWeights) -> WrinkleMap:
    """Folds of the skin under these weights."""
    active = np.clip(weights, 0.0, 1.0).astype(np.float32)
    return np.clip(np.tensordot(active, _unit_wrinkles(), axes=1), 0.0, 1.0)


@functools.cache
def _unit_wrinkles() -> Float32[np.ndarray, "units height width"]:
    points = skin_pixels()
    maps = np.zeros((len(ACTION_UNITS), HEIGHT, WIDTH), dtype=np.float32)
    for index, unit in enumerate(ACTION_UNITS):
        name, _, side = unit.partition("_")
        folds = _folds(mirrored(points) if side == "R" else points, name)
        maps[index, : HEIGHT - STRIP] = folds.reshape(HEIGHT - STRIP, WIDTH)
    return maps


def _folds(points: MaterialPoints, name: str) -> PixelMask:
    """Folds of a unit in the left half (of a central one in both), 0…1; many units fold nothing."""
    if name not in FOLDS:
        return np.zeros(len(points))
    mask = FOLDS[name](*points.T)
    return np.asarray(mask * sigmoid(points[:, 0] / 2.0) if name in BILATERAL else mask)


def _skin(appearance: Appearance) -> PixelColours:
    points = skin_pixels()
    base = _tone(appearance)
    paint = base * _complexion(points, appearance)
    paint = _age(points, paint, appearance)
    paint = _beard(points, paint, appearance)
    paint = _lip_colour(points, paint, appearance)
    paint = _around_eyes(points, paint, appearance)
    nostrils = _spot(points, (6.5, -10.5), (3.2, 1.6)) + _spot(points, (-6.5, -10.5), (3.2, 1.6))
    paint = _over(paint, 0.35 * base * np.array([0.8, 0.6, 0.6]), 0.9 * nostrils)
    return _hair(points, paint, appearance)


def _tone(appearance: Appearance) -> Float64[np.ndarray, "3"]:
    place = appearance.melanin * (len(TONES) - 1)
    tone = np.array([np.interp(place, np.arange(len(TONES)), TONES[:, channel]) for channel in range(3)])
    return np.asarray(tone * (BLOOD + (1.0 - BLOOD) * appearance.melanin))


def _complexion(points: MaterialPoints, appearance: Appearance) -> PixelColours:
    """Blotches, freckles and blushed cheeks, as a factor on the skin's colour."""
    rng = np.random.default_rng(appearance.speckle)
    shape = (HEIGHT - STRIP, WIDTH)
    blotches = 0.5 * gaussian_filter(rng.normal(0, 1, shape), 6.0).ravel()
    freckles = gaussian_filter((rng.random(shape) > 0.985).astype(float), 0.6).ravel() * rng.uniform(0.0, 0.8)
    cheeks = sum(_spot(points, (side * 42.0, 2.0), (15.0, 13.0)) for side in (1, -1)) + _spot(points, (0, -2), (10, 9))
    red = np.array([0.02, -0.08, -0.07]) * (1.0 - 0.6 * appearance.melanin)
    return np.asarray(1.0 + cheeks[:, None] * red + (blotches - freckles * (1.0 - appearance.melanin))[:, None])


def _age(points: MaterialPoints, paint: PixelColours, appearance: Appearance) -> PixelColours:
    """Lines, bags, hollow cheeks and spots that stay, in the measure of age."""
    lines = sum(_resting_lines(half, appearance.speckle) for half in (points, mirrored(points)))
    bags = sum(_spot(points, (side * 30.0, 26.0), (11.0, 3.0)) for side in (1, -1))
    hollows = sum(_spot(points, (side * 50.0, -22.0), (10.0, 16.0)) for side in (1, -1))
    rng = np.random.default_rng(appearance.speckle + 2)
    shape = (HEIGHT - STRIP, WIDTH)
    spots = gaussian_filter((rng.random(shape) > 0.9994).astype(float), 1.3).ravel() * 2.5
    pores = 0.03 * rng.normal(0.0, 1.0, shape).ravel()
    dark = 0.4 * lines + 0.25 * bags + 0.15 * hollows + np.clip(spots, 0.0, 0.5) + pores
    return np.asarray(paint * (1.0 - (0.8 * appearance.age * dark)[:, None]))


def _resting_lines(half: MaterialPoints, speckle: int) -> PixelMask:
    """Permanent lines of one half: forehead, frown, crow's feet, beside nose and mouth."""
    strength = np.random.default_rng(speckle + 3).uniform(0.3, 1.0, 5)
    marks = [_folds(half, name) for name in ("AU1", "AU4", "AU6", "AU12", "AU15")]
    return np.asarray(sum(share * mark for share, mark in zip(strength, marks, strict=True)))


def _beard(points: MaterialPoints, paint: PixelColours, appearance: Appearance) -> PixelColours:
    p, q = np.abs(points[:, 0]), points[:, 1]
    jaw = sigmoid((-30.0 - q + 0.55 * np.clip(p - 30, 0, None)) / 4.0) * sigmoid((p - 8 + 0.5 * (-20 - q)) / 4.0)
    moustache = _spot(points, (0.0, -19.0), (18.0, 3.5))
    cover = 0.6 * appearance.beard * np.clip(jaw + moustache, 0.0, 1.0)
    return _over(paint, np.asarray(appearance.hair) * 0.9, cover)


def _lip_colour(points: MaterialPoints, paint: PixelColours, appearance: Appearance) -> PixelColours:
    p, q = points.T
    t = p / (MOUTH.half + 1.0)
    arch = np.clip(1.0 - t**2, 0.0, None)
    upper = MOUTH.q + 7.0 * arch - 1.0 * np.exp(-((p / 4.0) ** 2))
    lower = MOUTH.q - 8.5 * np.sqrt(arch) * arch**0.25
    inside = sigmoid((upper - q) / 0.6) * sigmoid((q - lower) / 0.6) * (np.abs(t) < 1)
    colour = paint * (1 - 0.45 * appearance.lips) + np.asarray(appearance.lipstick) * (0.45 * appearance.lips)
    paint = _over(paint, colour * np.array([0.95, 0.78, 0.8]), inside)
    line = np.exp(-0.5 * (np.clip(np.abs(q - MOUTH.q) - mouth_slit(points), 0, None) / 0.8) ** 2)
    return _over(paint, np.array([0.2, 0.07, 0.07]), 0.75 * line * sigmoid((MOUTH.half + 2.0 - np.abs(p)) / 0.7))


def _around_eyes(points: MaterialPoints, paint: PixelColours, appearance: Appearance) -> PixelColours:
    for sided in (points, mirrored(points)):
        p, q = sided.T
        beside = sigmoid((EYE.half + 1.0 - np.abs(p - EYE.p)) / 0.8)
        height = np.clip(eye_opening(sided), -4.0, None)
        lashes = np.exp(-0.5 * (height / 1.1) ** 2) * beside * np.where(q > EYE.q, 1.0, 0.5)
        crease = np.exp(-0.5 * ((height - 4.2) / 0.8) ** 2) * beside * (q > EYE.q)
        paint = paint * (1.0 - (0.3 * crease)[:, None])
        lid = sigmoid((height - 0.5) / 0.6) * sigmoid((7.0 - height) / 1.5) * beside * (q > EYE.q)
        paint = _over(paint, np.asarray(appearance.lipstick) * np.array([0.5, 0.8, 1.1]), 0.5 * appearance.shadow * lid)
        paint = _over(paint, np.array([0.08, 0.06, 0.05]), 0.8 * lashes)
        paint = _over(paint, 0.75 * np.asarray(appearance.hair), _brow(sided, appearance))
    return paint


def _brow(points: MaterialPoints, appearance: Appearance) -> PixelMask:
    p, q = points.T
    middle = brow_height(p)
    thick = (2.6 if appearance.gender == "F" else 3.3) * np.clip(1.2 - (p - 10.0) / 62.0, 0.25, 1.0)
    along = sigmoid((p - 11.0) / 1.2) * sigmoid((51.0 - p) / 1.2)
    return np.asarray(appearance.brows * along * np.exp(-(np.abs((q - middle) / thick) ** 3)))


def _hair(points: MaterialPoints, paint: PixelColours, appearance: Appearance) -> PixelColours:
    p, q = np.abs(points[:, 0]), points[:, 1]
    top = 84.0 + appearance.hairline - 0.004 * p**2
    line = np.where(p < 62.0, top, top - 3.2 * (p - 62.0))
    rng = np.random.default_rng(appearance.speckle + 1)
    columns = np.clip(((points[:, 0] / P_HALF + 1) * WIDTH / 2).astype(int), 0, WIDTH - 1)
    strands = rng.uniform(0.8, 1.15, WIDTH)[columns]
    cover = sigmoid((q - line) / 1.5) * (q > -15.0 - 40.0 * (appearance.gender == "F"))
    return _over(paint, np.asarray(appearance.hair) * strands[:, None], cover)


def _eye(appearance: Appearance) -> Float64[np.ndarray, "strip strip 3"]:
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


def _over(paint: PixelColours, colour: PixelColours, cover: PixelMask) -> PixelColours:
    cover = np.clip(cover, 0.0, 1.0)[..., None]
    return np.asarray(paint * (1.0 - cover) + colour * cover)


def _spot(points: MaterialPoints, centre: tuple[float, float], radius: tuple[float, float]) -> PixelMask:
    return np.asarray(np.exp(-0.5 * (((points - centre) / radius) ** 2).sum(axis=1)))


def _comb(values: PointScalars, lines: tuple[float, ...]) -> PixelMask:
    """Soft lines where the values are these, 1 on each line."""
    return np.asarray(sum(np.exp(-0.5 * ((values - line) / 1.1) ** 2) for line in lines))


def _stroke(points: MaterialPoints, start: tuple[float, float], end: tuple[float, float], width: float) -> PixelMask:
    along = np.subtract(end, start)
    share = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
    distance = np.linalg.norm(points - (np.asarray(start) + share[:, None] * along), axis=1)
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))


def _line(strength: float, start: tuple[float, float], end: tuple[float, float]) -> FoldMask:
    return lambda p, q: strength * _stroke(np.stack([p, q], axis=1), start, end, 1.4)


def _forehead(centre: float) -> FoldMask:
    return lambda p, q: _comb(q, (64.0, 71.0, 78.0)) * np.exp(-0.5 * ((p - centre) / 14.0) ** 2)


FOLDS: Mapping[str, FoldMask] = {
    "AU1": _forehead(12.0),
    "AU2": _forehead(38.0),
    "AU4": lambda p, q: np.exp(-0.5 * ((p - 5.0) / 1.3) ** 2 - 0.5 * ((q - 50.0) / 6.0) ** 2),  # frown
    "AU6": lambda p, q: (  # crow's feet
        0.8 * _comb(q + 0.3 * (p - 50.0), (30.0, 35.5, 41.0)) * np.exp(-0.5 * ((p - 54.0) / 4.5) ** 2)
    ),
    "AU9": lambda p, q: _comb(q - 0.3 * p, (22.0, 27.0, 32.0)) * np.exp(-0.5 * ((p - 4.0) / 5.0) ** 2),  # of the nose
    "AU10": _line(0.8, (17.0, -3.0), (33.0, -33.0)),
    "AU12": _line(0.8, (17.0, -3.0), (33.0, -33.0)),
    "AU14": _line(1.0, (30.0, -27.0), (32.0, -38.0)),
    "AU15": _line(0.7, (28.0, -37.0), (33.0, -52.0)),
    "AU17": lambda p, q: (  # pebbled chin
        0.4 * np.exp(-0.5 * ((p / 11.0) ** 2 + ((q + 58.0) / 6.0) ** 2)) * (1.0 + np.cos(1.6 * p) * np.cos(1.6 * q))
    ),
    "AU18": lambda p, q: 0.6 * np.exp(-0.5 * ((q - MOUTH.q) / 7.0) ** 2) * _comb(np.abs(p), (5.0, 10.0, 15.0)),
    "AU20": _line(0.6, (37.0, -24.0), (39.0, -46.0)),
}
"""Folds of each unit over p and q, for the left half."""
