"""Drawing through OpenGL: one off-screen window, kept open, that draws every picture of every view in one pass.

The window is a row of viewports, one a view, without light and multisampling. Geometry and texture are exchanged in
place; colours and normals are written side by side, depth is the depth buffer. The only door to VTK.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from vtkmodules.vtkRenderingCore import vtkRenderer

from affect4d.rendering.cameras import Camera, clipping_range
from affect4d.rendering.drawing import Drawing
from affect4d.rendering.surface import Surface
from affect4d.rendering.targets import Targets
from affect4d.rendering.windows import driver, open_window
from affect4d.scans.geometry import vertex_normals
from affect4d.scans.scan import FaceScan

NEITHER = ("nothing",)
"""What is written where only depth is asked for."""


class GraphicsDrawer:
    """Draws with an OpenGL driver, which may be a graphics card's.

    Args:
        cameras: One a view.
        size: Pictures are ``size`` × ``size`` pixels.
        outputs: ``"texture"`` and ``"normals"``, whichever are wanted.
        texels: What a texture needs along its shorter side; more are averaged down first.
        device: Which card, as EGL counts them; −1 leaves the choice to the driver.

    Raises:
        RenderError: If there is no way to draw off screen; names the system package that brings one.
    """

    def __init__(
        self, cameras: Sequence[Camera], size: int, outputs: Sequence[str], texels: int, device: int = -1
    ) -> None:
        self._cameras, self._size, self._texels = tuple(cameras), size, texels
        self._outputs = tuple(outputs) or NEITHER
        self._surface = Surface(self._outputs)
        self._window = open_window(device)
        self._window.SetSize(size * len(self._cameras), size)
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
    def name(self) -> str:
        """The window's class and its driver's name."""
        return driver(self._window)

    def draw(self, scan: FaceScan) -> Drawing:
        """Every view of a scan, in one pass."""
        self._load(scan)
        self._window.Render()
        drawn = dict(zip(self._outputs, map(self._views, self._targets.read()), strict=True))
        face = next(iter(drawn.values()))[..., 3] > 0
        towards = self._towards_camera(self._views(self._targets.read_depth())[..., 0])
        return Drawing({name: pixels[..., :3] for name, pixels in drawn.items()}, face, towards)

    def _load(self, scan: FaceScan) -> None:
        self._surface.set_mesh(scan.vertices, scan.faces)
        if "texture" in self._outputs:
            self._surface.set_texture(scan.texture, scan.texture_coordinates, self._texels)
        if "normals" in self._outputs:
            self._surface.set_normals(vertex_normals(scan.vertices, scan.faces))

    def _views(self, window: np.ndarray) -> np.ndarray:
        """A picture of the whole window, cut into views, rows from above."""
        size = self._size
        return window[::-1].reshape(size, len(self._cameras), size, -1).transpose(1, 0, 2, 3)

    def _towards_camera(
        self, depth: Float32[np.ndarray, "views height width"]
    ) -> Float32[np.ndarray, "views height width"]:
        """Depth buffer, 0…1, to mm in front of the plane through the turning axis."""
        camera = self._cameras[0]
        near, far = clipping_range(camera)
        between = np.float32(far - near)
        away = near * far / (far - depth * between) if camera.field_of_view else near + depth * between
        return np.asarray(camera.distance - away, np.float32)

    def close(self) -> None:
        """Give the window and its graphics memory back."""
        self._targets.release()
        self._window.Finalize()


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
    eye.SetClippingRange(*clipping_range(camera))
    return renderer
