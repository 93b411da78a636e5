"""Random changes of a view's image. A new augmentation is one entry of :data:`AUGMENTATIONS`.

From an entry follow a field of :class:`MixedViewOptions`, a column of the schedule per view, and its effect on pixels.
Torch is not imported here, so that pipelines read options without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, Field, create_model

from affect4d.renamed_options import former_names


@dataclass(slots=True)
class ImageChange:
    """Combined effect of all augmentations on a batch; each augmentation changes it in place."""

    transform: Any
    """Tensor [samples, views, 2, 3]: affine map from a pixel to where it is sampled, −1…1 across the image."""
    levels: dict[str, tuple[Any, Any]]
    """Channel → tensors [samples, views] (gain, offset) on its levels, which are 0…2."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """One random number per view, uniform within ± the value of an option of ``identity``, and its effect."""

    name: str
    identity: float
    """The value without effect."""
    option: str
    """Field of :class:`MixedViewOptions` for the greatest change; ``field`` is its declaration."""
    field: Any
    apply: Callable[[ImageChange, Any], None]
    """Changes the image by values [samples, views]."""

    def sample(self, reach: float, count: int, generator: np.random.Generator) -> Float32[np.ndarray, " count"]:
        """Random values of ``count`` samples."""
        return np.asarray(generator.uniform(self.identity - reach, self.identity + reach, count), np.float32)


def _rotate(change: ImageChange, degrees: Any) -> None:
    radians = degrees.deg2rad()[..., None]
    cosine, sine = radians.cos(), radians.sin()
    across, along = change.transform[..., 0].clone(), change.transform[..., 1].clone()
    change.transform[..., 0] = across * cosine + along * sine
    change.transform[..., 1] = along * cosine - across * sine


def _scale(change: ImageChange, factor: Any) -> None:
    change.transform[..., :2] /= factor[..., None, None]


def _shift_right(change: ImageChange, fraction: Any) -> None:
    change.transform[..., 2] += change.transform[..., 0] * (-2.0 * fraction)[..., None]


def _shift_down(change: ImageChange, fraction: Any) -> None:
    change.transform[..., 2] += change.transform[..., 1] * (-2.0 * fraction)[..., None]


def _contrast(change: ImageChange, factor: Any) -> None:
    change.levels["grey"][0].mul_(factor)


def _brightness(change: ImageChange, fraction: Any) -> None:
    change.levels["grey"][1].add_(2.0 * fraction)


_ROTATION = Field(default=10.0, ge=0.0, le=180.0, description="greatest rotation in the image plane, degrees")
_SCALE = Field(default=0.12, ge=0.0, lt=0.9, description="greatest relative change of size")
_SHIFT = Field(default=0.06, ge=0.0, le=0.5, description="greatest shift, as a fraction of the image's side")
_CONTRAST = Field(default=0.2, ge=0.0, lt=1.0, description="greatest relative change of the grey channel's contrast")
_BRIGHTNESS = Field(default=0.08, ge=0.0, le=1.0, description="greatest offset of the grey channel, fraction of range")
AUGMENTATIONS: list[Augmentation] = [
    Augmentation("rotation", 0.0, "rotation", _ROTATION, _rotate),
    Augmentation("scale", 1.0, "scale", _SCALE, _scale),
    Augmentation("shift_x", 0.0, "shift", _SHIFT, _shift_right),
    Augmentation("shift_y", 0.0, "shift", _SHIFT, _shift_down),
    Augmentation("contrast", 1.0, "contrast", _CONTRAST, _contrast),
    Augmentation("brightness", 0.0, "brightness", _BRIGHTNESS, _brightness),
]
"""In the order in which they are sampled and applied."""


class SampleOptions(BaseModel, frozen=True, extra="forbid"):
    """Options of a sample's source images; options of image changes follow from :data:`AUGMENTATIONS`."""

    _former = former_names(turned="head_pose")

    mirror: float = Field(default=0.5, ge=0.0, le=1.0, description="probability that the whole sample is mirrored")
    mix: float = Field(default=0.25, ge=0.0, le=1.0, description="probability that a view comes from another scan")
    quiet_share: float = Field(default=0.0, ge=0.0, le=1.0, description="share from all frames, not round the apex")
    head_pose: float = Field(
        default=0.75, ge=0.0, le=1.0, description="probability of a further head pose, if rendered"
    )
    still: float = Field(default=0.5, ge=0.0, le=1.0, description="probability of no motion, as without a neutral")
    textureless: float = Field(default=0.0, ge=0.0, le=1.0, description="probability of no texture: a bare mesh")
    missing_view: float = Field(default=0.0, ge=0.0, le=1.0, description="probability that a view is missing")

    @classmethod
    def none(cls) -> Self:
        """No augmentation."""
        return cls(**dict.fromkeys(cls.model_fields, 0.0))


def options_model(augmentations: Sequence[Augmentation]) -> type[SampleOptions]:
    """A model of the options of some augmentations."""
    fields: dict[str, Any] = {one.option: (float, one.field) for one in augmentations}
    return create_model("AugmentationOptions", __base__=SampleOptions, **fields)


class MixedViewOptions(options_model(AUGMENTATIONS)):  # type: ignore[misc]  # its fields are known at run time
    """Strength of mixed view augmentation; all at 0 is none."""
