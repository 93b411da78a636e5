"""Painting a person's skin, brows, lips and hair onto the picture of :mod:`affect4d.synthetic.canvas`, without light.

The skin tones run over the ten steps of the Monk Skin Tone Scale (E. Monk, Google 2022), given as its sRGB values.
"""

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import gaussian_filter

from affect4d.synthetic.anatomy import eye_opening, mouth_slit
from affect4d.synthetic.canvas import (
    HEIGHT,
    P_HALF,
    STRIP,
    WIDTH,
    Mask,
    Paint,
    over,
    skin_pixels,
    spot,
)
from affect4d.synthetic.face_model import Albedo, Appearance
from affect4d.synthetic.fields import (
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
from affect4d.synthetic.folds import folds_of
from affect4d.synthetic.inlays import paint_eye, paint_mouth

MONK = (0xF6EDE4, 0xF3E7DB, 0xF7EAD0, 0xEADABA, 0xD7BD96, 0xA07E56, 0x825C43, 0x604134, 0x3A312A, 0x292420)
TONES = np.array([[tone >> 16 & 255, tone >> 8 & 255, tone & 255] for tone in MONK]) / 255.0
BLOOD = np.array([0.95, 0.84, 0.80])
"""What shines through pale skin, a factor on RGB; it fades as melanin covers it."""


def paint_skin(appearance: Appearance) -> Albedo:
    """The picture of a person without light, 0…1, row 0 at the top."""
    skin = _skin(appearance).reshape(HEIGHT - STRIP, WIDTH, 3)
    eye = paint_eye(appearance)
    strip = np.concatenate([eye, eye, paint_mouth()], axis=1)
    return np.asarray(np.clip(np.concatenate([skin, strip]), 0.0, 1.0).astype(np.float32))


def _skin(appearance: Appearance) -> Paint:
    points = skin_pixels()
    base = _tone(appearance)
    paint = base * _complexion(points, appearance)
    paint = _age(points, paint, appearance)
    paint = _beard(points, paint, appearance)
    paint = _lip_colour(points, paint, appearance)
    paint = _around_eyes(points, paint, appearance)
    paint = over(paint, 0.35 * base * np.array([0.8, 0.6, 0.6]), 0.9 * _nostrils(points))
    return _hair(points, paint, appearance)


def _tone(appearance: Appearance) -> Float64[np.ndarray, "3"]:
    """Colour of the skin between two steps of the scale."""
    place = appearance.melanin * (len(TONES) - 1)
    tone = np.array([np.interp(place, np.arange(len(TONES)), TONES[:, channel]) for channel in range(3)])
    return np.asarray(tone * (BLOOD + (1.0 - BLOOD) * appearance.melanin))


def _complexion(points: MaterialPoints, appearance: Appearance) -> Paint:
    """Blotches, freckles and blushed cheeks, as a factor on the skin's colour."""
    rng = np.random.default_rng(appearance.speckle)
    shape = (HEIGHT - STRIP, WIDTH)
    blotches = 0.5 * gaussian_filter(rng.normal(0, 1, shape), 6.0).ravel()
    freckles = gaussian_filter((rng.random(shape) > 0.985).astype(float), 0.6).ravel() * rng.uniform(0.0, 0.8)
    cheeks = sum(spot(points, (side * 42.0, 2.0), (15.0, 13.0)) for side in (1, -1)) + spot(points, (0, -2), (10, 9))
    red = np.array([0.02, -0.08, -0.07]) * (1.0 - 0.6 * appearance.melanin)
    return np.asarray(1.0 + cheeks[:, None] * red + (blotches - freckles * (1.0 - appearance.melanin))[:, None])


def _age(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    """Lines, bags, hollow cheeks and spots that stay, in the measure of age."""
    lines = sum(_resting_lines(half, appearance.speckle) for half in (points, mirrored(points)))
    bags = sum(spot(points, (side * 30.0, 26.0), (11.0, 3.0)) for side in (1, -1))
    hollows = sum(spot(points, (side * 50.0, -22.0), (10.0, 16.0)) for side in (1, -1))
    rng = np.random.default_rng(appearance.speckle + 2)
    shape = (HEIGHT - STRIP, WIDTH)
    spots = gaussian_filter((rng.random(shape) > 0.9994).astype(float), 1.3).ravel() * 2.5
    pores = 0.03 * rng.normal(0.0, 1.0, shape).ravel()
    dark = 0.4 * lines + 0.25 * bags + 0.15 * hollows + np.clip(spots, 0.0, 0.5) + pores
    return np.asarray(paint * (1.0 - (0.8 * appearance.age * dark)[:, None]))


def _resting_lines(half: MaterialPoints, speckle: int) -> Mask:
    """Lines of one half that years of expressions leave: forehead, frown, crow's feet, beside nose and mouth."""
    strength = np.random.default_rng(speckle + 3).uniform(0.3, 1.0, 5)
    marks = [folds_of(half, name) for name in ("AU1", "AU4", "AU6", "AU12", "AU15")]
    return np.asarray(sum(share * mark for share, mark in zip(strength, marks, strict=True)))


def _beard(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    p, q = np.abs(points[:, 0]), points[:, 1]
    jaw = sigmoid((-30.0 - q + 0.55 * np.clip(p - 30, 0, None)) / 4.0) * sigmoid((p - 8 + 0.5 * (-20 - q)) / 4.0)
    moustache = spot(points, (0.0, -19.0), (18.0, 3.5))
    cover = 0.6 * appearance.beard * np.clip(jaw + moustache, 0.0, 1.0)
    return over(paint, np.asarray(appearance.hair) * 0.9, cover)


def _lip_colour(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    p, q = points.T
    t = p / (MOUTH_HALF + 1.0)
    arch = np.clip(1.0 - t**2, 0.0, None)
    upper = MOUTH_LINE + 7.0 * arch - 1.0 * np.exp(-((p / 4.0) ** 2))
    lower = MOUTH_LINE - 8.5 * np.sqrt(arch) * arch**0.25
    inside = sigmoid((upper - q) / 0.6) * sigmoid((q - lower) / 0.6) * (np.abs(t) < 1)
    colour = paint * (1 - 0.45 * appearance.lips) + np.asarray(appearance.lipstick) * (0.45 * appearance.lips)
    paint = over(paint, colour * np.array([0.95, 0.78, 0.8]), inside)
    line = np.exp(-0.5 * (np.clip(np.abs(q - MOUTH_LINE) - mouth_slit(points), 0, None) / 0.8) ** 2)
    return over(paint, np.array([0.2, 0.07, 0.07]), 0.75 * line * sigmoid((MOUTH_HALF + 2.0 - np.abs(p)) / 0.7))


def _around_eyes(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    """Lashes, the crease of the lid, and brows."""
    for sided in (points, mirrored(points)):
        p, q = sided.T
        beside = sigmoid((EYE_HALF + 1.0 - np.abs(p - EYE_P)) / 0.8)
        height = np.clip(eye_opening(sided), -4.0, None)
        lashes = np.exp(-0.5 * (height / 1.1) ** 2) * beside * np.where(q > EYE_Q, 1.0, 0.5)
        crease = np.exp(-0.5 * ((height - 4.2) / 0.8) ** 2) * beside * (q > EYE_Q)
        paint = paint * (1.0 - (0.3 * crease)[:, None])
        lid = sigmoid((height - 0.5) / 0.6) * sigmoid((7.0 - height) / 1.5) * beside * (q > EYE_Q)
        paint = over(paint, np.asarray(appearance.lipstick) * np.array([0.5, 0.8, 1.1]), 0.5 * appearance.shadow * lid)
        paint = over(paint, np.array([0.08, 0.06, 0.05]), 0.8 * lashes)
        paint = over(paint, 0.75 * np.asarray(appearance.hair), _brow(sided, appearance))
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
    return np.asarray(spot(points, (6.5, -10.5), (3.2, 1.6)) + spot(points, (-6.5, -10.5), (3.2, 1.6)))


def _hair(points: MaterialPoints, paint: Paint, appearance: Appearance) -> Paint:
    p, q = np.abs(points[:, 0]), points[:, 1]
    top = 84.0 + appearance.hairline - 0.004 * p**2
    line = np.where(p < 62.0, top, top - 3.2 * (p - 62.0))
    rng = np.random.default_rng(appearance.speckle + 1)
    columns = np.clip(((points[:, 0] / P_HALF + 1) * WIDTH / 2).astype(int), 0, WIDTH - 1)
    strands = rng.uniform(0.8, 1.15, WIDTH)[columns]
    cover = sigmoid((q - line) / 1.5) * (q > -15.0 - 40.0 * (appearance.gender == "F"))
    return over(paint, np.asarray(appearance.hair) * strands[:, None], cover)
