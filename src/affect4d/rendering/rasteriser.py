"""One off-screen window, kept open, that draws every picture of every view of a scan in one pass.

The window is a row of viewports, one a view, without light and multisampling, so that a pixel is a measurement.
Geometry and texture are exchanged in place; colours and normals are written side by side, depth is the depth buffer,
and shading is computed from the normals. Only what the options ask for is drawn.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt16
from vtkmodules.vtkRenderingCore import vtkRenderer

from affect4d.rendering.cameras import Camera, RenderOptions, cameras
from affect4d.rendering.lights import shade
from affect4d.rendering.pictures import DEPTH_BACKGROUND, NORMALS_BACKGROUND, encode_depth
from affect4d.rendering.surface import Surface
from affect4d.rendering.targets import Targets
from affect4d.rendering.windows import driver, open_window
from affect4d.scans.geometry import vertex_normals
from affect4d.scans.scan import FaceScan

RenderedViews = UInt8[np.ndarray, "views height width 3"] | UInt16[np.ndarray, "views height width 1"]

TEXELS_PER_PIXEL = 2
DEEPEST = 400.0
"""How far before and behind the turning axis anything is drawn, in mm."""


class Rasteriser:
    """Draws scans; keeps its window for life, so make one a process and use it for every scan.

    Args:
        options: Size, views, framing and channels of the pictures.

    Raises:
        RenderError: If there is no way to draw off screen; names the system package that brings one.
    """

    def __init__(self, options: RenderOptions) -> None:
        self.options = options
        self._cameras = cameras(options)
        self._outputs = _outputs(options)
        self._surface = Surface(self._outputs)
        self._window = open_window(options.device)
        self._window.SetSize(options.size * len(self._cameras), options.size)
        self._renderers = [self._add_viewport(place, camera) for place, camera in enumerate(self._cameras)]
        self._window.Render()  # makes the frame buffer
        self._targets = Targets(self._window, len(self._outputs))
        for renderer in self._renderers:
            renderer.AddActor(self._surface.actor)
            self._targets.serve(renderer)

    def _add_viewport(self, place: int, camera: Camera) -> vtkRenderer:
        renderer = _renderer(camera)
        renderer.SetViewport(place / len(self._cameras), 0, (place + 1) / len(self._cameras), 1)
        self._window.AddRenderer(renderer)
        return renderer

    @property
    def driver(self) -> str:
        """What draws: the window's class and its driver's name."""
        return driver(self._window)

    @property
    def texels(self) -> int:
        """How many a texture needs along its shorter side; more are averaged down first."""
        return TEXELS_PER_PIXEL * self.options.size if "texture" in self._outputs else 1

    def render(self, scan: FaceScan) -> dict[str, RenderedViews]:
        """Pictures of a canonical scan from every side.

        Args:
            scan: A checked scan in the canonical frame, in mm.

        Returns:
            Channel → pictures ``[views, height, width, components]``, in the order of ``options.channels``; what each
            shows, its type and its background: :data:`~affect4d.rendering.pictures.PictureChannel`.
        """
        self._load(scan)
        self._window.Render()
        drawn = dict(zip(self._outputs, map(self._views, self._targets.read()), strict=True))
        face = next(iter(drawn.values()))[..., 3] > 0
        return {channel: self._finish(channel, drawn, face) for channel in self.options.channels}

    def _load(self, scan: FaceScan) -> None:
        self._surface.set_mesh(scan.vertices, scan.faces)
        if "texture" in self._outputs:
            self._surface.set_texture(scan.texture, scan.texture_coordinates, self.texels)
        if "normals" in self._outputs:
            self._surface.set_normals(vertex_normals(scan.vertices, scan.faces))

    def _views(self, window: np.ndarray) -> np.ndarray:
        """A picture of the whole window, cut into views, rows from above."""
        size = self.options.size
        return window[::-1].reshape(size, len(self._cameras), size, -1).transpose(1, 0, 2, 3)

    def _finish(
        self, channel: str, drawn: Mapping[str, np.ndarray], face: Bool[np.ndarray, "views height width"]
    ) -> RenderedViews:
        """One channel, with its background."""
        options = self.options
        if channel == "depth":
            towards = self._towards_camera(self._views(self._targets.read_depth()))
            return np.where(face[..., None], encode_depth(towards), np.uint16(DEPTH_BACKGROUND))
        if channel == "shading":
            return shade(drawn["normals"][..., :3], face, options.lights, options.ambient, options.background)
        background = (NORMALS_BACKGROUND,) * 3 if channel == "normals" else options.background
        return _on_background(drawn[channel], background)

    def _towards_camera(
        self, depth: Float32[np.ndarray, "views height width 1"]
    ) -> Float32[np.ndarray, "views height width 1"]:
        """Depth buffer, 0…1, to mm in front of the plane through the turning axis."""
        camera = self._cameras[0]
        near, far = _clipping_range(camera)
        between = np.float32(far - near)
        away = near * far / (far - depth * between) if camera.field_of_view else near + depth * between
        return np.asarray(camera.distance - away, np.float32)

    def close(self) -> None:
        """Give the window and its graphics memory back."""
        self._targets.release()
        self._window.Finalize()


def _outputs(options: RenderOptions) -> tuple[str, ...]:
    """What the graphics card must write for the channels asked for."""
    needed = {"normals" if channel == "shading" else channel for channel in options.channels}
    return tuple(output for output in ("texture", "normals") if output in needed) or ("nothing",)


def _on_background(
    drawn: UInt8[np.ndarray, "views height width 4"], background: tuple[int, int, int]
) -> UInt8[np.ndarray, "views height width 3"]:
    """Colours, and the background where the fourth component is 0; there, what was drawn is black."""
    shown = np.empty((*drawn.shape[:3], 3), np.uint8)
    for component, level in enumerate(background):
        np.bitwise_or(drawn[..., component], ~drawn[..., 3] & np.uint8(level), out=shown[..., component])
    return shown


def _renderer(camera: Camera) -> vtkRenderer:
    """A viewport without lights, seen by one camera; black and fully transparent where nothing is."""
    renderer = vtkRenderer()
    renderer.SetBackground(0.0, 0.0, 0.0)
    renderer.SetBackgroundAlpha(0.0)
    renderer.SetAutomaticLightCreation(False)
    renderer.GetCullers().RemoveAllItems()
    eye = renderer.GetActiveCamera()
    eye.SetPosition(*camera.position)
    eye.SetFocalPoint(*camera.target)
    eye.SetViewUp(0.0, 1.0, 0.0)
    if camera.field_of_view:
        eye.SetViewAngle(camera.field_of_view)
    else:
        eye.ParallelProjectionOn()
        eye.SetParallelScale(camera.half_height)
    eye.SetClippingRange(*_clipping_range(camera))
    return renderer


def _clipping_range(camera: Camera) -> tuple[float, float]:
    return max(camera.distance - DEEPEST, 1.0), camera.distance + DEEPEST
