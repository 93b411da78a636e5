"""Size and shape of a model; light to import, so that parameters can be checked before torch is needed."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from affect4d.renamed_options import former_names

FusionKind = Literal["weights", "attention"]

COMPACT, TIMM, OPEN_CLIP, LOCAL_FOLDER = "compact", "timm:", "open_clip:", "local-dir:"
"""Kinds of encoder: the compact one by itself; the others in front of a name or a folder."""
FORMER_CONTEXT = 32


class EncoderOptions(BaseModel, frozen=True, extra="forbid"):
    """Image and text encoder, and the size of the compact ones."""

    image: str = Field(default=COMPACT, pattern=r"^(compact|(timm|open_clip|local-dir):.+)$")
    text: str = Field(default=COMPACT, pattern=r"^(compact|(open_clip|local-dir):.+)$")
    pretrained: str | None = Field(
        default=None, description="open_clip's tag, or a .safetensors file; null starts from random weights"
    )
    image_width: int = Field(default=256, ge=16, le=4096, multiple_of=16, description="of the compact image encoder")
    text_width: int = Field(default=128, ge=16, le=2048, description="of the compact text encoder, as the next two")
    text_layers: int = Field(default=2, ge=1, le=24)
    text_heads: int = Field(default=4, ge=1, le=32)
    context_length: int | None = Field(
        default=None,
        ge=8,
        le=1024,
        description="tokens of a prompt, start and end included, longer ones are cut; null: 32 for the compact text "
        "encoder, any other's own",
    )
    image_size: int | None = Field(
        default=None, ge=16, le=1024, description="image side, pixels, that a model is resized to; null keeps its own"
    )
    image_mean: tuple[float, ...] | None = Field(
        default=None, description="of the images, 0…1, that the image encoder expects; null: the model's own"
    )
    image_std: tuple[float, ...] | None = None
    architecture: Mapping[str, Any] | None = Field(
        default=None, description="open_clip's model_cfg; written by save_model, in place of weights to look for"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_former_options(cls, values: Any) -> Any:
        """One name for both encoders, as earlier versions had it."""
        if not isinstance(values, dict) or "name" not in values:
            return values
        name = values["name"]
        source = name if name == COMPACT else open_clip_source(name)
        kept = {key: value for key, value in values.items() if key != "name"}
        return {"image": source, "text": source, "context_length": FORMER_CONTEXT, **kept}

    @model_validator(mode="after")
    def _check_sources(self) -> Self:
        models = {name for name in (self.image, self.text) if name.startswith((OPEN_CLIP, LOCAL_FOLDER))}
        if len(models) > 1:
            raise ValueError(
                f"{self.image!r} and {self.text!r} are two models: take both encoders from one, or one of them compact."
            )
        if self.pretrained is not None and self.image == self.text == COMPACT:
            raise ValueError("The compact encoders have no pretrained weights: leave `pretrained` empty.")
        return self

    @property
    def open_clip_name(self) -> str | None:
        """open_clip's name of the model that gives one encoder or both; None without one."""
        for name in (self.image, self.text):
            if name.startswith((OPEN_CLIP, LOCAL_FOLDER)):
                return name.removeprefix(OPEN_CLIP)
        return None

    @property
    def paired(self) -> bool:
        """True where both encoders are of one open_clip model, and end in one space."""
        return self.image == self.text != COMPACT

    @property
    def sources(self) -> tuple[str, ...]:
        """Names that may be files or folders of weights."""
        return tuple(dict.fromkeys(name for name in (self.image, self.text, self.pretrained) if name))


class ModelOptions(BaseModel, frozen=True, extra="forbid"):
    """Size and shape of a model; the same values make baselines of the same size."""

    encoder: EncoderOptions = EncoderOptions()
    dim: int = Field(default=128, ge=8, le=4096, description="width of the joint space")
    views: int = Field(default=3, ge=1, le=32, description="of a sample, motion views included")
    channels: int = Field(default=6, ge=1, le=32, description="of an image, motion channels included")
    fusion: FusionKind = "weights"
    projector_width: int = Field(default=256, ge=16, le=8192, description="of SMILE-VLM's projector")
    classes: int = Field(default=6, ge=2, le=1000, description="of the view classifier")

    _former = former_names(towers="encoder")

    @model_validator(mode="before")
    @classmethod
    def _from_saved_options(cls, values: Any) -> Any:
        """Files of earlier versions name every option: they are read without a warning."""
        former = values.get("towers") if isinstance(values, dict) else None
        if isinstance(former, dict) and "architecture" in former:
            return {("encoder" if key == "towers" else key): value for key, value in values.items()}
        return values


def open_clip_source(name: str) -> str:
    """Value of ``image`` and ``text`` for a name of open_clip's, ``local-dir:`` and a folder included."""
    return name if name.startswith(LOCAL_FOLDER) else OPEN_CLIP + name
