"""From a mixed-view plan to batches: pictures assembled, prompts drawn, each with exactly what its method may see."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int64

from affect4d.models import tokenise
from affect4d.scans.expression import expression_index
from affect4d.tensors import Labels, Tokens, ViewImages
from affect4d.views.augment import assemble, resolve_plan
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import InputOptions


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
        steps: For each epoch, for each step, which rows of the plan.
        make: Rows of the plan to a batch.
    """

    steps: Sequence[Sequence[slice]]
    make: Callable[[slice], Batch]

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return len(self.steps[0])

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, in order."""
        return map(self.make, self.steps[epoch])


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
        ValueError: If a sequence of the plan has no prompt, or a frame of it is not in the bank.
    """
    drawn = prompts.iloc[draw_prompts(plan, prompts)]
    labels = torch.tensor([expression_index(expression) for expression in drawn["expression"]], device=device)
    parts = _tokens_and_sequences(drawn, bank, context_length, device)
    views = resolve_plan(bank, plan)

    def make(rows: slice) -> LabelledBatch:
        tokens, sequences = (part[rows] for part in parts)
        return LabelledBatch(assemble(bank, views[rows], inputs, device), tokens, labels[rows], sequences)

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
            sequence of the plan has no prompt, or a frame of it is not in the bank.
    """
    _refuse_labels(plan, pseudo_prompts)
    drawn = pseudo_prompts.iloc[draw_prompts(plan, pseudo_prompts)]
    groups = torch.as_tensor(pd.factorize(drawn["pseudo_label"], sort=True)[0], device=device)
    parts = _tokens_and_sequences(drawn, bank, context_length, device)
    views = resolve_plan(bank, plan)

    def make(rows: slice) -> UnlabelledBatch:
        tokens, sequences = (part[rows] for part in parts)
        return UnlabelledBatch(assemble(bank, views[rows], inputs, device), tokens, groups[rows], sequences)

    return PlannedBatches(_steps(plan), make)


def draw_prompts(plan: pd.DataFrame, prompts: pd.DataFrame) -> Int64[np.ndarray, " samples"]:
    """Place in ``prompts`` of each sample's prompt: the ⌊draw · n⌋-th of its sequence's n.

    Raises:
        ValueError: If a sequence of the plan has no prompt.
    """
    places = prompts.groupby("sequence").indices
    missing = sorted(set(plan["sequence"]) - set(places))
    if missing:
        raise ValueError(f"{len(missing)} sequences of the plan have no prompt, the first of them {missing[0]!r}.")
    samples = zip(plan["sequence"], plan["prompt_draw"], strict=True)
    return np.array([places[sequence][int(draw * len(places[sequence]))] for sequence, draw in samples], np.int64)


def _refuse_labels(plan: pd.DataFrame, pseudo_prompts: pd.DataFrame) -> None:
    for name, table in (("plan", plan), ("pseudo-prompts", pseudo_prompts)):
        if "expression" in table.columns:
            raise ValueError(f"The {name} of self-supervised training carry a column 'expression': drop it upstream.")
    sources = plan.filter(regex="^source_sequence_")
    if sources.ne(plan["sequence"], axis=0).to_numpy().any():
        raise ValueError("The plan mixes views of several sequences, which needs labels: draw it with groups=None.")


def _tokens_and_sequences(
    drawn: pd.DataFrame, bank: ViewBank, context_length: int, device: torch.device
) -> tuple[Tokens, Labels]:
    """Tokens and sequence of every sample of the plan; each prompt is tokenised once."""
    codes, distinct = pd.factorize(drawn["prompt"])
    tokens = tokenise(list(distinct), context_length)[torch.as_tensor(codes)]
    sequences = pd.Index(bank.sequences).get_indexer(pd.Index(drawn["sequence"]))
    return tokens.to(device), torch.as_tensor(sequences)


def _steps(plan: pd.DataFrame) -> list[list[slice]]:
    """Rows of each step of each epoch; a plan lists its samples in that order."""
    sizes = plan.groupby(["epoch", "step"], sort=False).size()
    ends = sizes.cumsum()
    slices = pd.Series([slice(end - size, end) for size, end in zip(sizes, ends, strict=True)], index=sizes.index)
    return [list(steps) for _, steps in slices.groupby(level="epoch", sort=False)]
