"""Off-screen windows: which of the ways to OpenGL this machine has, and which graphics card draws."""

import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from vtkmodules import vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderWindow
from vtkmodules.vtkRenderingOpenGL2 import vtkOpenGLRenderWindow

from affect4d.rendering.pictures import RenderError

BY_THE_DRIVER = -1


def open_window(device: int = BY_THE_DRIVER) -> vtkOpenGLRenderWindow:
    """An off-screen window without multisampling: EGL where there is one, then OSMesa, then the screen's own.

    ``VTK_DEFAULT_OPENGL_WINDOW`` overrides the choice.

    Args:
        device: Which of EGL's devices draws, counted from 0; −1 leaves the choice to the driver.

    Raises:
        RenderError: If this machine can draw in none of these ways, or has no such device.
    """
    window = _window_of_this_machine()
    if device != BY_THE_DRIVER:
        _choose_device(window, device)
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)
    window.SwapBuffersOff()
    window.Initialize()
    if not window.SupportsOpenGL():
        raise RenderError(f"{window.GetClassName()} found no usable OpenGL driver. {_REMEDY}")
    _keep_compilers_apart()
    return window


def driver(window: vtkOpenGLRenderWindow) -> str:
    """The window's class and the renderer its driver names, e.g. ``vtkEGLRenderWindow, llvmpipe (LLVM 15.0.6)``."""
    lines = window.ReportCapabilities().splitlines()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("OpenGL renderer string")]
    return ", ".join([window.GetClassName(), *named])


_REMEDY = (
    "Install a software driver (Debian, Ubuntu: 'apt-get install libegl1 libgl1 libgl1-mesa-dri', "
    "or 'libosmesa6' on older releases), or the graphics card's own driver."
)

_WINDOW_LIBRARIES: Mapping[str, str] = {
    "vtkEGLRenderWindow": "libEGL.so.1",
    "vtkOSOpenGLRenderWindow": "libOSMesa.so.8",
}


def _keep_compilers_apart() -> None:
    """Let modules imported from now on find their own symbols first.

    Mesa's software driver brings its LLVM into the scope all libraries share. Triton, which torchvision imports, has
    another LLVM inside, takes Mesa's functions for its own, and the process dies of a segmentation fault.
    """
    if sys.platform.startswith("linux") and "libLLVM" in Path("/proc/self/maps").read_text():
        sys.setdlopenflags(sys.getdlopenflags() | os.RTLD_DEEPBIND)


def _window_of_this_machine() -> vtkOpenGLRenderWindow:
    if "VTK_DEFAULT_OPENGL_WINDOW" in os.environ or not sys.platform.startswith("linux"):
        return vtkRenderWindow()  # type: ignore[return-value]  # VTK's factory makes the OpenGL window
    for name, library in _WINDOW_LIBRARIES.items():
        if hasattr(vtkRenderingOpenGL2, name) and _loads(library):
            window: vtkOpenGLRenderWindow = getattr(vtkRenderingOpenGL2, name)()
            return window
    if "DISPLAY" in os.environ and _loads("libGL.so.1"):
        return vtkRenderWindow()  # type: ignore[return-value]  # VTK's factory makes the OpenGL window
    raise RenderError(f"No OpenGL library is installed, so nothing can be drawn. {_REMEDY}")


def _choose_device(window: vtkOpenGLRenderWindow, device: int) -> None:
    """Only EGL knows devices; the others draw where the screen is."""
    found = window.GetNumberOfDevices() if window.GetClassName() == "vtkEGLRenderWindow" else 0
    if device >= found:
        raise RenderError(
            f"There is no graphics device {device}: {window.GetClassName()} finds {found}. "
            "Set device to -1 to leave the choice to the driver."
        )
    window.SetDeviceIndex(device)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
