"""From a mixed-view plan to batches: pictures assembled, prompts drawn, each with exactly what its method may see."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int64
from torch import Tensor

from affect4d.arrays import Labels, Tokens, ViewImages
from affect4d.models import tokenise
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.augment import assemble
from affect4d.views.bank import InputOptions, ViewBank

Rows = Int64[np.ndarray, " batch"]


@dataclass(frozen=True)
class LabelledBatch:
    """What AffectVLM and the cross-entropy peer see.

    Attributes:
        images: Augmented views, [batch, views, channels, size, size].
        tokens: One prompt a sample, [batch, context].
        labels: Class of each sample, a position in ``EXPRESSIONS``.
        sequences: Where each sample comes from, a position in the bank's sequences; for error messages.
    """

    images: ViewImages
    tokens: Tokens
    labels: Labels
    sequences: Labels


@dataclass(frozen=True)
class UnlabelledBatch:
    """What SMILE-VLM sees: no field of it holds, or was made from, a human label.

    Attributes:
        images: Augmented views, [batch, views, channels, size, size].
        tokens: One pseudo-labelled prompt a sample, [batch, context].
        groups: Equal where the pseudo-labels are equal.
        sequences: Where each sample comes from, a position in the bank's sequences; for error messages.
    """

    images: ViewImages
    tokens: Tokens
    groups: Labels
    sequences: Labels


Batch = TypeVar("Batch", covariant=True)


@dataclass(frozen=True)
class PlannedBatches(Generic[Batch]):
    """The batches of a plan; calling it with an epoch yields that epoch's.

    Attributes:
        steps: For each epoch, for each step, the rows of the plan.
        make: Rows of the plan to a batch.
    """

    steps: Sequence[Sequence[pd.DataFrame]]
    make: Callable[[pd.DataFrame], Batch]

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return len(self.steps[0])

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, in order."""
        return map(self.make, self.steps[epoch])


@dataclass(frozen=True)
class PromptBook:
    """Every prompt, tokenised once, found by sequence.

    Attributes:
        tokens: [prompts, context].
        groups: Class or pseudo-label of each prompt.
        places: For each sequence, where its prompts are.
    """

    tokens: Tokens
    groups: Labels
    places: dict[str, Int64[np.ndarray, " prompts"]]

    def draw(self, sequences: Sequence[str], draws: Sequence[float]) -> Tensor:
        """Place of one prompt a sample: the ⌊draw · n⌋-th of its sequence's n.

        Args:
            sequences: Name of each sample's sequence.
            draws: Uniform in [0, 1), one a sample.
        """
        own = [self.places[sequence] for sequence in sequences]
        chosen = [places[int(draw * len(places))] for places, draw in zip(own, draws, strict=True)]
        return torch.as_tensor(np.asarray(chosen), device=self.tokens.device)


def labelled_batches(
    plan: pd.DataFrame,
    bank: ViewBank,
    prompts: pd.DataFrame,
    inputs: InputOptions,
    *,
    context_length: int,
    device: torch.device,
) -> PlannedBatches[LabelledBatch]:
    """Batches for supervised training.

    Args:
        plan: Rows of :func:`affect4d.views.mixing.plan_mixed_views`.
        bank: The pictures.
        prompts: Columns sequence, prompt, expression.
        inputs: How pictures become the model's input.
        context_length: Tokens of a prompt.
        device: Where batches are put.

    Raises:
        ValueError: If a sequence of the plan has no prompt.
    """
    labels = [EXPRESSIONS.index(expression) for expression in prompts["expression"]]
    book = _write_book(prompts, labels, plan, context_length, device)

    def make(rows: pd.DataFrame) -> LabelledBatch:
        drawn = book.draw(rows["sequence"].tolist(), rows["prompt_draw"].tolist())
        images = assemble(bank, rows, inputs, device)
        return LabelledBatch(images, book.tokens[drawn], book.groups[drawn], _positions(bank, rows))

    return PlannedBatches(_steps(plan), make)


def unlabelled_batches(
    plan: pd.DataFrame,
    bank: ViewBank,
    pseudo_prompts: pd.DataFrame,
    inputs: InputOptions,
    *,
    context_length: int,
    device: torch.device,
) -> PlannedBatches[UnlabelledBatch]:
    """Batches for self-supervised training.

    Args:
        plan: As for :func:`labelled_batches`, but drawn without groups: the views of a sample share its sequence.
        bank: The pictures.
        pseudo_prompts: Columns sequence, prompt, pseudo_label; no column expression.
        inputs: How pictures become the model's input.
        context_length: Tokens of a prompt.
        device: Where batches are put.

    Raises:
        ValueError: If labels could leak: through a column ``expression``, or views mixed across sequences; or if a
            sequence of the plan has no prompt.
    """
    _refuse_labels(plan, pseudo_prompts)
    groups, _ = pd.factorize(pseudo_prompts["pseudo_label"], sort=True)
    book = _write_book(pseudo_prompts, groups.tolist(), plan, context_length, device)

    def make(rows: pd.DataFrame) -> UnlabelledBatch:
        drawn = book.draw(rows["sequence"].tolist(), rows["prompt_draw"].tolist())
        images = assemble(bank, rows, inputs, device)
        return UnlabelledBatch(images, book.tokens[drawn], book.groups[drawn], _positions(bank, rows))

    return PlannedBatches(_steps(plan), make)


def _refuse_labels(plan: pd.DataFrame, pseudo_prompts: pd.DataFrame) -> None:
    for name, table in (("plan", plan), ("pseudo-prompts", pseudo_prompts)):
        if "expression" in table.columns:
            raise ValueError(f"The {name} of self-supervised training carry a column 'expression': drop it upstream.")
    sources = plan.filter(regex="^source_sequence_")
    if sources.ne(plan["sequence"], axis=0).to_numpy().any():
        raise ValueError("The plan mixes views of several sequences, which needs labels: draw it with groups=None.")


def _write_book(
    prompts: pd.DataFrame, groups: Sequence[int], plan: pd.DataFrame, context_length: int, device: torch.device
) -> PromptBook:
    places = {str(name): np.asarray(place) for name, place in prompts.groupby("sequence").indices.items()}
    missing = sorted(set(plan["sequence"]) - set(places))
    if missing:
        raise ValueError(f"{len(missing)} sequences of the plan have no prompt, the first of them {missing[0]!r}.")
    tokens = tokenise(prompts["prompt"].tolist(), context_length)
    return PromptBook(tokens.to(device), torch.as_tensor(groups, dtype=torch.int64, device=device), places)


def _steps(plan: pd.DataFrame) -> list[list[pd.DataFrame]]:
    """Rows of the plan by epoch and step, both in order."""
    return [[rows for _, rows in epoch.groupby("step")] for _, epoch in plan.groupby("epoch")]


def _positions(bank: ViewBank, rows: pd.DataFrame) -> Labels:
    return torch.as_tensor([bank.sequences.index(name) for name in rows["sequence"]])
