"""Packaged model: one folder with everything that prediction needs.

``packaged_model.json`` describes cropping, rendering, inputs, expressions, prompts, origin and scores;
``model.safetensors`` holds the weights; ``card.md`` is the model card.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, Field, ValidationError, field_serializer, model_validator

from affect4d.models.options import ModelOptions
from affect4d.rendering.options import RenderOptions
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.input_options import InputOptions

DESCRIPTION_FILE, WEIGHTS_FILE, CARD_FILE = "packaged_model.json", "model.safetensors", "card.md"
FORMER_DESCRIPTION_FILE = "bundle.json"
"""Name of the description in models that were packaged earlier; they stay readable."""
FORMAT = 1
PACKAGED = Path(__file__).parent / "models"
RECORDS = "*_packaged.json"
_MLFLOW = re.compile(r"(runs|models):/")


class PackagedModelError(ValueError):
    """Folder that is missing, damaged, or not a packaged model; names it and the remedy."""


class Calibration(BaseModel, frozen=True, extra="forbid"):
    """Temperature scaling of the model's scaled cosines (Guo et al. 2017)."""

    temperature: float = Field(gt=0)
    fitted_on: str = Field(description="Data it was fitted on; never subjects of the test.")


class MeasuredScores(BaseModel, frozen=True, extra="forbid"):
    """Accuracy on subjects that the model was not trained on."""

    accuracy: float = Field(ge=0, le=1, description="Per sequence.")
    interval: tuple[float, float] = Field(description="95 %, over subjects.")
    subjects: int
    sequences: int
    corpus: str


class ActionUnitErrors(BaseModel, frozen=True, extra="forbid"):
    """Action units that a model gives, with the standard deviation of their errors on held-out training subjects."""

    with_neutral: Mapping[str, float] = Field(min_length=1, description="Unit, e.g. AU01_l → error of its strength.")
    alone: Mapping[str, float] = Field(description="Of scans without a neutral frame.")

    @model_validator(mode="after")
    def _same_units(self) -> "ActionUnitErrors":
        if tuple(self.with_neutral) != tuple(self.alone):
            raise ValueError("`with_neutral` and `alone` name different action units.")
        return self


class PackagedModel(BaseModel, frozen=True, extra="forbid"):
    """Contents of ``packaged_model.json``."""

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: str = Field(description="Name in affect4d.models.MODELS.")
    options: ModelOptions
    inputs: InputOptions
    render: RenderOptions
    crop_radius: float = Field(gt=20, le=400, description="Around the nose tip, mm.")
    prompts: Mapping[str, tuple[str, ...]] = Field(min_length=2, description="Prompt ensemble of every expression.")
    action_units: ActionUnitErrors | None = Field(default=None, description="None for a model that gives none.")
    calibration: Calibration | None = None
    origin: Mapping[str, str] = Field(default={}, description="Training data, command and code.")
    scores: MeasuredScores | None = None

    @field_serializer("render")
    def _image_options(self, render: RenderOptions) -> dict[str, object]:
        """The options that images depend on: without device and tolerated failures."""
        return render.image_options

    @model_validator(mode="after")
    def _parts_fit(self) -> "PackagedModel":
        made = self.inputs.input_shape(len(self.render.angles))
        if made != (self.options.views, self.options.channels):
            raise ValueError(
                f"The model takes {self.options.views} views of {self.options.channels} channels, and "
                f"`render` and `inputs` make {made[0]} of {made[1]}."
            )
        empty = [expression for expression, texts in self.prompts.items() if not texts]
        if empty:
            raise ValueError(f"No prompt for {', '.join(empty)}.")
        return self

    @property
    def expressions(self) -> tuple[str, ...]:
        """Classes, in the order of every row of probabilities."""
        return tuple(self.prompts)

    @property
    def action_unit_names(self) -> tuple[str, ...]:
        """Action units of a prediction, in the order of its columns; none for a model that gives none."""
        return () if self.action_units is None else tuple(self.action_units.with_neutral)

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the model's views, motion views included."""
        return self.inputs.view_names(tuple(self.render.angles))


@dataclass(frozen=True, slots=True)
class ProjectModel:
    """Packaged model of a Kedro project, by its record ``NAME_packaged.json/VERSION/NAME_packaged.json``."""

    name: str
    version: str
    record: Path

    @property
    def folder(self) -> Path:
        """Its folder: beside the records, also where the project was moved; else where it was written."""
        written = json.loads(self.record.read_text(encoding="utf-8"))
        inside = self.record.parents[2] / written["entry"]
        return inside if inside.exists() else Path(written["folder"])


def description_file(folder: Path) -> Path:
    """Description in a folder, by its former name if it has only that; may be missing."""
    file, former = folder / DESCRIPTION_FILE, folder / FORMER_DESCRIPTION_FILE
    return former if former.is_file() and not file.is_file() else file


def read_description(folder: Path) -> PackagedModel:
    """Description of a packaged model, or PackagedModelError; does not import torch."""
    file = description_file(folder)
    if not file.is_file():
        raise PackagedModelError(
            f"{folder} is not a packaged model: it has no {DESCRIPTION_FILE}. `kedro run --pipeline=package` packages "
            "every trained model; docs/predict.md describes the folder."
        )
    try:
        return PackagedModel.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise PackagedModelError(f"{file} is not what this version of affect4d writes: {error}") from error


def write_description(description: PackagedModel, folder: Path) -> None:
    """Write ``packaged_model.json``, in place of a description by the former name."""
    (folder / DESCRIPTION_FILE).write_text(description.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / FORMER_DESCRIPTION_FILE).unlink(missing_ok=True)


def packaged_models() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(folder.name for folder in PACKAGED.glob("*") if description_file(folder).is_file()))


def find_packaged_model(model: str | Path) -> Path:
    """Folder of a packaged model, given itself or by the name of one of the package, or PackagedModelError."""
    folder = Path(model)
    if description_file(folder).is_file():
        return folder
    if str(model) in packaged_models():
        return PACKAGED / str(model)
    if _MLFLOW.match(str(model)):
        raise PackagedModelError(
            f"{model} is MLflow's name of a model: mlflow.pyfunc.load_model({str(model)!r}).predict([…]) predicts "
            f"with it, and so does `kedro run --pipeline=predict --params model={model},input=…`. Here, give the "
            f"folder of a packaged model, as mlflow.artifacts.download_artifacts({str(model)!r}) fetches one."
        )
    if folder.is_dir():
        raise PackagedModelError(
            f"The folder {folder} is not a packaged model: it has no {DESCRIPTION_FILE}; see docs/predict.md."
        )
    raise PackagedModelError(
        f"There is no model {str(model)!r}: give the folder of a packaged model, or one of those that come with the "
        f"package: {', '.join(packaged_models()) or 'this installation has none'}."
    )


def project_models(records: Path) -> list[ProjectModel]:
    """Packaged models of a project's folder of records, newest first."""
    found = sorted(records.glob(f"{RECORDS}/*/{RECORDS}"), key=lambda record: record.parent.name, reverse=True)
    return [ProjectModel(file.name.removesuffix("_packaged.json"), file.parent.name, file) for file in found]


def find_project_model(model: str, records: Path) -> ProjectModel | None:
    """Project model called ``NAME`` (the newest), ``NAME@VERSION``, or ``VERSION``; None if there is none."""
    models = project_models(records)
    named = [one for one in models if model in (one.name, f"{one.name}@{one.version}")]
    if named:
        return named[0]
    dated = [one for one in models if one.version == model]
    if len(dated) > 1:
        choice = ", ".join(sorted(f"model={one.name}@{model}" for one in dated))
        raise PackagedModelError(f"{len(dated)} models have the version {model}; name one: {choice}")
    return dated[0] if dated else None


def last_written(folder: Path) -> int:
    """Time of the last change of a packaged model, nanoseconds; tells a retrained model from its predecessor."""
    files = [*folder.glob("*.safetensors"), description_file(folder)]
    return max((file.stat().st_mtime_ns for file in files if file.exists()), default=0)


def calibrate_packaged_model(
    source: Path, target: Path, predictions: pd.DataFrame, truth: Mapping[str, str], fitted_on: str
) -> Calibration:
    """Write a copy of a packaged model with a fitted temperature to a new folder.

    Of a model that is calibrated already, the temperature is multiplied: predictions are made at the one it has.

    Args:
        predictions: Its ``predictions`` table: ``recording`` and ``prob_…`` of the six expressions, of subjects it was
            neither trained on nor will be measured on.
        truth: Recording → expression; recordings it lacks, and refused ones, are left out.

    Raises:
        FileExistsError: If the target exists.
        ValueError: If it has other classes than the six expressions, or no prediction is left.
    """
    from affect4d.evaluation.calibration import fit_temperature
    from affect4d.evaluation.prediction_tables_and_leak_checks import PROBABILITY_COLUMNS

    model = read_description(source)
    if model.expressions != EXPRESSIONS:
        raise ValueError(f"{source} predicts {', '.join(model.expressions)}; a temperature is fitted to the six alone.")
    if target.exists():
        raise FileExistsError(f"{target} exists: name a new folder.")
    known = predictions.assign(expression=predictions["recording"].map(dict(truth))).dropna(
        subset=["expression", *PROBABILITY_COLUMNS]
    )
    former = 1.0 if model.calibration is None else model.calibration.temperature
    calibration = Calibration(temperature=former * fit_temperature(known), fitted_on=fitted_on)
    shutil.copytree(source, target)
    write_description(model.model_copy(update={"calibration": calibration}), target)
    return calibration
