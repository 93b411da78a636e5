"""OpenGL renderer on pyvista, for GPUs: one off-screen plotter, a viewport a view, without light and anti-aliasing."""

import ctypes
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyvista
from jaxtyping import Float32, UInt8

from affect4d.array_types import Vertices
from affect4d.rendering.cameras_and_render_backends import Camera, OpenGLError, shrink_texture
from affect4d.rendering.channels import MISSING_TEXTURE, NORMALS_MIDDLE, NORMALS_SCALE, RenderBuffers, decode_normals
from affect4d.scans.geometry import vertex_normals
from affect4d.scans.scan import FaceScan

DRIVER_CHOOSES = -1
WINDOW_VARIABLE = "VTK_DEFAULT_OPENGL_WINDOW"
WINDOW_LIBRARIES = {"vtkEGLRenderWindow": "libEGL.so.1", "vtkOSOpenGLRenderWindow": "libOSMesa.so.8"}
REMEDY = (
    "Install a software driver (Debian, Ubuntu: 'apt-get install libegl1 libgl1 libgl1-mesa-dri', or 'libosmesa6' on "
    "older releases) or the GPU's own driver, or render on the CPU (render.device=cpu)."
)
UNSIGNED_CHAR = 3  # VTK's number of the type of a pixel's component
SQUARE = {"texture": (MISSING_TEXTURE,) * 3, "normals": (NORMALS_MIDDLE, NORMALS_MIDDLE, 255)}
"""Attribute → centre of every view of an untextured square that faces the front."""
STEEPEST = 6.0  # how far that square recedes in one pixel, in pixels, seen from the side as far as a camera may stand


class PyVistaRenderer:
    """Renders the given surface attributes with OpenGL.

    Textures are reduced to ``texels`` along their shorter side; ``device`` is a GPU's number in EGL.

    Raises:
        OpenGLError: If OpenGL is missing or renders a known square wrongly, or there is no such device.
    """

    def __init__(
        self, cameras: Sequence[Camera], size: int, attributes: Sequence[str], texels: int, device: int = DRIVER_CHOOSES
    ) -> None:
        self._cameras, self._size, self._attributes, self._texels = tuple(cameras), size, tuple(attributes), texels
        self._mesh: Any = pyvista.PolyData()  # pyvista's setters have narrower types than what they take
        self._actors = {name: _actor(name) for name in self._attributes or ("depth",)}
        self._plotter = _open_plotter(len(cameras), size, device)
        for column, camera in enumerate(self._cameras):
            self._plotter.subplot(0, column)
            self._plotter.set_background("black")
            _place(self._plotter.camera, camera)
            for actor in self._actors.values():
                self._plotter.add_actor(actor, reset_camera=False, render=False)
        check_square(self, self._cameras[0], size)

    @property
    def name(self) -> str:
        """Window class and driver, e.g. ``vtkEGLRenderWindow, llvmpipe (LLVM 15.0.6)``."""
        window = self._plotter.render_window
        lines = window.ReportCapabilities().splitlines()
        named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("OpenGL renderer string")]
        return ", ".join([window.GetClassName(), *named])

    def render(self, scan: FaceScan) -> RenderBuffers:
        """Every view of a scan, in one pass per attribute."""
        self._load_mesh(scan)
        if "texture" in self._actors:
            self._load_texture(scan)
        if "normals" in self._actors:
            self._mesh.point_data["normals"] = _encode_normals(vertex_normals(scan.vertices, scan.faces))
            self._mesh.set_active_scalars("normals")
        images = {name: self._by_view(self._render_alone(actor)) for name, actor in self._actors.items()}
        depth_buffer = self._by_view(self._read_depth())
        face = depth_buffer < 1.0
        if "normals" in images:
            images["normals"] = _encode_normals(decode_normals(images["normals"])) * face[..., None]
        return RenderBuffers(
            {name: images[name] for name in self._attributes}, face, self._towards_camera(depth_buffer)
        )

    def close(self) -> None:
        """Release the window and its graphics memory."""
        self._plotter.close()

    def _load_mesh(self, scan: FaceScan) -> None:
        same = self._mesh.n_points == len(scan.vertices) and np.array_equal(self._mesh.regular_faces, scan.faces)
        if same:
            self._mesh.points = np.array(scan.vertices, np.float32)
            return
        points: Any = np.array(scan.vertices, np.float32)
        self._mesh = pyvista.PolyData.from_regular_faces(points, scan.faces)
        for actor in self._actors.values():
            actor.mapper.dataset = self._mesh

    def _load_texture(self, scan: FaceScan) -> None:
        texture, coordinates = scan.texture, scan.texture_coordinates
        if texture is None or coordinates is None:
            texture = np.full((1, 1, 3), MISSING_TEXTURE, np.uint8)
            coordinates = np.zeros((len(scan.vertices), 2), np.float32)
        self._mesh.active_texture_coordinates = np.array(coordinates, np.float32)
        texels = pyvista.Texture(np.ascontiguousarray(shrink_texture(texture, self._texels)))
        texels.interpolate, texels.repeat = True, False
        self._actors["texture"].texture = texels

    def _render_alone(self, actor: pyvista.Actor) -> UInt8[np.ndarray, "rows columns 3"]:
        for other in self._actors.values():
            other.visibility = other is actor
        self._plotter.render_window.Render()
        width, height = self._plotter.window_size
        pixels = pyvista.convert_array(np.empty(width * height * 3, np.uint8), array_type=UNSIGNED_CHAR)
        self._plotter.render_window.GetPixelData(0, 0, width - 1, height - 1, 0, pixels, 0)
        return np.asarray(pyvista.convert_array(pixels)).reshape(height, width, 3)

    def _read_depth(self) -> Float32[np.ndarray, "rows columns"]:
        """The depth buffer, bottom row first, 0 at the near plane, 1 at the far one and off the face."""
        width, height = self._plotter.window_size
        depth = pyvista.convert_array(np.empty(width * height, np.float32))
        self._plotter.render_window.GetZbufferData(0, 0, width - 1, height - 1, depth)
        return np.asarray(pyvista.convert_array(depth)).reshape(height, width)

    def _by_view(self, window: np.ndarray) -> np.ndarray:
        """An image of the window, bottom row first, as ``[views, height, width, ...]``, top row first."""
        size, components = self._size, window.shape[2:]
        return window[::-1].reshape(size, len(self._cameras), size, *components).swapaxes(0, 1)

    def _towards_camera(
        self, depth: Float32[np.ndarray, "views height width"]
    ) -> Float32[np.ndarray, "views height width"]:
        """Depth buffer to mm in front of the plane through the turning axis."""
        camera = self._cameras[0]
        near, far = camera.clipping_range
        between = np.float32(far - near)
        away = near * far / (far - depth * between) if camera.field_of_view else near + depth * between
        return np.asarray(camera.distance - away, np.float32)


def check_square(renderer: PyVistaRenderer, camera: Camera, size: int) -> None:
    """Render an untextured square that faces the front; raises :class:`OpenGLError` if its centre pixels are wrong."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32) * camera.half_height
    vertices = np.column_stack([corners, np.zeros(4, np.float32)]) + np.array(camera.target, np.float32)
    buffers = renderer.render(FaceScan(vertices.astype(np.float32), np.array([(0, 1, 2), (0, 2, 3)], np.int32)))
    middle = size // 2
    found = {name: stack[:, middle, middle].astype(int) for name, stack in buffers.attributes.items()}
    wrong = [name for name, values in found.items() if np.abs(values - SQUARE[name]).max() > 1]
    reach = STEEPEST * 2 * camera.half_height / size
    if wrong or np.abs(buffers.depth[:, middle, middle]).max() > reach:
        values = "; ".join(f"{name} {found[name].tolist()}, expected {SQUARE[name]}" for name in wrong)
        empty = not buffers.face.any()
        raise OpenGLError(
            f"The OpenGL driver renders {'nothing' if empty else 'a grey square wrongly'} on {socket.gethostname()} "
            f"({values or 'depth'}): a broken or half-installed driver, or no permission on the GPU. Render on the CPU "
            f"(render.device=cpu), or choose another driver by {WINDOW_VARIABLE}: {', '.join(WINDOW_LIBRARIES)}; "
            "`python scripts/check_graphics.py` reports what OpenGL lacks here."
        )


def _encode_normals(normals: Vertices) -> UInt8[np.ndarray, "*shape 3"]:
    length = np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    return np.asarray(normals * (NORMALS_SCALE / length) + (NORMALS_MIDDLE + 0.5), np.uint8)


def _actor(attribute: str) -> pyvista.Actor:
    actor = pyvista.Actor(mapper=pyvista.DataSetMapper(pyvista.PolyData()))
    actor.prop.lighting, actor.prop.color = False, "white"
    actor.mapper.scalar_visibility = attribute == "normals"
    actor.mapper.color_mode = "direct"
    return actor


def _open_plotter(views: int, size: int, device: int) -> Any:
    _choose_window()
    plotter = pyvista.Plotter(
        off_screen=True, shape=(1, views), border=False, lighting="none", window_size=[views * size, size]
    )
    plotter.disable_anti_aliasing()
    window: Any = plotter.render_window
    if device != DRIVER_CHOOSES:
        found = window.GetNumberOfDevices() if window.GetClassName() == "vtkEGLRenderWindow" else 0
        if device >= found:
            raise OpenGLError(
                f"There is no graphics device {device}: {window.GetClassName()} finds {found}. "
                "Set device to -1 to leave the choice to the driver."
            )
        window.SetDeviceIndex(device)
    window.Initialize()
    if not window.SupportsOpenGL():
        raise OpenGLError(f"{window.GetClassName()} found no usable OpenGL driver. {REMEDY}")
    _isolate_later_imports()
    return plotter


def _choose_window() -> None:
    """Prefer EGL, then OSMesa, then the screen; the environment variable overrides the choice."""
    if not sys.platform.startswith("linux"):
        return
    if chosen := os.environ.get(WINDOW_VARIABLE):
        library = WINDOW_LIBRARIES.get(chosen)
        if library and not _loads(library):
            raise OpenGLError(f"{WINDOW_VARIABLE}={chosen} needs {library}, which is not installed. {REMEDY}")
        return
    usable = [name for name, library in WINDOW_LIBRARIES.items() if _loads(library)]
    if usable:
        os.environ[WINDOW_VARIABLE] = usable[0]
    elif "DISPLAY" not in os.environ or not _loads("libGL.so.1"):
        raise OpenGLError(f"No OpenGL library is installed. {REMEDY}")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _isolate_later_imports() -> None:
    """Let modules imported later resolve their own symbols first: Mesa's LLVM would shadow Triton's and crash it."""
    if sys.platform.startswith("linux") and "libLLVM" in Path("/proc/self/maps").read_text():
        sys.setdlopenflags(sys.getdlopenflags() | os.RTLD_DEEPBIND)


def _place(view: pyvista.Camera, camera: Camera) -> None:
    view.position, view.focal_point, view.up = camera.position, camera.target, (0.0, 1.0, 0.0)
    if camera.field_of_view:
        view.view_angle = camera.field_of_view
    else:
        view.parallel_projection, view.parallel_scale = True, camera.half_height
    view.clipping_range = camera.clipping_range
