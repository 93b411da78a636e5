"""The only door to VTK: one off-screen window, kept open, that draws every view of a scan in one call.

The window is a grid: a column a view, the upper row the texture, the lower row the surface normals as colours, both
unlit and without multisampling, so that a pixel is a measurement. Geometry and texture are exchanged in place.
"""

import ctypes
import os
import sys
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from vtkmodules import vtkRenderingOpenGL2
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints, vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer, vtkRenderWindow, vtkTexture

from affect4d.arrays import Faces, Texture, Vertices
from affect4d.rendering.cameras import Camera, RenderOptions, cameras
from affect4d.rendering.pictures import NORMALS_BACKGROUND, RenderError
from affect4d.scans.geometry import vertex_normals
from affect4d.scans.scan import FaceScan

RenderedViews = UInt8[np.ndarray, "views height width 3"]

TEXTURE_BACKGROUND = 0
MISSING_TEXTURE = 128 / 255
TEXELS_PER_PIXEL = 2


class Rasteriser:
    """Draws scans; keeps its window for life, so make one a process and use it for every scan.

    Args:
        options: Size, views and framing of the pictures.

    Raises:
        RenderError: If there is no way to draw off screen; names the system package that brings one.
    """

    def __init__(self, options: RenderOptions) -> None:
        self.options = options
        self._textured = _UnlitSurface()
        self._coloured = _UnlitSurface()
        self._texture = vtkTexture()
        self._texture.InterpolateOn()
        self._texture.RepeatOff()
        self._window = open_window()
        self._lay_out(cameras(options))
        self._pixels = vtkUnsignedCharArray()

    def _lay_out(self, views: tuple[Camera, ...]) -> None:
        """Textures above, normals below, a column a view."""
        self._window.SetSize(self.options.size * len(views), self.options.size * 2)
        for row, (surface, level) in enumerate(
            ((self._coloured, NORMALS_BACKGROUND), (self._textured, TEXTURE_BACKGROUND))
        ):
            for column, camera in enumerate(views):
                renderer = _renderer(camera, level / 255)
                renderer.SetViewport(column / len(views), row / 2, (column + 1) / len(views), (row + 1) / 2)
                renderer.AddActor(surface.actor)
                self._window.AddRenderer(renderer)

    def render(self, scan: FaceScan) -> dict[str, RenderedViews]:
        """Pictures of a canonical scan from every side.

        Args:
            scan: A checked scan in the canonical frame, in mm.

        Returns:
            ``"texture"``: the face's own colours, unlit; background 0; mid grey where the scan has no texture.
            ``"normals"``: the canonical-frame normal of what each pixel shows, (x, y, z) from −1…1 to 0…255;
            background (128, 128, 128), which no surface has.
        """
        self._textured.set_mesh(scan.vertices, scan.faces)
        self._coloured.set_mesh(scan.vertices, scan.faces)
        self._coloured.set_colours(encode_normals(vertex_normals(scan.vertices, scan.faces)))
        self._dress(scan)
        self._window.Render()
        return self._read()

    def _dress(self, scan: FaceScan) -> None:
        actor = self._textured.actor
        bare = scan.texture is None or scan.texture_coordinates is None
        actor.GetProperty().SetColor([MISSING_TEXTURE if bare else 1.0] * 3)  # a texture is multiplied by this
        if scan.texture is None or scan.texture_coordinates is None:
            actor.SetTexture(None)  # type: ignore[arg-type]  # the stub forgets that none is allowed
            return
        texels = shrink_texture(scan.texture, TEXELS_PER_PIXEL * self.options.size)
        self._texture.SetInputData(_image(texels))
        self._textured.set_texture_coordinates(scan.texture_coordinates)
        actor.SetTexture(self._texture)

    def _read(self) -> dict[str, RenderedViews]:
        """The window's pixels, cut into views; VTK counts rows from below."""
        size, views = self.options.size, len(self.options.angles)
        self._window.GetPixelData(0, 0, size * views - 1, size * 2 - 1, 0, self._pixels, 0)
        grid = vtk_to_numpy(self._pixels).reshape(2, size, views, size, 3)[:, ::-1]
        normals, texture = np.ascontiguousarray(grid.transpose(0, 2, 1, 3, 4))
        return {"texture": texture, "normals": normals}

    def close(self) -> None:
        """Give the window and its graphics memory back."""
        self._window.Finalize()


class _UnlitSurface:
    """A mesh that shows plain colours; its arrays are borrowed from numpy and held while VTK may read them."""

    def __init__(self) -> None:
        self.actor, self.mesh = vtkActor(), vtkPolyData()
        self.held: dict[str, np.ndarray] = {}
        self.mesh.SetPoints(vtkPoints())
        mapper = vtkPolyDataMapper()
        mapper.SetInputData(self.mesh)
        mapper.SetColorModeToDefault()
        self.actor.SetMapper(mapper)
        self.actor.GetProperty().LightingOff()

    def set_mesh(self, vertices: Vertices, faces: Faces) -> None:
        """Exchange points and triangles."""
        points, corners = np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32).ravel()
        self.held.update(points=points, corners=corners)
        cells = vtkCellArray()
        cells.SetData(3, numpy_to_vtk(corners))
        self.mesh.GetPoints().SetData(numpy_to_vtk(points))
        self.mesh.SetPolys(cells)
        self.mesh.Modified()

    def set_colours(self, colours: UInt8[np.ndarray, "vertices 3"]) -> None:
        """Exchange the colour of every vertex."""
        self.held.update(colours=colours)
        self.mesh.GetPointData().SetScalars(numpy_to_vtk(colours))

    def set_texture_coordinates(self, coordinates: Float32[np.ndarray, "vertices 2"]) -> None:
        """Exchange where in the texture every vertex is."""
        plain = np.ascontiguousarray(coordinates, np.float32)
        self.held.update(coordinates=plain)
        self.mesh.GetPointData().SetTCoords(numpy_to_vtk(plain))


def _renderer(camera: Camera, level: float) -> vtkRenderer:
    """A viewport without lights, seen by one orthographic camera."""
    renderer = vtkRenderer()
    renderer.SetBackground(level, level, level)
    renderer.SetAutomaticLightCreation(False)
    eye = renderer.GetActiveCamera()
    eye.ParallelProjectionOn()
    eye.SetPosition(*camera.position)
    eye.SetFocalPoint(*camera.target)
    eye.SetViewUp(0.0, 1.0, 0.0)
    eye.SetParallelScale(camera.half_height)
    eye.SetClippingRange(1.0, 2000.0)
    return renderer


def _image(texels: Texture) -> vtkImageData:
    """A picture as VTK's texture: its first row is the lowest one."""
    height, width = texels.shape[:2]
    image = vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(texels[::-1].reshape(-1, 3), deep=True))
    return image


def shrink_texture(texture: Texture, side: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """Average whole blocks of texels until the shorter side is just above ``side`` (no aliasing, a quick upload)."""
    factor = min(texture.shape[:2]) // side
    return np.asarray(Image.fromarray(texture).reduce(factor)) if factor > 1 else texture


def encode_normals(normals: Vertices) -> UInt8[np.ndarray, "vertices 3"]:
    """From −1…1 to 1…255 around 128, so that 0 is exact and a flipped sign is an exactly mirrored value."""
    return (np.rint(normals * 127.0) + NORMALS_BACKGROUND).astype(np.uint8)


def open_window() -> vtkRenderWindow:
    """An off-screen window without multisampling: EGL where there is one, then OSMesa, then the screen's own.

    ``VTK_DEFAULT_OPENGL_WINDOW`` overrides the choice.

    Raises:
        RenderError: If this machine can draw in none of these ways.
    """
    window = _window_of_this_machine()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)
    window.SwapBuffersOff()
    window.Initialize()
    if not window.SupportsOpenGL():
        raise RenderError(f"{window.GetClassName()} found no usable OpenGL driver. {_REMEDY}")
    return window


_REMEDY = (
    "Install a software driver (Debian, Ubuntu: 'apt-get install libegl1 libgl1 libgl1-mesa-dri', "
    "or 'libosmesa6' on older releases), or the graphics card's own driver."
)

_WINDOW_LIBRARIES: Mapping[str, str] = {
    "vtkEGLRenderWindow": "libEGL.so.1",
    "vtkOSOpenGLRenderWindow": "libOSMesa.so.8",
}


def _window_of_this_machine() -> vtkRenderWindow:
    if "VTK_DEFAULT_OPENGL_WINDOW" in os.environ or not sys.platform.startswith("linux"):
        return vtkRenderWindow()
    for name, library in _WINDOW_LIBRARIES.items():
        if hasattr(vtkRenderingOpenGL2, name) and _loads(library):
            window: vtkRenderWindow = getattr(vtkRenderingOpenGL2, name)()
            return window
    if "DISPLAY" in os.environ and _loads("libGL.so.1"):
        return vtkRenderWindow()
    raise RenderError(f"No OpenGL library is installed, so nothing can be drawn. {_REMEDY}")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
