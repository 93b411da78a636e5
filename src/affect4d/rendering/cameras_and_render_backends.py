"""Multi-view renderer of scans: its cameras, its backend (CPU or OpenGL, kept open), and previews of scans.

Cameras are at named angles round the head and show a fixed metric window. A positive yaw moves a camera to the
subject's left (+x), so the view called ``"left"`` (−45°) is taken from the left of a frontal *image* and shows the
subject's right cheek. A camera and its mirror image carry mirrored names. A positive pitch moves the camera up.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from affect4d.array_types import Landmarks, Texture
from affect4d.rendering.channels import RENDERED_CHANNELS, RenderBuffers, needed_attributes
from affect4d.rendering.options import Light, RenderOptions
from affect4d.scans.ingest import load_canonical_scan
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.scan_source_and_corpus_folder import ScanSource

DEPTH_RANGE = 400.0  # how far before and behind the turning axis anything is rendered, in mm
TEXELS_PER_PIXEL = 2
PREVIEW_ANGLES = {"front": 0.0, "left": -60.0, "right": 60.0}
PREVIEW_BACKGROUND = (38, 43, 47)
PREVIEW_LANDMARKS = (255, 176, 32)
PREVIEW_LIGHTS = (
    Light(direction=(-0.5, 0.7, 0.6), intensity=0.7),
    Light(direction=(0.9, 0.1, 0.5), intensity=0.3, colour=(0.8, 0.9, 1.0)),
)
"""A strong light from above, a weak bluish one from the other side."""

Point = tuple[float, float, float]
RenderedImages = dict[str, np.ndarray]
"""Channel → ``[views, height, width, components]``."""


class RenderError(RuntimeError):
    """A scan cannot be rendered; the message gives the reason and a remedy."""


class OpenGLError(RenderError):
    """OpenGL is missing or broken on this machine: no image of its process can be trusted."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that shows twice ``half_height`` (mm) at its target; ``field_of_view``: degrees, 0 if orthographic."""

    name: str
    position: Point
    target: Point
    half_height: float
    field_of_view: float = 0.0

    @property
    def distance(self) -> float:
        """From the camera to its target, in mm."""
        return math.dist(self.position, self.target)

    @property
    def clipping_range(self) -> tuple[float, float]:
        """Nearest and furthest rendered distance from the camera, in mm."""
        return max(self.distance - DEPTH_RANGE, 1.0), self.distance + DEPTH_RANGE


def cameras(options: RenderOptions) -> tuple[Camera, ...]:
    """One camera per view, in the order of ``options.angles``."""
    target = (0.0, options.centre_height, -options.pivot_depth)
    half, lens, distance = options.window / 2, options.field_of_view, options.camera_distance
    return tuple(
        Camera(name, _on_sphere(target, yaw, options.pitch(name), distance), target, half, lens)
        for name, yaw in options.angles.items()
    )


def _on_sphere(target: Point, yaw: float, pitch: float, distance: float) -> Point:
    across, up = math.radians(yaw), math.radians(pitch)
    level = distance * math.cos(up)
    return (
        target[0] + level * math.sin(across),
        target[1] + distance * math.sin(up),
        target[2] + level * math.cos(across),
    )


class RenderBackend(Protocol):
    """Renders the surface attributes of a scan, unlit, so that a pixel is a measurement."""

    @property
    def name(self) -> str:
        """The CPU, or the OpenGL driver."""

    def render(self, scan: FaceScan) -> RenderBuffers:
        """Every view of a scan."""

    def close(self) -> None:
        """Release windows and graphics memory."""


class Renderer:
    """Renders scans with a backend that stays open: one per process. OpenGLError names a missing system package."""

    def __init__(self, options: RenderOptions) -> None:
        self.options = options
        attributes = needed_attributes(options.channels)
        self.texels = TEXELS_PER_PIXEL * options.size if "texture" in attributes else 1
        self._backend = open_backend(options, attributes, self.texels)

    @property
    def driver(self) -> str:
        """Name of the backend: the CPU, or window class and OpenGL driver."""
        return self._backend.name

    def render(self, scan: FaceScan) -> RenderedImages:
        """Images of a canonical scan (mm), by channel in the order of the options; types: ``RENDERED_CHANNELS``."""
        buffers = self._backend.render(scan)
        return {channel: RENDERED_CHANNELS[channel].encode(buffers, self.options) for channel in self.options.channels}

    def close(self) -> None:
        """Release windows and graphics memory."""
        self._backend.close()


def open_backend(options: RenderOptions, attributes: Sequence[str], texels: int) -> RenderBackend:
    """The backend of the options' device; the libraries of the other are not loaded."""
    if options.device == "cpu":
        from affect4d.rendering.rasteriser import Rasteriser

        return Rasteriser(cameras(options), options.size, attributes, texels)
    from affect4d.rendering.pyvista_renderer import PyVistaRenderer

    return PyVistaRenderer(cameras(options), options.size, attributes, texels, options.device)


def shared_renderer(options: RenderOptions) -> Renderer:
    """This process's renderer for these options, opened on first use."""
    return _open_renderer(options.model_dump_json(exclude={"max_failed_share"}))


@functools.cache
def _open_renderer(options: str) -> Renderer:
    return Renderer(RenderOptions.model_validate_json(options))


def shrink_texture(texture: Texture, side: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """Average whole blocks of texels until the shorter side is just above ``side`` (no aliasing, a quick upload)."""
    factor = min(texture.shape[:2]) // side
    return np.asarray(Image.fromarray(texture).reduce(factor)) if factor > 1 else texture


def preview_options(size: int) -> RenderOptions:
    """Options of a preview of ``size`` pixels; the window is that of the models' images."""
    return RenderOptions(
        size=size,
        angles=PREVIEW_ANGLES,
        channels=("texture", "shading"),
        background=PREVIEW_BACKGROUND,
        lights=PREVIEW_LIGHTS,
        ambient=0.08,
    )


def render_previews(source: ScanSource, rows: Sequence[Mapping[str, Any]], size: int = 168) -> list[Image.Image | str]:
    """Render scans of the manifest, each as one image four views wide, or the reason why it cannot be rendered."""
    renderer = shared_renderer(preview_options(size))
    return [_render_preview(renderer, source, row) for row in rows]


def _render_preview(renderer: Renderer, source: ScanSource, row: Mapping[str, Any]) -> Image.Image | str:
    try:
        scan = load_canonical_scan(source, row, renderer.texels)
        images = renderer.render(scan)
    except ScanError as error:
        return error.detail
    except RenderError as error:
        return str(error)
    preview = Image.fromarray(np.concatenate([images["texture"][0], *images["shading"]], axis=1))
    if scan.landmarks is not None:
        _mark(preview, scan.landmarks, renderer.options)
    return preview


def _mark(preview: Image.Image, landmarks: Landmarks, options: RenderOptions) -> None:
    """Landmarks as dots on the shape from the front."""
    from affect4d.rendering.rasteriser import project

    points = project(landmarks, cameras(options)[0], options.size)[:, :2] + (options.size, 0)
    draw = ImageDraw.Draw(preview)
    for column, row in points[np.isfinite(points).all(axis=1)]:
        draw.ellipse((column - 1, row - 1, column + 1, row + 1), fill=PREVIEW_LANDMARKS)
