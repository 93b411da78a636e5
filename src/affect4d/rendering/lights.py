"""Fixed lights on a matt face: shading computed from a picture's normals, the same on every driver."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import BaseModel, ConfigDict, Field, field_validator

from affect4d.rendering.pictures import NORMALS_BACKGROUND


class Light(BaseModel):
    """A distant light that stands still while the cameras go round the face."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    direction: tuple[float, float, float] = Field(
        default=(0.0, math.sin(math.radians(35.0)), math.cos(math.radians(35.0))),
        description="From the face towards the light: +x the subject's left, +y up, +z out of the face; any length.",
    )
    intensity: float = Field(default=1.0, ge=0.0, le=4.0, description="1 makes a white surface that faces it white.")
    colour: tuple[float, float, float] = Field(default=(1.0, 1.0, 1.0), description="Red, green, blue, each 0…1.")

    @field_validator("direction")
    @classmethod
    def _points_somewhere(cls, direction: tuple[float, float, float]) -> tuple[float, float, float]:
        if not 1e-6 < math.hypot(*direction) < math.inf:
            raise ValueError(f"A light needs a direction; {direction} points nowhere.")
        return direction

    @field_validator("colour")
    @classmethod
    def _is_a_colour(cls, colour: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(0.0 <= part <= 1.0 for part in colour):
            raise ValueError(f"A light's colour is three numbers 0…1, not {colour}.")
        return colour


def shade(
    normals: UInt8[np.ndarray, "*pictures 3"],
    face: Bool[np.ndarray, "*pictures"],
    lights: Sequence[Light],
    ambient: float,
    background: tuple[int, int, int],
) -> UInt8[np.ndarray, "*pictures 3"]:
    """White plaster under distant lights (Lambert): ambient + Σ intensity · colour · max(0, normal · direction).

    Args:
        normals: Encoded normals, 128 ± 127.
        face: Where there is something to light.
        lights: Distant lights.
        ambient: Light from everywhere, 0…1.
        background: Colour where there is no face.
    """
    shaded = np.empty_like(normals)
    shaded[:] = background
    directions = np.array([light.direction for light in lights], np.float32).reshape(-1, 3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colours = np.array([[light.intensity * part for part in light.colour] for light in lights], np.float32)
    plain = (normals[face].astype(np.float32) - NORMALS_BACKGROUND) / np.float32(127.0)
    received = np.maximum(plain @ directions.T, 0.0) @ colours.reshape(-1, 3) + np.float32(ambient)
    shaded[face] = np.rint(255.0 * np.clip(received, 0.0, 1.0)).astype(np.uint8)
    return shaded
