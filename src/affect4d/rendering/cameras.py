"""Camera placement: named angles round the head and a fixed metric window.

A positive yaw moves the camera to the subject's left (+x), so the view called ``"left"`` (−45°) is taken from the left
of a frontal *image* and shows the subject's right cheek. A camera and its mirror image carry mirrored names:
``"left"`` flipped is ``"right"``. A positive pitch moves the camera up.
"""

import math
from dataclasses import dataclass

from affect4d.rendering.options import RenderOptions

DEPTH_RANGE = 400.0
"""How far before and behind the turning axis anything is rendered, in mm."""

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera in the canonical frame, in mm, +y up; ``field_of_view`` in degrees, 0 is orthographic.

    ``half_height`` is half the height of the image at the target.
    """

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
