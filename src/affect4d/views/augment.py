"""Mixed view augmentation, carried out: rows of a plan to the pictures a model sees.

The pictures themselves are made in :mod:`affect4d.views.assembly`, from tensors; here a plan is a table.
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from affect4d.tensors import ViewImages
from affect4d.views.assembly import PlanRows, assemble_rows, mirrored_views, unchanged
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import InputOptions

__all__ = ["PlanRows", "assemble", "assemble_plain", "mirrored_views", "resolve_plan", "unchanged"]

_CPU = torch.device("cpu")


def resolve_plan(bank: ViewBank, plan: pd.DataFrame) -> PlanRows:
    """Find the bank row of every view a plan names; do it once a run, and slice the result.

    Raises:
        ValueError: If the plan names a frame, or a stance, the bank does not have.
    """
    rows = torch.stack(
        [_bank_rows(bank, plan[f"source_sequence_{view}"], plan[f"source_frame_{view}"]) for view in bank.views], dim=1
    )

    def of_views(column: str) -> Float32[Tensor, "samples views"]:
        return torch.from_numpy(plan[[f"{column}_{view}" for view in bank.views]].to_numpy(np.float32, copy=True))

    stances = len(bank.pictures) // len(bank) - 1
    if (plan["stance"] > stances).any():
        raise ValueError(f"The plan asks for stance {plan['stance'].max()}, and {stances} were rendered: draw it anew.")
    rows = rows + torch.from_numpy(plan["stance"].to_numpy(np.int64, copy=True))[:, None] * len(bank)
    changes = ("rotation", "scale", "shift_x", "shift_y", "contrast", "brightness")
    mirror, still = (torch.from_numpy(plan[name].to_numpy(bool, copy=True)) for name in ("mirror", "still"))
    return PlanRows(rows, mirror, still, *map(of_views, changes))


def _bank_rows(bank: ViewBank, sequences: pd.Series, frames: pd.Series) -> Int64[Tensor, " samples"]:
    """Bank rows of (sequence name, frame number) pairs."""
    stride = int(max(bank.frame.max(), frames.max())) + 1
    known = bank.sequence.numpy() * stride + bank.frame.numpy()
    order = np.argsort(known, kind="stable")
    names = pd.Index(bank.sequences).get_indexer(pd.Index(sequences))
    wanted = names * stride + frames.to_numpy(np.int64)
    rows = order[np.searchsorted(known, wanted, sorter=order).clip(max=len(known) - 1)]
    missing = np.flatnonzero((known[rows] != wanted) | (names < 0))
    if len(missing):
        first = missing[0]
        raise ValueError(f"The bank has no frame {frames.iloc[first]} of sequence {sequences.iloc[first]!r}.")
    return torch.from_numpy(rows)


def assemble(
    bank: ViewBank, rows: pd.DataFrame | PlanRows, options: InputOptions, device: torch.device = _CPU
) -> ViewImages:
    """The batch a plan describes.

    Args:
        bank: Where pictures come from.
        rows: Rows of the plan; resolve a whole plan once by ``resolve_plan`` and slice it where speed matters.
        options: Channels, motion and size of the input.
        device: Where pictures are computed, and stay.

    Returns:
        ``[samples, *options.input_shape(views), size, size]``; with ``motion="views"`` the views' motion follows them.

    Raises:
        ValueError: If a sample is mirrored and a view's mirror image is not in the bank.
    """
    plan = resolve_plan(bank, rows) if isinstance(rows, pd.DataFrame) else rows
    return assemble_rows(bank, plan, options, device)


def assemble_plain(
    bank: ViewBank, bank_rows: Int64[Tensor, " samples"], options: InputOptions, device: torch.device = _CPU
) -> ViewImages:
    """The same pictures unchanged, every view from one bank row."""
    return assemble(bank, unchanged(bank_rows, len(bank.views)), options, device)
