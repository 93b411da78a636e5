"""A scan from every side, as pictures: one drawer, kept open, and what its drawings become.

The processor draws unless a graphics card is asked for. Shading is computed from the normals, depth from what is
nearest; only what the options ask for is drawn.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from affect4d.rendering.cameras import RenderOptions, cameras
from affect4d.rendering.drawing import Drawer, Drawing
from affect4d.rendering.lights import shade
from affect4d.rendering.pictures import DEPTH_BACKGROUND, NORMALS_BACKGROUND, PictureChannel, encode_depth
from affect4d.scans.scan import FaceScan

RenderedViews = UInt8[np.ndarray, "views height width 3"] | UInt16[np.ndarray, "views height width 1"]

TEXELS_PER_PIXEL = 2


class Rasteriser:
    """Draws scans; keeps what it draws with for life, so make one a process and use it for every scan.

    Args:
        options: Size, views, framing, channels and device of the pictures.

    Raises:
        RenderError: If a graphics card is asked for and there is no way to it; names the system package to install.
    """

    def __init__(self, options: RenderOptions) -> None:
        self.options = options
        self._outputs = _outputs(options)
        self._drawer = open_drawer(options, self._outputs, self.texels)

    @property
    def driver(self) -> str:
        """What draws: the processor, or a window's class and its driver's name."""
        return self._drawer.name

    @property
    def texels(self) -> int:
        """How many a texture needs along its shorter side; more are averaged down first."""
        return TEXELS_PER_PIXEL * self.options.size if "texture" in self._outputs else 1

    def render(self, scan: FaceScan, channels: Sequence[PictureChannel] | None = None) -> dict[str, RenderedViews]:
        """Pictures of a canonical scan from every side.

        Args:
            scan: A checked scan in the canonical frame, in mm.
            channels: Others than ``options.channels``, that need nothing else drawn.

        Returns:
            Channel → pictures ``[views, height, width, components]``, in the order of the channels; what each shows,
            its type and its background: :data:`~affect4d.rendering.pictures.PictureChannel`.
        """
        drawing = self._drawer.draw(scan)
        return {channel: self._finish(channel, drawing) for channel in channels or self.options.channels}

    def _finish(self, channel: str, drawing: Drawing) -> RenderedViews:
        """One channel, with its background."""
        options = self.options
        if channel == "depth":
            return np.where(drawing.face, encode_depth(drawing.towards), np.uint16(DEPTH_BACKGROUND))[..., None]
        if channel == "shading":
            return shade(drawing.drawn["normals"], drawing.face, options.lights, options.ambient, options.background)
        background = (NORMALS_BACKGROUND,) * 3 if channel == "normals" else options.background
        return _on_background(drawing.drawn[channel], drawing.face, background)

    def close(self) -> None:
        """Give windows and graphics memory back."""
        self._drawer.close()


def open_drawer(options: RenderOptions, outputs: Sequence[str], texels: int) -> Drawer:
    """Who draws on the device that the options name; the libraries of the other are not loaded."""
    if options.device == "cpu":
        from affect4d.rendering.software import SoftwareDrawer

        return SoftwareDrawer(cameras(options), options.size, outputs, texels)
    from affect4d.rendering.graphics import GraphicsDrawer

    return GraphicsDrawer(cameras(options), options.size, outputs, texels, options.device)


def _outputs(options: RenderOptions) -> tuple[str, ...]:
    """What must be drawn for the channels asked for."""
    needed = {"normals" if channel == "shading" else channel for channel in options.channels}
    return tuple(output for output in ("texture", "normals") if output in needed)


def _on_background(
    drawn: UInt8[np.ndarray, "views height width 3"],
    face: Bool[np.ndarray, "views height width"],
    background: tuple[int, int, int],
) -> UInt8[np.ndarray, "views height width 3"]:
    """Colours, and the background where no face is; there, what was drawn is black."""
    shown = np.empty_like(drawn)
    elsewhere = ~face * np.uint8(255)
    for component, level in enumerate(background):
        np.bitwise_or(drawn[..., component], elsewhere & np.uint8(level), out=shown[..., component])
    return shown
