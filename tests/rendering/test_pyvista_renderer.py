import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from generated_surface import bumpy_scan

from affect4d.rendering import pyvista_renderer
from affect4d.rendering.cameras_and_render_backends import OpenGLError, Renderer, RenderError
from affect4d.rendering.options import RenderOptions

TOLERANCE = 4
"""Grey levels, or hundredths of a millimetre, that two drivers may differ by where they agree on what a pixel shows."""
LEAST_SHARE = 0.98
"""Of the pixels; along outlines, drivers may decide differently which triangle a pixel shows."""
EVERY_CHANNEL = ("texture", "normals", "shading", "depth")


def missing(window):
    """Why a window class cannot be tried here; empty where it can."""
    if window == "vtkXOpenGLRenderWindow" and not os.environ.get("DISPLAY"):
        return "no X server (DISPLAY is not set)"
    library = {"vtkEGLRenderWindow": "libEGL.so.1", "vtkOSOpenGLRenderWindow": "libOSMesa.so.8"}.get(window)
    return f"{library} is not installed" if library and not pyvista_renderer._loads(library) else ""


@pytest.fixture(scope="module")
def here():
    """What the processor draws."""
    return Renderer(RenderOptions(size=64, channels=EVERY_CHANNEL)).render(bumpy_scan(lopsided=6))


@pytest.mark.parametrize("window", ["vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow", "vtkXOpenGLRenderWindow"])
def test_every_way_to_opengl_draws_what_the_processor_draws(window, here, tmp_path):
    if reason := missing(window):
        pytest.skip(reason)
    script = Path(__file__).with_name("draw_elsewhere.py")
    environment = {**os.environ, "VTK_DEFAULT_OPENGL_WINDOW": window}
    command = [sys.executable, str(script), str(tmp_path / "drawn.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith(window), done.stderr
    drawn = np.load(tmp_path / "drawn.npz")
    for channel in EVERY_CHANNEL:
        apart = np.abs(drawn[channel].astype(int) - here[channel]).max(axis=-1)
        assert (apart <= TOLERANCE).mean() >= LEAST_SHARE, channel


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="this PyTorch has no Triton")
def test_a_process_that_has_drawn_can_import_triton():
    """Both bring an LLVM: without care, the second one finds the first one's functions and the process dies."""
    program = "import sys; sys.argv = ['', sys.argv[1]]; import draw_elsewhere; import triton; print('alive')"
    command = [sys.executable, "-c", program, os.devnull]
    folder = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout.endswith("alive\n"), (done.returncode, done.stderr)


@pytest.mark.gpu
def test_a_graphics_card_draws_what_the_processor_draws(here):
    renderer = Renderer(RenderOptions(size=64, channels=EVERY_CHANNEL, device=0))
    if "llvmpipe" in renderer.driver:
        pytest.skip(f"EGL offers no graphics card: {renderer.driver}")
    drawn = renderer.render(bumpy_scan(lopsided=6))
    for channel in EVERY_CHANNEL:
        apart = np.abs(drawn[channel].astype(int) - here[channel]).max(axis=-1)
        assert (apart <= TOLERANCE).mean() >= LEAST_SHARE, channel


@pytest.mark.skipif(not pyvista_renderer._loads("libEGL.so.1"), reason="EGL is not installed")
def test_a_device_that_is_not_there_is_named():
    with pytest.raises(RenderError, match="no graphics device 99"):
        Renderer(RenderOptions(size=16, device=99))


@pytest.mark.skipif(not pyvista_renderer._loads("libEGL.so.1"), reason="EGL is not installed")
@pytest.mark.parametrize("channels", [("texture", "normals"), ("shading",), ("depth",)])
def test_a_driver_that_renders_nothing_is_found_out(monkeypatch, channels):
    empty = np.ones((16, 48), np.float32)
    monkeypatch.setattr(pyvista_renderer.PyVistaRenderer, "_read_depth", lambda self: empty)
    with pytest.raises(OpenGLError, match=r"renders nothing.*render\.device=cpu.*VTK_DEFAULT_OPENGL_WINDOW"):
        Renderer(RenderOptions(size=16, device=-1, channels=channels))


@pytest.mark.skipif(not pyvista_renderer._loads("libEGL.so.1"), reason="EGL is not installed")
def test_a_driver_that_renders_other_colours_is_found_out(monkeypatch):
    monkeypatch.setattr(pyvista_renderer, "MISSING_TEXTURE", 90)
    with pytest.raises(OpenGLError, match=r"a grey square wrongly.*texture \[\[90"):
        Renderer(RenderOptions(size=16, device=-1))


def test_a_machine_without_opengl_is_told_which_package_brings_it(monkeypatch):
    monkeypatch.setattr(pyvista_renderer, "_loads", lambda library: False)
    monkeypatch.setattr(pyvista_renderer.sys, "platform", "linux")
    monkeypatch.delenv("VTK_DEFAULT_OPENGL_WINDOW", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(RenderError, match="libegl1"):
        Renderer(RenderOptions(size=16, device=-1))


def test_a_chosen_window_without_its_library_is_told_which_package_brings_it(monkeypatch):
    monkeypatch.setattr(pyvista_renderer, "_loads", lambda library: False)
    monkeypatch.setattr(pyvista_renderer.sys, "platform", "linux")
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkOSOpenGLRenderWindow")
    with pytest.raises(OpenGLError, match=r"libOSMesa\.so\.8, which is not installed.*libosmesa6"):
        Renderer(RenderOptions(size=16, device=-1))
