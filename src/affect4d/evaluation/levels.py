"""How much of a sequence is asked about at a time: one scan, the window round the apex, or the whole.

Scores of different levels do not compare. A face before its movement shows nothing yet, so a whole sequence is harder
than its window; a single scan has no others to average with.
"""

from dataclasses import replace
from typing import Literal

import pandas as pd
import torch

from affect4d.evaluation.examination import Examination
from affect4d.views.bank import ViewBank

Level = Literal["scan", "window", "sequence"]
LEVELS: tuple[Level, ...] = ("scan", "window", "sequence")
"""``window`` is how the project's headline figures are read."""
NOWHERE = -1
"""Sequence of a bank's row that no scan is asked about in."""


def at_level(examination: Examination, level: Level) -> Examination:
    """The same examination, asked at another level.

    Args:
        examination: At the level ``window``.
        level: ``"scan"`` asks about every scan of the window by itself, ``"window"`` about their mean, ``"sequence"``
            about the mean over frames spread evenly from the first to the last.
    """
    if level == "window":
        return examination
    if level == "sequence":
        everywhere = torch.ones_like(examination.bank.in_window)
        return replace(examination, bank=replace(examination.bank, in_window=everywhere))
    return replace(examination, bank=_by_scan(examination.bank), sequences=_scans(examination))


def _by_scan(bank: ViewBank) -> ViewBank:
    """The bank in which every scan of a window is a sequence of its own; pictures are shared."""
    places = torch.full_like(bank.sequence, NOWHERE)
    places[bank.in_window] = torch.arange(int(bank.in_window.sum()))
    return replace(bank, sequence=places, sequences=tuple(_names(bank)))


def _names(bank: ViewBank) -> list[str]:
    rows = torch.nonzero(bank.in_window).flatten().tolist()
    return [f"{bank.sequences[int(bank.sequence[row])]}#{int(bank.frame[row])}" for row in rows]


def _scans(examination: Examination) -> pd.DataFrame:
    """One row a scan of a window: its name, and subject and expression of its sequence."""
    names = _names(examination.bank)
    whole = examination.sequences.set_index("sequence").loc[[name.rsplit("#", 1)[0] for name in names]]
    return whole.reset_index(drop=True).assign(sequence=names)[["sequence", "subject", "expression"]]
