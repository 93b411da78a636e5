"""Size and shape of a model; light to import, so that parameters can be checked before torch is needed."""

import logging
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from affect4d.pretrained_files import (
    MINILM_TOKENIZER,
    MINILM_WEIGHTS,
    PretrainedModelMissingError,
    find_pretrained_file,
)
from affect4d.renamed_options import former_names

LOGGER = logging.getLogger(__name__)

FusionKind = Literal["weights", "attention"]

COMPACT, MINILM, TIMM, OPEN_CLIP, LOCAL_FOLDER = "compact", "minilm", "timm:", "open_clip:", "local-dir:"
"""Kinds of encoder: the first two by themselves; the others in front of a name or a folder."""
FORMER_CONTEXT = 32


class EncoderOptions(BaseModel, frozen=True, extra="forbid"):
    """Image and text encoder, and the size of the compact ones."""

    image: str = Field(default=COMPACT, pattern=r"^(compact|(timm|open_clip|local-dir):.+)$")
    text: str = Field(default=MINILM, pattern=r"^(compact|minilm|(open_clip|local-dir):.+)$")
    text_weights: str | None = Field(
        default=None, description="sha256 of the weights of the sentence encoder, minilm; set by itself"
    )
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
        "encoder, any other's own (the only choice for minilm)",
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
    def _complete(cls, values: Any) -> Any:
        """Add the sentence encoder's digest; earlier versions had one name for both encoders."""
        if not isinstance(values, dict):
            return values
        if "name" in values:
            source = values["name"] if values["name"] == COMPACT else open_clip_source(values["name"])
            kept = {key: value for key, value in values.items() if key != "name"}
            values = {"image": source, "text": source, "context_length": FORMER_CONTEXT, **kept}
        used = values.get("text", MINILM) == MINILM
        return {**values, "text_weights": (values.get("text_weights") or MINILM_WEIGHTS.sha256) if used else None}

    @model_validator(mode="after")
    def _check_sources(self) -> Self:
        models = {name for name in (self.image, self.text) if name.startswith((OPEN_CLIP, LOCAL_FOLDER))}
        if len(models) > 1:
            raise ValueError(
                f"{self.image!r} and {self.text!r} are two models: take both encoders from one, or one of them compact."
            )
        if self.pretrained is not None and not models and not self.image.startswith(TIMM):
            raise ValueError("The compact encoders have no pretrained weights: leave `pretrained` empty.")
        if self.text == MINILM and self.context_length is not None:
            raise ValueError("minilm reads sentences of up to 256 tokens: leave `context_length` empty.")
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


def with_installed_text_encoder(options: ModelOptions) -> ModelOptions:
    """The options; where they name minilm and its files are missing, with the compact text encoder, and a warning."""
    if options.encoder.text != MINILM:
        return options
    try:
        for file in (MINILM_WEIGHTS, MINILM_TOKENIZER):
            find_pretrained_file(file)
    except PretrainedModelMissingError as error:
        LOGGER.warning("Models get the compact text encoder, which understands few sentences. %s", error)
        compact = EncoderOptions(**{**dict(options.encoder), "text": COMPACT})
        return options.model_copy(update={"encoder": compact})
    return options
