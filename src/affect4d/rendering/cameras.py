"""Where the cameras stand: named yaw angles round the head, and the fixed metric window every picture shows.

A positive yaw moves the camera to the subject's left (+x), so the view called ``"left"`` (−45°) is taken from the left
of a frontal *picture* and shows the subject's right cheek. A camera and its mirror image carry mirrored names:
``"left"`` flipped is ``"right"``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Yaw = Annotated[float, Field(ge=-80.0, le=80.0)]
ViewName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

DEFAULT_ANGLES: Mapping[str, float] = {"front": 0.0, "left": -45.0, "right": 45.0}


class RenderOptions(BaseModel):
    """What a rendered picture shows.

    Attributes:
        size: Pictures are ``size`` × ``size`` pixels.
        angles: View name → yaw in degrees. A name with "left" and the same with "right" have opposite angles; a name
            with neither is frontal.
        window: Side of the square the picture shows, in mm; the same for every subject, so that sizes are comparable.
        centre_height: Height of the middle of the picture above the nose tip, in mm.
        pivot_depth: How far behind the nose tip the vertical axis is that the cameras turn round, in mm.
        max_failed_share: Share of sequences that may fail before a whole corpus is refused.
        workers: Processes; 0 means one a core.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=96, ge=16, le=1024)
    angles: dict[ViewName, Yaw] = Field(default_factory=lambda: dict(DEFAULT_ANGLES), min_length=1, max_length=16)
    window: float = Field(default=190.0, ge=20.0, le=1000.0)
    centre_height: float = Field(default=-5.0, ge=-200.0, le=200.0)
    pivot_depth: float = Field(default=45.0, ge=0.0, le=200.0)
    max_failed_share: float = Field(default=0.05, ge=0.0, le=1.0)
    workers: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _names_say_their_side(self) -> "RenderOptions":
        for name, yaw in self.angles.items():
            mirrored = mirrored_name(name)
            if mirrored == name and yaw != 0.0:
                raise ValueError(f"The view {name!r} stands at {yaw}°: name it with 'left' or 'right'.")
            if mirrored in self.angles and self.angles[mirrored] != -yaw:
                raise ValueError(f"The views {name!r} and {mirrored!r} mirror each other: give them opposite angles.")
        return self

    @property
    def picture(self) -> dict[str, object]:
        """The options a picture depends on, for content keys."""
        return self.model_dump(mode="json", exclude={"max_failed_share", "workers"})


@dataclass(frozen=True, slots=True)
class Camera:
    """An orthographic camera: ``position`` looks at ``target``, both in mm in the canonical frame, +y up.

    Attributes:
        name: Name of its view.
        position: Where it stands.
        target: What it looks at.
        half_height: Half the height of what it shows.
    """

    name: str
    position: tuple[float, float, float]
    target: tuple[float, float, float]
    half_height: float


def cameras(options: RenderOptions, distance: float = 1000.0) -> tuple[Camera, ...]:
    """One camera a view, in the order of ``options.angles``, each ``distance`` mm away from the turning axis."""
    target = (0.0, options.centre_height, -options.pivot_depth)
    return tuple(
        Camera(name, _on_circle(target, yaw, distance), target, options.window / 2)
        for name, yaw in options.angles.items()
    )


def _on_circle(target: tuple[float, float, float], yaw: float, distance: float) -> tuple[float, float, float]:
    angle = math.radians(yaw)
    return target[0] + distance * math.sin(angle), target[1], target[2] + distance * math.cos(angle)


def mirrored_name(name: str) -> str:
    """The view a view becomes when its picture is flipped.

    >>> mirrored_name("left"), mirrored_name("front"), mirrored_name("right_20")
    ('right', 'front', 'left_20')
    """
    return name.replace("left", "\0").replace("right", "left").replace("\0", "right")
