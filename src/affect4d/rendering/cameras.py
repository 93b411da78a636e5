"""Where the cameras stand: named angles round the head, and the fixed metric window every picture shows.

A positive yaw moves the camera to the subject's left (+x), so the view called ``"left"`` (−45°) is taken from the left
of a frontal *picture* and shows the subject's right cheek. A camera and its mirror image carry mirrored names:
``"left"`` flipped is ``"right"``. A positive pitch moves it up.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from affect4d.rendering.lights import Light
from affect4d.rendering.pictures import PictureChannel

Yaw = Annotated[float, Field(ge=-80.0, le=80.0)]
Pitch = Annotated[float, Field(ge=-60.0, le=60.0)]
ViewName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Level = Annotated[int, Field(ge=0, le=255)]

DEFAULT_ANGLES: Mapping[str, float] = {"front": 0.0, "left": -45.0, "right": 45.0}
FAR_AWAY = 1000.0
"""Distance of an orthographic camera, in mm; what it shows does not depend on it."""
DEEPEST = 400.0
"""How far before and behind the turning axis anything is drawn, in mm."""


class RenderOptions(BaseModel):
    """What a rendered picture shows.

    Attributes:
        size: Pictures are ``size`` × ``size`` pixels.
        angles: View name → yaw in degrees, or ``{yaw: …, pitch: …}``. A name with "left" and the same with "right" have
            opposite yaws; a name with neither has none.
        pitches: View name → pitch in degrees, where it is not 0; filled from the long form of ``angles``.
        channels: What is drawn of a view; what is not asked for costs nothing.
        window: Side of the square the picture shows at the turning axis, in mm; the same for every subject, so that
            sizes are comparable.
        field_of_view: What a perspective lens spans, in degrees; 0 is an orthographic lens (no perspective).
        centre_height: Height of the middle of the picture above the nose tip, in mm.
        pivot_depth: How far behind the nose tip the vertical axis is that the cameras turn round, in mm.
        background: Red, green, blue round the face in ``texture`` and ``shading``.
        lights: What lights ``shading``.
        ambient: Light from everywhere in ``shading``, 0…1.
        stances: How many further pictures of every view are drawn, the head turned a little, for training to draw from.
        stance_degrees: Standard deviation of a stance's yaw, and of its pitch.
        max_failed_share: Share of scans that may fail before a whole corpus is refused.
        device: What draws: the processor (``"cpu"``), the same to the bit on every machine; or a graphics card, as EGL
            counts them; −1 leaves the choice to the OpenGL driver.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=96, ge=16, le=1024)
    angles: dict[ViewName, Yaw] = Field(default_factory=lambda: dict(DEFAULT_ANGLES), min_length=1, max_length=16)
    pitches: dict[ViewName, Pitch] = Field(default_factory=dict)
    channels: tuple[PictureChannel, ...] = Field(default=("texture", "normals"), min_length=1)
    window: float = Field(default=190.0, ge=20.0, le=1000.0)
    field_of_view: float = Field(default=0.0, ge=0.0, le=60.0)
    centre_height: float = Field(default=-5.0, ge=-200.0, le=200.0)
    pivot_depth: float = Field(default=45.0, ge=0.0, le=200.0)
    background: tuple[Level, Level, Level] = (0, 0, 0)
    lights: tuple[Light, ...] = Field(default=(Light(),), max_length=8)
    ambient: float = Field(default=0.0, ge=0.0, le=1.0)
    stances: int = Field(default=0, ge=0, le=8)
    stance_degrees: float = Field(default=5.0, gt=0.0, le=20.0)
    max_failed_share: float = Field(default=0.05, ge=0.0, le=1.0)
    device: Literal["cpu"] | Annotated[int, Field(ge=-1)] = "cpu"

    @model_validator(mode="before")
    @classmethod
    def _split_angles(cls, given: Any) -> Any:
        """Take ``{yaw: …, pitch: …}`` apart; anything else is left for the fields to judge."""
        if not isinstance(given, Mapping) or not isinstance(given.get("angles"), Mapping):
            return given
        angles, pitches = dict(given["angles"]), dict(given.get("pitches") or {})
        for name, angle in angles.items():
            if isinstance(angle, Mapping):
                if not angle or set(angle) - {"yaw", "pitch"}:
                    raise ValueError(f"The view {name!r} needs a yaw and a pitch, not {sorted(map(str, angle))}.")
                angles[name] = angle.get("yaw", 0.0)
                pitches[name] = angle.get("pitch", 0.0)
        return {**given, "angles": angles, "pitches": pitches}

    @model_validator(mode="after")
    def _names_say_their_side(self) -> "RenderOptions":
        for name, yaw in self.angles.items():
            mirrored = mirrored_name(name)
            if mirrored == name and yaw != 0.0:
                raise ValueError(f"The view {name!r} stands at {yaw}°: name it with 'left' or 'right'.")
            if mirrored in self.angles and self.angles[mirrored] != -yaw:
                raise ValueError(f"The views {name!r} and {mirrored!r} mirror each other: give them opposite angles.")
            if mirrored in self.angles and self.pitch(mirrored) != self.pitch(name):
                raise ValueError(f"The views {name!r} and {mirrored!r} mirror each other: give them one pitch.")
        unknown = sorted(set(self.pitches) - set(self.angles))
        if unknown:
            raise ValueError(f"Pitches are given for the views {unknown}, which have no yaw among the angles.")
        return self

    @model_validator(mode="after")
    def _channels_differ(self) -> "RenderOptions":
        if len(set(self.channels)) != len(self.channels):
            raise ValueError(f"Each channel is drawn once, and {list(self.channels)} names one twice.")
        if "shading" in self.channels and not self.lights and not self.ambient:
            raise ValueError("The channel 'shading' is black without lights: give lights, or ambient light.")
        return self

    @model_validator(mode="after")
    def _lens_stands_before_the_face(self) -> "RenderOptions":
        nearest = self.pivot_depth + self.window / 2
        if self.field_of_view and _distance(self) < nearest:
            raise ValueError(
                f"A lens of {self.field_of_view:g}° that shows {self.window:g} mm stands {_distance(self):.0f} mm from "
                f"the turning axis, inside the head: narrow the lens or widen the window until it is {nearest:.0f} mm."
            )
        return self

    def pitch(self, view: str) -> float:
        """Degrees above the horizontal."""
        return self.pitches.get(view, 0.0)

    @property
    def picture(self) -> dict[str, object]:
        """The options that say what a picture shows, whatever draws it."""
        return self.model_dump(mode="json", exclude={"max_failed_share", "device"})

    @property
    def drawn(self) -> dict[str, object]:
        """What a picture depends on to the bit, for content keys: what it shows, and whether a graphics card drew it.

        Cards and their drivers round as they like, and share one key; what the processor draws has another.
        """
        return self.picture if self.device == "cpu" else {**self.picture, "drawn_by": "graphics"}


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera: ``position`` looks at ``target``, both in mm in the canonical frame, +y up.

    Attributes:
        name: Name of its view.
        position: Where it stands.
        target: What it looks at.
        half_height: Half the height of what it shows at the target.
        field_of_view: Degrees its lens spans; 0 is orthographic.
    """

    name: str
    position: tuple[float, float, float]
    target: tuple[float, float, float]
    half_height: float
    field_of_view: float = 0.0

    @property
    def distance(self) -> float:
        """From the camera to its target, in mm."""
        return math.dist(self.position, self.target)


def cameras(options: RenderOptions) -> tuple[Camera, ...]:
    """One camera a view, in the order of ``options.angles``; a perspective one stands where it spans the window."""
    target = (0.0, options.centre_height, -options.pivot_depth)
    half, lens, distance = options.window / 2, options.field_of_view, _distance(options)
    return tuple(
        Camera(name, _on_sphere(target, yaw, options.pitch(name), distance), target, half, lens)
        for name, yaw in options.angles.items()
    )


def clipping_range(camera: Camera) -> tuple[float, float]:
    """Nearest and furthest distance from the camera that is drawn, in mm."""
    return max(camera.distance - DEEPEST, 1.0), camera.distance + DEEPEST


def _distance(options: RenderOptions) -> float:
    if not options.field_of_view:
        return FAR_AWAY
    return options.window / 2 / math.tan(math.radians(options.field_of_view / 2))


def _on_sphere(
    target: tuple[float, float, float], yaw: float, pitch: float, distance: float
) -> tuple[float, float, float]:
    across, up = math.radians(yaw), math.radians(pitch)
    level = distance * math.cos(up)
    return (
        target[0] + level * math.sin(across),
        target[1] + distance * math.sin(up),
        target[2] + level * math.cos(across),
    )


def mirrored_name(name: str) -> str:
    """The view a view becomes when its picture is flipped.

    >>> mirrored_name("left"), mirrored_name("front"), mirrored_name("right_20")
    ('right', 'front', 'left_20')
    """
    return name.replace("left", "\0").replace("right", "left").replace("\0", "right")
