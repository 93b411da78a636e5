"""Tables to training samples: augmentation plan and prompts resolved against a view bank."""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int64

from affect4d.models import PromptTokenizer
from affect4d.scans.expression import expression_index
from affect4d.tensor_types import Labels
from affect4d.training.dataset import TrainingSamples
from affect4d.views.bank import ViewBank, resolve_schedule


def labelled_samples(
    plan: pd.DataFrame, bank: ViewBank, prompts: pd.DataFrame, tokenise: PromptTokenizer
) -> TrainingSamples:
    """Samples of supervised training.

    Args:
        plan: Rows of :func:`affect4d.views.augmentation_schedule.sample_schedule`.

    Raises:
        ValueError: If a sequence of the plan has no prompt, or a frame of it is not in the bank.
    """
    drawn = prompts.iloc[draw_prompts(plan, prompts)]
    labels = torch.tensor([expression_index(expression) for expression in drawn["expression"]])
    return _samples(plan, bank, drawn, labels, tokenise)


def unlabelled_samples(
    plan: pd.DataFrame, bank: ViewBank, pseudo_prompts: pd.DataFrame, tokenise: PromptTokenizer
) -> TrainingSamples:
    """Samples of self-supervised training.

    Args:
        plan: As for :func:`labelled_samples`, drawn without groups: the views of a sample share its sequence.

    Raises:
        ValueError: If labels could leak: through a column ``expression``, or views mixed across sequences; or if a
            sequence of the plan has no prompt, or a frame of it is not in the bank.
    """
    _check_no_labels(plan, pseudo_prompts)
    drawn = pseudo_prompts.iloc[draw_prompts(plan, pseudo_prompts)]
    groups = torch.as_tensor(pd.factorize(drawn["pseudo_label"], sort=True)[0])
    return _samples(plan, bank, drawn, groups, tokenise)


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


def _samples(
    plan: pd.DataFrame, bank: ViewBank, drawn: pd.DataFrame, groups: Labels, tokenise: PromptTokenizer
) -> TrainingSamples:
    """Each prompt is tokenised once; a plan lists its samples epoch after epoch, step after step."""
    codes, distinct = pd.factorize(drawn["prompt"])
    sequences = pd.Index(bank.sequences).get_indexer(pd.Index(drawn["sequence"]))
    sizes = plan.groupby(["epoch", "step"], sort=False).size().unstack("step", sort=False)
    return TrainingSamples(
        views=resolve_schedule(bank, plan),
        prompts=tokenise(list(distinct)),
        prompt=torch.as_tensor(codes),
        groups=groups,
        sequences=torch.as_tensor(sequences),
        sizes=torch.as_tensor(sizes.to_numpy(np.int64, copy=True)),
    )


def _check_no_labels(plan: pd.DataFrame, pseudo_prompts: pd.DataFrame) -> None:
    for name, table in (("plan", plan), ("pseudo-prompts", pseudo_prompts)):
        if "expression" in table.columns:
            raise ValueError(f"The {name} of self-supervised training carry a column 'expression': drop it upstream.")
    sources = plan.filter(regex="^source_sequence_")
    if sources.ne(plan["sequence"], axis=0).to_numpy().any():
        raise ValueError("The plan mixes views of several sequences, which needs labels: draw it with groups=None.")
