"""A bundle: one folder with all that answering needs, so that a raw scan meets what the model was trained on.

``bundle.json`` says how a scan is cropped, drawn and seen, which expressions and prompts there are, what the model was
trained on and how well it does; ``model.safetensors`` holds the numbers; ``card.md`` tells a person.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, model_validator

from affect4d.models.options import ModelOptions
from affect4d.rendering.cameras import RenderOptions
from affect4d.views.inputs import InputOptions

BUNDLE_FILE, WEIGHTS_FILE, CARD_FILE = "bundle.json", "model.safetensors", "card.md"
FORMAT = 1


class BundleError(ValueError):
    """A folder that is not a bundle, or a damaged one; names it, and the remedy."""


class Calibration(BaseModel):
    """How cosines become shares that can be taken at their word.

    Attributes:
        temperature: What the model's own scaled cosines are divided by (Guo et al. 2017).
        fitted_on: Whose answers it was fitted on; never the people of the test.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(gt=0)
    fitted_on: str


class MeasuredScores(BaseModel):
    """How well a model does, and on whom.

    Attributes:
        accuracy: Share of sequences named rightly, 0…1.
        interval: Its 95 % interval over subjects.
        subjects: People it was measured on, none of whom it was trained on.
        sequences: Of theirs.
        corpus: Name of the corpus.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy: float = Field(ge=0, le=1)
    interval: tuple[float, float]
    subjects: int
    sequences: int
    corpus: str


class Bundle(BaseModel):
    """What ``bundle.json`` says.

    Attributes:
        format: Of the folder.
        name: What the model is called, e.g. ``"affect_vlm"``.
        kind: Name in :data:`affect4d.models.MODELS`.
        options: Size and shape of the model.
        inputs: What the model sees of a view.
        render: How views are drawn.
        crop_radius: What is kept around the nose tip, mm.
        prompts: Prompt ensemble of every expression, in the order of the answers.
        calibration: None where nobody calibrated the model; see
            :func:`affect4d.inference.calibrated.calibrate_bundle`.
        origin: What it was trained on, by what command, from which code.
        scores: None where it was not measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: str
    options: ModelOptions
    inputs: InputOptions
    render: RenderOptions
    crop_radius: float = Field(gt=20, le=400)
    prompts: Mapping[str, tuple[str, ...]] = Field(min_length=2)
    calibration: Calibration | None = None
    origin: Mapping[str, str] = {}
    scores: MeasuredScores | None = None

    @field_serializer("render")
    def _what_a_picture_depends_on(self, render: RenderOptions) -> dict[str, object]:
        """Not on which card draws, nor on how many scans of a corpus may fail."""
        return render.picture

    @model_validator(mode="after")
    def _parts_fit(self) -> "Bundle":
        """The model takes the pictures that are made for it."""
        asked = self.inputs.input_shape(len(self.render.angles))
        if asked != (self.options.views, self.options.channels):
            raise ValueError(
                f"The model takes {self.options.views} views of {self.options.channels} channels, and "
                f"`render` and `inputs` make {asked[0]} of {asked[1]}."
            )
        empty = [expression for expression, texts in self.prompts.items() if not texts]
        if empty:
            raise ValueError(f"No prompt for {', '.join(empty)}.")
        return self

    @property
    def expressions(self) -> tuple[str, ...]:
        """What can be answered, in the order of every row of probabilities."""
        return tuple(self.prompts)

    @property
    def views(self) -> tuple[str, ...]:
        """What is looked at, motion views included."""
        from affect4d.evaluation.attribution import view_names  # torch costs seconds

        return view_names(tuple(self.render.angles), self.inputs)


def read_description(folder: Path) -> Bundle:
    """What a bundle says of itself; costs no torch.

    Raises:
        BundleError: If the folder is no bundle, or one of a later version.
    """
    file = folder / BUNDLE_FILE
    if not file.is_file():
        raise BundleError(
            f"{folder} is no bundle: it has no {BUNDLE_FILE}. `kedro run --pipeline=bundle` writes one of every "
            "trained model; docs/predict.md says what is in it."
        )
    try:
        return Bundle.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise BundleError(f"{file} is not what this version of affect4d writes: {error}") from error
