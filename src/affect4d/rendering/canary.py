"""The canary: a picture that is known beforehand, drawn before anything else is believed."""

import functools
import json
import socket
from typing import TYPE_CHECKING

import numpy as np

from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.pictures import DEPTH_MIDDLE, DEPTH_STEP, PictureChannel, RenderError
from affect4d.scans.scan import FaceScan

if TYPE_CHECKING:
    from affect4d.rendering.rasteriser import Rasteriser

EXPECTED = {"texture": (128, 128, 128), "normals": (128, 128, 255), "depth": (DEPTH_MIDDLE,)}
"""Channel → what the middle of the canary shows in every view."""
STEEPEST = 6.0
"""How far the square recedes in one pixel, in pixels, seen from the side as far as a camera may stand."""


class CanaryError(RenderError):
    """A graphics driver draws nonsense, or nothing: no picture of its process can be believed."""


@functools.cache
def checked_rasteriser(options: str) -> "Rasteriser":
    """This process's rasteriser for these options (:func:`as_text`), tried on a square whose picture is known.

    Raises:
        CanaryError: If the driver draws something else, or there is none, or not that device: no scan is at fault.
    """
    from affect4d.rendering.rasteriser import Rasteriser  # compiled loops, or VTK, cost a second

    try:
        rasteriser = Rasteriser(RenderOptions.model_validate_json(options))
        check_canary(rasteriser)
    except CanaryError:
        raise
    except RenderError as error:
        raise CanaryError(str(error)) from error
    return rasteriser


def as_text(options: RenderOptions) -> str:
    """What a rasteriser depends on, as a key for :func:`checked_rasteriser`."""
    return json.dumps(options.model_dump(mode="json", exclude={"max_failed_share"}))


def check_canary(rasteriser: "Rasteriser") -> None:
    """Draw an untextured square that faces the front and fills every picture's middle; compare its middle pixel.

    Raises:
        CanaryError: If the picture is not what it must be.
    """
    middle = rasteriser.options.size // 2
    asked = rasteriser.options.channels
    channels: list[PictureChannel] = ["normals" if channel == "shading" else channel for channel in asked]
    pictures = rasteriser.render(_square(rasteriser.options), channels)  # shading is computed from normals
    seen = {channel: stack[:, middle, middle].astype(int) for channel, stack in pictures.items()}
    wrong = {
        channel: seen[channel].tolist()
        for channel, value in EXPECTED.items()
        if channel in seen and np.abs(seen[channel] - value).max() > _tolerance(channel, rasteriser.options)
    }
    if wrong:
        empty = all(len(np.unique(pictures[channel])) == 1 for channel in wrong)
        raise CanaryError(_explain(wrong, empty))


def _tolerance(channel: str, options: RenderOptions) -> float:
    """How far a driver may be off: a rounding; in depth, half a pixel beside the axis, where their number is even."""
    return STEEPEST * options.window / options.size / DEPTH_STEP if channel == "depth" else 1


def _square(options: RenderOptions) -> FaceScan:
    half, depth = options.window / 2, -options.pivot_depth
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    vertices = np.array([(x, y + options.centre_height, depth) for x, y in corners], np.float32)
    return FaceScan(vertices, np.array([(0, 1, 2), (0, 2, 3)], np.int32))


def _explain(wrong: dict[str, list[list[int]]], empty: bool) -> str:
    found = "; ".join(f"{channel} {values}, expected {EXPECTED[channel]}" for channel, values in wrong.items())
    cause = (
        "The picture is all background: the OpenGL driver draws nothing off screen (a broken or half-installed driver, "
        "or no permission on the graphics device)."
        if empty
        else f"The OpenGL driver draws a grey square wrongly: {found}."
    )
    return (
        f"{cause} Nothing is rendered on {socket.gethostname()} with it. Draw on the processor "
        "(render.device=cpu), or choose another driver by VTK_DEFAULT_OPENGL_WINDOW: vtkEGLRenderWindow, "
        "vtkOSOpenGLRenderWindow; `python scripts/check_graphics.py` says what OpenGL lacks here."
    )
