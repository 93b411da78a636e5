"""What is painted below the skin: an eye, and the inside of the mouth."""

import numpy as np
from jaxtyping import Float64

from affect4d.synthetic.canvas import STRIP, over
from affect4d.synthetic.face_model import Appearance
from affect4d.synthetic.fields import sigmoid

TEETH, GAPE = np.array([0.93, 0.9, 0.83]), np.array([0.16, 0.05, 0.05])
TONGUE = np.array([0.62, 0.28, 0.28])


def paint_eye(appearance: Appearance) -> Float64[np.ndarray, "strip strip 3"]:
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


def paint_mouth() -> Float64[np.ndarray, "strip wide 3"]:
    """Upper teeth, dark, tongue and lower teeth."""
    rows = -((np.arange(STRIP) + 0.5) / STRIP * 2.0 - 1.0)[:, None] / 0.94
    columns = ((np.arange(2 * STRIP) + 0.5) / STRIP - 1.0)[None, :] / 0.94
    gaps = 1.0 - 0.25 * np.exp(-(((columns * 6.0) % 1.0 - 0.5) ** 2) / 0.01)
    curve = 0.22 * columns**2
    upper = sigmoid((rows - 0.3 - curve) / 0.03)
    lower = sigmoid((-0.55 - curve - rows) / 0.03)
    tongue = sigmoid((-0.15 - rows - 0.5 * columns**2) / 0.08)
    paint = over(np.broadcast_to(GAPE, (STRIP, 2 * STRIP, 3)), TONGUE * 0.8, tongue)
    teeth = TEETH * (gaps * sigmoid((0.9 - np.abs(columns)) / 0.05))[..., None]
    return over(over(paint, teeth, upper), 0.9 * teeth, lower)
