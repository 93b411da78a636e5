"""How a model is trained, as one value that travels to other processes."""

from dataclasses import dataclass, replace
from typing import Any

from affect4d.models.options import ModelOptions
from affect4d.training.options import (
    AffectOptions,
    ContrastOptions,
    CrossEntropyOptions,
    SimclrOptions,
    SmileOptions,
    TrainOptions,
)
from affect4d.views.inputs import InputOptions

Objective = AffectOptions | SmileOptions | CrossEntropyOptions | ContrastOptions | SimclrOptions


@dataclass(frozen=True)
class TrainingRecipe:
    """How a model is trained.

    Attributes:
        inputs: How pictures become the model's input; decides views and channels of the model.
        model: Size of the model.
        train: How long, how fast, where.
        objective: Weights of the terms.
    """

    inputs: InputOptions
    model: ModelOptions
    train: TrainOptions
    objective: Objective

    def for_views(self, rendered: int) -> "TrainingRecipe":
        """The recipe with the model's size as the pictures of so many rendered views ask for it."""
        views, channels = self.inputs.input_shape(rendered)
        return replace(self, model=self.model.model_copy(update={"views": views, "channels": channels}))

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {name: part.model_dump(mode="json") for name, part in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any], objective: type[Objective]) -> "TrainingRecipe":
        """Read what :meth:`to_dict` gave.

        Raises:
            pydantic.ValidationError: If a value is not allowed.
        """
        return cls(
            InputOptions.model_validate(values["inputs"]),
            ModelOptions.model_validate(values["model"]),
            TrainOptions.model_validate(values["train"]),
            objective.model_validate(values["objective"]),
        )
