"""The clips of a corpus of micro-expressions, and the moments of each that are looked at."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from affect4d.scans.expression import MICRO_EXPRESSIONS, split_labels
from affect4d.views.bank import ViewBank

CLIP_COLUMNS = ("sequence", "subject", "label", "onset", "apex", "offset")


def has_clips(sequences: pd.DataFrame) -> bool:
    """Whether a corpus is of micro-expressions: its labels are theirs, and none is one of the six posed ones."""
    return bool(sequences["expression"].isna().all() and not labelled_clips(sequences).empty)


def labelled_clips(sequences: pd.DataFrame) -> pd.DataFrame:
    """Clips with one class or more, and an onset and an apex; what is no micro-expression (talk, a blink) is left out.

    Args:
        sequences: One row a sequence, with :data:`CLIP_COLUMNS`; the last three are frame numbers.

    Returns:
        Those columns; a clip without an offset ends with its last frame (null).
    """
    classes = sequences["label"].map(split_labels)
    known = classes.map(lambda names: bool(names) and set(names) <= set(MICRO_EXPRESSIONS))
    timed = sequences["onset"].notna() & sequences["apex"].notna()
    return sequences.loc[known & timed, list(CLIP_COLUMNS)].reset_index(drop=True)


def clip_rows(bank: ViewBank, clip: "pd.Series[Any]", moments: int) -> list[int]:
    """Bank rows of a clip at so many moments: the first half from onset to apex, the second from there to the offset.

    Args:
        bank: Holds the sequence.
        clip: A row of :func:`labelled_clips`.
        moments: At least 2.

    Raises:
        KeyError: If the bank lacks the sequence.
    """
    rows = bank.rows_of(str(clip["sequence"]))
    numbers = bank.frame[rows].numpy()
    last = numbers[-1] if pd.isna(clip["offset"]) else clip["offset"]
    rise = np.linspace(float(clip["onset"]), float(clip["apex"]), moments - moments // 2)
    fall = np.linspace(float(clip["apex"]), float(last), moments // 2 + 1)[1:]
    places = np.abs(numbers[None, :] - np.concatenate([rise, fall])[:, None]).argmin(axis=1)
    return [int(rows[place]) for place in places]


def since_onset(bank: ViewBank, clips: pd.DataFrame) -> ViewBank:
    """The bank with every clip's onset as what movement is measured from, instead of the sequence's first frame."""
    neutral = bank.neutral.clone()
    for clip in clips.to_dict("records"):
        rows = bank.rows_of(str(clip["sequence"]))
        neutral[rows] = rows[int((bank.frame[rows] - int(clip["onset"])).abs().argmin())]
    return replace(bank, neutral=neutral)


def targets(labels: "pd.Series[str]") -> torch.Tensor:
    """Labels as ones and zeros, [clips, classes], in the order of ``MICRO_EXPRESSIONS``."""
    return torch.tensor([[float(name in split_labels(label)) for name in MICRO_EXPRESSIONS] for label in labels])
