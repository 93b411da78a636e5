"""Random changes of a view's image. A new augmentation is one entry of :data:`AUGMENTATIONS`.

From an entry follow a field of :class:`MixedViewOptions`, a column of the schedule per view, and its effect on pixels.
Torch is not imported here, so that pipelines read options without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field, create_model

from affect4d.renamed_options import former_names


@dataclass(slots=True)
class ImageChange:
    """Combined effect of all augmentations on a batch; each changes it in place.

    Attributes:
        transform: Tensor [samples, views, 2, 3]: affine map from a pixel to where it is sampled, −1…1 across the image.
        levels: Channel → tensors [samples, views] (gain, offset) on its levels, which are 0…2.
    """

    transform: Any
    levels: dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """One random number per view and its effect.

    ``name`` is that of the schedule's columns, ``NAME_VIEW``. Values are uniform within ± the option of ``identity``,
    which changes nothing; ``option`` and ``field`` are the name and the declaration of the greatest change in
    :class:`MixedViewOptions`. ``apply`` takes values [samples, views].
    """

    name: str
    identity: float
    option: str
    field: Any
    apply: Callable[[ImageChange, Any], None]

    def sample(self, reach: float, count: int, generator: np.random.Generator) -> Float32[np.ndarray, " count"]:
        """Values of so many samples."""
        return np.asarray(generator.uniform(self.identity - reach, self.identity + reach, count), np.float32)


def _rotate(change: ImageChange, degrees: Any) -> None:
    radians = degrees.deg2rad()[..., None]
    cosine, sine = radians.cos(), radians.sin()
    across, along = change.transform[..., 0].clone(), change.transform[..., 1].clone()
    change.transform[..., 0] = across * cosine + along * sine
    change.transform[..., 1] = along * cosine - across * sine


def _scale(change: ImageChange, factor: Any) -> None:
    change.transform[..., :2] /= factor[..., None, None]


def _shift_right(change: ImageChange, share: Any) -> None:
    change.transform[..., 2] += change.transform[..., 0] * (-2.0 * share)[..., None]


def _shift_down(change: ImageChange, share: Any) -> None:
    change.transform[..., 2] += change.transform[..., 1] * (-2.0 * share)[..., None]


def _contrast(change: ImageChange, factor: Any) -> None:
    change.levels["grey"][0].mul_(factor)


def _brightness(change: ImageChange, share: Any) -> None:
    change.levels["grey"][1].add_(2.0 * share)


_SHIFT = Field(default=0.06, ge=0.0, le=0.5, description="greatest shift, as a share of the image's side")
AUGMENTATIONS: list[Augmentation] = [
    Augmentation(
        "rotation",
        0.0,
        "rotation",
        Field(default=10.0, ge=0.0, le=180.0, description="greatest rotation in the image plane, degrees"),
        _rotate,
    ),
    Augmentation(
        "scale",
        1.0,
        "scale",
        Field(default=0.12, ge=0.0, lt=0.9, description="greatest relative change of size"),
        _scale,
    ),
    Augmentation("shift_x", 0.0, "shift", _SHIFT, _shift_right),
    Augmentation("shift_y", 0.0, "shift", _SHIFT, _shift_down),
    Augmentation(
        "contrast",
        1.0,
        "contrast",
        Field(default=0.2, ge=0.0, lt=1.0, description="greatest relative change of the grey channel's contrast"),
        _contrast,
    ),
    Augmentation(
        "brightness",
        0.0,
        "brightness",
        Field(default=0.08, ge=0.0, le=1.0, description="greatest offset of the grey channel, share of its range"),
        _brightness,
    ),
]
"""In the order in which they are sampled and applied."""


class SampleOptions(BaseModel):
    """Which images a sample is made of; the changes of an image follow from :data:`AUGMENTATIONS`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    _former = former_names(turned="head_pose")

    mirror: float = Field(default=0.5, ge=0.0, le=1.0, description="probability that the whole sample is mirrored")
    mix: float = Field(default=0.25, ge=0.0, le=1.0, description="probability that a view comes from another scan")
    quiet_share: float = Field(default=0.0, ge=0.0, le=1.0, description="share from all frames, not round the apex")
    head_pose: float = Field(
        default=0.75, ge=0.0, le=1.0, description="probability of a further head pose, if rendered"
    )
    still: float = Field(default=0.0, ge=0.0, le=1.0, description="probability that a sample shows no motion")

    @classmethod
    def none(cls) -> Self:
        """No augmentation."""
        return cls(**dict.fromkeys(cls.model_fields, 0.0))


def options_model(augmentations: Sequence[Augmentation]) -> type[SampleOptions]:
    """The options of some augmentations, each a greatest change."""
    fields: dict[str, Any] = {one.option: (float, one.field) for one in augmentations}
    return create_model("AugmentationOptions", __base__=SampleOptions, **fields)


class MixedViewOptions(options_model(AUGMENTATIONS)):  # type: ignore[misc]  # its fields are known at run time
    """Strength of mixed view augmentation; all at 0 is none."""
