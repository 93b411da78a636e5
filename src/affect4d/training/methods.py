"""The ways of training, by name: what a batch may hold, what the towers say of it, what is minimised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from affect4d.training.data.batches import LabelledBatch, UnlabelledBatch
from affect4d.training.gradients import Task
from affect4d.training.objectives import (
    affect_objective,
    cross_entropy_objective,
    simclr_objective,
    smile_objective,
    supervised_contrast_objective,
)
from affect4d.training.options import (
    AffectOptions,
    ContrastOptions,
    CrossEntropyOptions,
    SimclrOptions,
    SmileOptions,
)
from affect4d.training.recipe import Objective
from affect4d.training.seen import score_faces, see_faces_and_texts


@dataclass(frozen=True)
class Method:
    """One way of training.

    Attributes:
        model: Name in :data:`affect4d.models.MODELS`.
        batch: What a batch holds: exactly what the method may see.
        see: A batch through the towers.
        objective: What is minimised.
        options: Type of the objective's options.
    """

    model: str
    batch: type[LabelledBatch] | type[UnlabelledBatch]
    see: Callable[..., Any]
    objective: Callable[..., Any]
    options: type[Objective]

    @property
    def supervised(self) -> bool:
        """Whether labels may be seen."""
        return self.batch is LabelledBatch

    def task(self, options: Objective) -> Task[Any, Any]:
        """What is minimised, with its weights and choices."""
        return Task(self.see, lambda model, seen: self.objective(model, seen, options))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "affect_vlm": Method("affect_vlm", LabelledBatch, see_faces_and_texts, affect_objective, AffectOptions),
        "smile_vlm": Method("smile_vlm", UnlabelledBatch, see_faces_and_texts, smile_objective, SmileOptions),
        "simclr": Method("smile_vlm", UnlabelledBatch, see_faces_and_texts, simclr_objective, SimclrOptions),
        "cross_entropy": Method(
            "view_classifier", LabelledBatch, score_faces, cross_entropy_objective, CrossEntropyOptions
        ),
        "supervised_contrast": Method(
            "affect_vlm", LabelledBatch, see_faces_and_texts, supervised_contrast_objective, ContrastOptions
        ),
    }
)
"""SMILE-VLM's batches have no label; the cross-entropy peer sees of the prompts the label alone."""
