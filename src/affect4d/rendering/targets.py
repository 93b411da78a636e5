"""Where pixels land and how they come back: the window's own frame buffer, with as many pictures as are asked for."""

import numpy as np
from jaxtyping import Float32, UInt8
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_UNSIGNED_CHAR, vtkCommand, vtkFloatArray
from vtkmodules.vtkRenderingCore import vtkRenderer
from vtkmodules.vtkRenderingOpenGL2 import (
    vtkOpenGLFramebufferObject,
    vtkOpenGLRenderWindow,
    vtkPixelBufferObject,
    vtkTextureObject,
)

from affect4d.rendering.pictures import RenderError

GL_UNSIGNED_BYTE, GL_RGBA, GL_DRAW_FRAMEBUFFER = 0x1401, 0x1908, 0x8CA9


class Targets:
    """The pictures one pass over a window writes, and the depth below them.

    Args:
        window: Initialised, of its final size, drawn once.
        count: Pictures a pass; the first is the window's own, the others are attached to its frame buffer.

    Raises:
        RenderError: If the driver does not write several pictures at once.
    """

    def __init__(self, window: vtkOpenGLRenderWindow, count: int) -> None:
        self._window, self._count = window, count
        self._width, self._height = window.GetSize()
        self._buffer = window.GetRenderFramebuffer()
        self._depth = vtkFloatArray()
        self._transfer = vtkPixelBufferObject()
        self._transfer.SetContext(window)
        self._attached = [self._attach(place) for place in range(1, count)]

    def _attach(self, place: int) -> vtkTextureObject:
        picture = vtkTextureObject()
        picture.SetContext(self._window)
        picture.Allocate2D(self._width, self._height, 4, VTK_UNSIGNED_CHAR)
        self._buffer.SaveCurrentBindingsAndBuffers()
        self._buffer.Bind()
        self._buffer.AddColorAttachment(place, picture)
        self._buffer.ActivateDrawBuffers(place + 1)
        complete = self._buffer.CheckFrameBufferStatus(GL_DRAW_FRAMEBUFFER)
        self._buffer.RestorePreviousBindingsAndBuffers()
        if not complete:
            raise RenderError(f"{self._window.GetClassName()} cannot draw {place + 1} pictures in one pass.")
        return picture

    def serve(self, renderer: vtkRenderer) -> None:
        """Let a renderer write all pictures; VTK goes back to the first before each."""
        if self._attached:
            renderer.AddObserver(vtkCommand.StartEvent, lambda *_: self._buffer.ActivateDrawBuffers(self._count))

    def read(self) -> UInt8[np.ndarray, "pictures rows columns 4"]:
        """All pictures, rows from below; the fourth component is 255 where something was drawn, else 0."""
        pixels = np.empty((self._count, self._height, self._width, 4), np.uint8)
        self._buffer.SaveCurrentBindingsAndBuffers()
        self._buffer.Bind()
        for place, picture in enumerate(pixels):
            self._buffer.ActivateReadBuffer(place)
            vtkOpenGLFramebufferObject.Download(
                [0, self._width - 1, 0, self._height - 1],
                VTK_UNSIGNED_CHAR,
                4,
                GL_UNSIGNED_BYTE,
                GL_RGBA,
                self._transfer,
            )
            self._transfer.Download2D(VTK_UNSIGNED_CHAR, picture, [self._width, self._height], 4, [0, 0])
        self._buffer.RestorePreviousBindingsAndBuffers()
        return pixels

    def read_depth(self) -> Float32[np.ndarray, "rows columns"]:
        """The depth buffer, rows from below, 0 at the near plane, 1 at the far one and where nothing was drawn."""
        self._window.GetZbufferData(0, 0, self._width - 1, self._height - 1, self._depth)
        return np.asarray(vtk_to_numpy(self._depth).reshape(self._height, self._width), np.float32)

    def release(self) -> None:
        """Give the graphics memory back, before the window goes."""
        for picture in self._attached:
            picture.ReleaseGraphicsResources(self._window)
