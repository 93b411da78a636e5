"""Options of rendering: size, views, channels, lights, device."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from affect4d.renamed_options import former_names
from affect4d.rendering.channels import RENDERED_CHANNELS

Yaw = Annotated[float, Field(ge=-80.0, le=80.0)]
Pitch = Annotated[float, Field(ge=-60.0, le=60.0)]
ViewName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Level = Annotated[int, Field(ge=0, le=255)]

DEFAULT_ANGLES: Mapping[str, float] = {"front": 0.0, "left": -45.0, "right": 45.0}
_FORMER_NAMES = {"stances": "head_poses", "stance_degrees": "head_pose_degrees"}
ORTHOGRAPHIC_DISTANCE = 1000.0  # distance of an orthographic camera, in mm; its image does not depend on it


class Light(BaseModel, frozen=True, extra="forbid"):
    """A distant light, the same for all cameras."""

    direction: tuple[float, float, float] = Field(
        default=(0.0, math.sin(math.radians(35.0)), math.cos(math.radians(35.0))),
        description="From the face towards the light: +x the subject's left, +y up, +z out of the face; any length.",
    )
    intensity: float = Field(default=1.0, ge=0.0, le=4.0, description="1 makes a white surface that faces it white.")
    colour: tuple[float, float, float] = Field(default=(1.0, 1.0, 1.0), description="Red, green, blue, each 0…1.")

    @field_validator("direction")
    @classmethod
    def _points_somewhere(cls, direction: tuple[float, float, float]) -> tuple[float, float, float]:
        if not 1e-6 < math.hypot(*direction) < math.inf:
            raise ValueError(f"A light needs a direction; {direction} points nowhere.")
        return direction

    @field_validator("colour")
    @classmethod
    def _is_a_colour(cls, colour: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(0.0 <= part <= 1.0 for part in colour):
            raise ValueError(f"A light's colour is three numbers 0…1, not {colour}.")
        return colour


class RenderOptions(BaseModel, frozen=True, extra="forbid"):
    """Options of a rendered image."""

    _former = former_names(**_FORMER_NAMES)

    size: int = Field(default=96, ge=16, le=1024, description="pixels a side")
    angles: dict[ViewName, Yaw] = Field(
        default_factory=lambda: dict(DEFAULT_ANGLES),
        min_length=1,
        max_length=16,
        description="View name → yaw in degrees, or {yaw: …, pitch: …}. A name with 'left' and the same with 'right' "
        "have opposite yaws; a name with neither has none.",
    )
    pitches: dict[ViewName, Pitch] = Field(
        default_factory=dict, description="View name → pitch in degrees where it is not 0; filled from `angles`."
    )
    channels: tuple[str, ...] = Field(default=("texture", "normals"), min_length=1)
    window: float = Field(
        default=190.0,
        ge=20.0,
        le=1000.0,
        description="Side, in mm, of the square that an image shows at the turning axis; the same for every subject.",
    )
    field_of_view: float = Field(default=0.0, ge=0.0, le=60.0, description="Degrees; 0 is an orthographic camera.")
    centre_height: float = Field(default=-5.0, ge=-200.0, le=200.0, description="Image centre above the nose tip, mm.")
    pivot_depth: float = Field(default=45.0, ge=0.0, le=200.0, description="Turning axis behind the nose tip, mm.")
    background: tuple[Level, Level, Level] = Field(default=(0, 0, 0), description="Of texture and shading.")
    lights: tuple[Light, ...] = Field(default=(Light(),), max_length=8, description="Of shading.")
    ambient: float = Field(default=0.0, ge=0.0, le=1.0, description="Light from everywhere in shading.")
    head_poses: int = Field(
        default=0, ge=0, le=8, description="Further images of every view with the head rotated a little, for training."
    )
    head_pose_degrees: float = Field(
        default=5.0, gt=0.0, le=20.0, description="Standard deviation of a head pose's yaw, and of its pitch."
    )
    max_failed_share: float = Field(
        default=0.05, ge=0.0, le=1.0, description="Share of scans that may fail before a corpus is refused."
    )
    device: Literal["cpu"] | Annotated[int, Field(ge=-1)] = Field(
        default="cpu",
        description="The CPU, identical on every machine; or a GPU's number as EGL counts them, -1: OpenGL's choice.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_saved_options(cls, given: Any) -> Any:
        """Files of earlier versions name every option: they are read without a warning."""
        if isinstance(given, dict) and _FORMER_NAMES.keys() <= given.keys():
            return {_FORMER_NAMES.get(name, name): value for name, value in given.items()}
        return given

    @model_validator(mode="before")
    @classmethod
    def _split_angles(cls, given: Any) -> Any:
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
    def _views_mirror_each_other(self) -> "RenderOptions":
        for name, yaw in self.angles.items():
            mirrored = mirrored_name(name)
            if mirrored == name and yaw != 0.0:
                raise ValueError(f"The view {name!r} is at {yaw}°: name it with 'left' or 'right'.")
            if mirrored in self.angles and self.angles[mirrored] != -yaw:
                raise ValueError(f"The views {name!r} and {mirrored!r} mirror each other: give them opposite angles.")
            if mirrored in self.angles and self.pitch(mirrored) != self.pitch(name):
                raise ValueError(f"The views {name!r} and {mirrored!r} mirror each other: give them one pitch.")
        unknown = sorted(set(self.pitches) - set(self.angles))
        if unknown:
            raise ValueError(f"Pitches are given for the views {unknown}, which have no yaw among the angles.")
        return self

    @model_validator(mode="after")
    def _channels_can_be_rendered(self) -> "RenderOptions":
        unknown = sorted(set(self.channels) - set(RENDERED_CHANNELS))
        if unknown:
            raise ValueError(f"The channels {unknown} do not exist; there are {', '.join(RENDERED_CHANNELS)}.")
        if len(set(self.channels)) != len(self.channels):
            raise ValueError(f"Each channel is rendered once, and {list(self.channels)} names one twice.")
        if "shading" in self.channels and not self.lights and not self.ambient:
            raise ValueError("The channel 'shading' is black without lights: give lights, or ambient light.")
        return self

    @model_validator(mode="after")
    def _camera_is_outside_the_head(self) -> "RenderOptions":
        nearest = self.pivot_depth + self.window / 2
        if self.field_of_view and self.camera_distance < nearest:
            raise ValueError(
                f"A camera of {self.field_of_view:g}° that shows {self.window:g} mm is {self.camera_distance:.0f} mm "
                f"from the turning axis, inside the head: lower the field of view or widen the window until it is "
                f"{nearest:.0f} mm."
            )
        return self

    def pitch(self, view: str) -> float:
        """Degrees above the horizontal."""
        return self.pitches.get(view, 0.0)

    @property
    def camera_distance(self) -> float:
        """From a camera to its target, in mm; a perspective camera's image spans the window there."""
        if not self.field_of_view:
            return ORTHOGRAPHIC_DISTANCE
        return self.window / 2 / math.tan(math.radians(self.field_of_view / 2))

    @property
    def image_options(self) -> dict[str, object]:
        """The options that affect an image, without the device."""
        return self.model_dump(mode="json", exclude={"max_failed_share", "device"})

    @property
    def cache_options(self) -> dict[str, object]:
        """What an image depends on to the bit, for content keys; OpenGL drivers differ by rounding and share one."""
        return self.image_options if self.device == "cpu" else {**self.image_options, "renderer": "opengl"}


class BlendshapeOptions(BaseModel, frozen=True, extra="forbid"):
    """Options of blendshape scores."""

    frames: int = Field(
        default=16, ge=2, le=10_000, description="most frames scored of a sequence: the first, the last, even steps"
    )


def mirrored_name(name: str) -> str:
    """The name of a view after its image is flipped: ``left`` → ``right``, ``right_20`` → ``left_20``."""
    return name.replace("left", "\0").replace("right", "left").replace("\0", "right")
