"""Strengths of action units from a frozen image encoder: ridge regression with an expected error for each unit.

Units are those of :mod:`affect4d.scans.action_unit_truth`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from safetensors.numpy import load_file, save_file
from sklearn.model_selection import GroupKFold
from tqdm import tqdm

from affect4d.evaluation.sequence_embeddings_and_probabilities import ViewModel, set_evaluation_mode
from affect4d.left_out import MissingInputError
from affect4d.scans.action_unit_truth import PRESENT
from affect4d.views.bank import REFERENCE, ViewBank
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented
from affect4d.views.input_options import InputOptions

FEWEST_SHOWN = 0.01  # share of training frames that show a unit, from which it is learnt
FRAMES_PER_SEQUENCE = 16  # most frames, evenly spread, that are embedded
MOST_FRAMES = 20_000  # training frames; larger corpora give fewer of each sequence, then fewer sequences
FEWEST_FRAMES = 6  # of a sequence: two would be its ends, at rest
PENALTIES: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
FOLDS = 5
BATCH = 96
HEAD_FILE, NAMES_FILE = "action_units.safetensors", "action_units.json"

FrameRows = Int64[np.ndarray, " frames"]  # rows of a view bank
Features = Float[np.ndarray, "frames width"]
Strengths = Float[np.ndarray, "frames units"]


@dataclass(frozen=True)
class LinearReadout:
    """Strengths as a linear function of features, and the standard deviation of the error on unseen subjects."""

    weights: Float32[np.ndarray, "width units"]
    offsets: Float32[np.ndarray, " units"]
    errors: Float32[np.ndarray, " units"]

    def predict(self, features: Features) -> Float32[np.ndarray, "frames units"]:
        """Strengths, 0…1."""
        strengths: np.ndarray = np.clip(features @ self.weights + self.offsets, 0.0, 1.0)
        return strengths.astype(np.float32)


@dataclass(frozen=True)
class ActionUnitHead:
    """Readout of action units from an image encoder's output, with a neutral frame and for a scan alone."""

    names: tuple[str, ...]
    with_neutral: LinearReadout
    alone: LinearReadout

    def readout(self, has_neutral: bool) -> LinearReadout:
        """The readout for features of scans with, or without, a neutral reference."""
        return self.with_neutral if has_neutral else self.alone

    def predict(self, features: Features, has_neutral: bool) -> pd.DataFrame:
        """Strengths, 0…1, a row a frame and a column a unit."""
        return pd.DataFrame(self.readout(has_neutral).predict(features), columns=list(self.names))

    def arrays(self) -> dict[str, np.ndarray]:
        """``weights`` (half precision) [2, width, units], ``offsets``, ``errors`` [2, units]: with neutral, alone."""
        both = (self.with_neutral, self.alone)
        return {
            "weights": np.stack([one.weights for one in both]).astype(np.float16),
            "offsets": np.stack([one.offsets for one in both]),
            "errors": np.stack([one.errors for one in both]),
        }

    @classmethod
    def from_arrays(cls, names: Sequence[str], arrays: dict[str, np.ndarray]) -> "ActionUnitHead":
        """The head of :meth:`arrays`; ValueError if they are not of these units."""
        weights, offsets, errors = (arrays[name].astype(np.float32) for name in ("weights", "offsets", "errors"))
        if weights.ndim != 3 or weights.shape[::2] != (2, len(names)) or offsets.shape != (2, len(names)):
            raise ValueError(f"its head of {len(names)} action units has weights of shape {weights.shape}")
        return cls(tuple(names), *map(LinearReadout, weights, offsets, errors))


def save_head(head: ActionUnitHead, folder: Path) -> None:
    """Write a head to a folder."""
    save_file(head.arrays(), folder / HEAD_FILE)
    (folder / NAMES_FILE).write_text(json.dumps(head.names) + "\n", encoding="utf-8")


def load_head(folder: Path) -> ActionUnitHead:
    """Read a :func:`save_head` folder."""
    names = json.loads((folder / NAMES_FILE).read_text(encoding="utf-8"))
    return ActionUnitHead.from_arrays(names, load_file(folder / HEAD_FILE))


def fit_head(
    model: ViewModel, bank: ViewBank, inputs: InputOptions, truth: pd.DataFrame, subjects: Mapping[str, str]
) -> ActionUnitHead:
    """Fit the head of a frozen model.

    Args:
        truth: As of :func:`~affect4d.scans.action_unit_truth.action_unit_truth`; units that are not :func:`learnable`
            are left out.
        subjects: Training sequence → subject; some are left out in turn, to choose penalties and to find errors.

    Raises:
        MissingInputError: If no unit is learnable.
    """
    most = max(FEWEST_FRAMES, min(FRAMES_PER_SEQUENCE, MOST_FRAMES // len(subjects)))
    sequences = np.random.default_rng(0).permutation(sorted(subjects))[: MOST_FRAMES // most].tolist()
    rows, strengths = known_frames(bank, truth, sequences, most)
    strengths, groups = learnable(strengths, subjects)
    readouts = [
        fit_readout(embed_frames(model, one, inputs, rows).hidden, strengths.to_numpy(), groups)
        for one in both_cases(bank)
    ]
    return ActionUnitHead(tuple(strengths.columns), *readouts)


def both_cases(bank: ViewBank) -> tuple[ViewBank, ViewBank]:
    """The bank as it is, and with every scan its own neutral."""
    return bank, replace(bank, neutral=torch.arange(len(bank)))


def known_frames(
    bank: ViewBank, truth: pd.DataFrame, sequences: Iterable[str], most: int = FRAMES_PER_SEQUENCE
) -> tuple[FrameRows, pd.DataFrame]:
    """Rows of at most so many frames of each sequence, evenly spread, that have any truth; and their truth."""
    every = [bank.rows_of(name).numpy() for name in sequences]
    spread = [rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int)] for rows in every]
    rows = np.concatenate(spread)
    names = np.asarray(bank.sequences, dtype=object)[bank.sequence[rows].numpy()]
    index = pd.MultiIndex.from_arrays([names, bank.frame[rows].numpy()], names=["sequence", "frame"])
    strengths = truth.reindex(index)
    known = strengths.notna().any(axis=1).to_numpy()
    return rows[known], strengths[known]


def subjects_of(frames: pd.DataFrame, subjects: Mapping[str, str]) -> Shaped[np.ndarray, " frames"]:
    """Subject of every frame of a table by (sequence, frame)."""
    return frames.index.get_level_values("sequence").map(subjects).to_numpy()


def learnable(
    strengths: pd.DataFrame, subjects: Mapping[str, str]
) -> tuple[pd.DataFrame, Shaped[np.ndarray, " frames"]]:
    """Units that enough training frames show, coded for at least two subjects; and the subject of every frame.

    Raises:
        MissingInputError: If there is none.
    """
    owners = subjects_of(strengths, subjects)
    coded_for = strengths.notna().groupby(owners).any().sum()
    chosen = strengths.loc[:, (shown_share(strengths) >= FEWEST_SHOWN) & (coded_for >= 2)]
    if chosen.empty:
        raise MissingInputError(
            "No action units are learnt: a unit has to be coded for at least two training subjects and shown in "
            f"{FEWEST_SHOWN:.0%} of their frames."
        )
    return chosen, owners


def shown_share(strengths: pd.DataFrame) -> "pd.Series[float]":
    """Share of the frames in which each unit is coded that show it."""
    return (strengths >= PRESENT).sum() / strengths.notna().sum().clip(lower=1)


class FrameEmbeddings(NamedTuple):
    """Embeddings of frames: the image encoder's output, views side by side, and unit vectors of the joint space."""

    hidden: Float32[np.ndarray, "frames width"]
    fused: Float32[np.ndarray, "frames dim"]


@torch.inference_mode()
def embed_frames(
    model: ViewModel, bank: ViewBank, inputs: InputOptions, rows: FrameRows, *, quiet: bool = False
) -> FrameEmbeddings:
    """Embeddings of some rows, without augmentation."""
    if (bank.sequence[rows] == REFERENCE).any():
        raise ValueError("A reference image shows no frame: it is not embedded.")
    device = set_evaluation_mode(model)
    parts = torch.split(torch.from_numpy(rows), BATCH)
    found = [
        model.embed_views(assemble_unaugmented(bank, part, inputs, device))
        for part in tqdm(parts, "embedding frames", disable=quiet or None, dynamic_ncols=True)
    ]
    pairs = zip(*((one.hidden.flatten(1), one.fused) for one in found), strict=True)
    return FrameEmbeddings(*(torch.cat(pair).float().cpu().numpy() for pair in pairs))


def fit_readout(features: Features, strengths: Strengths, groups: Any) -> LinearReadout:
    """Ridge regression of every unit, with the penalty that is best for subjects that it was not fitted on.

    Args:
        features: A constant column has no effect.
        strengths: 0…1; NaN where a unit is not known.
        groups: Subject of every frame; ValueError if there is one alone.
    """
    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    scaled, units = (features - mean) * scale, strengths.shape[1]
    weights, offsets, errors = np.zeros((features.shape[1], units)), np.zeros(units), np.zeros(units)
    for columns, known in _alike(~np.isnan(strengths)):
        fitted = _fit_known(scaled[known], strengths[np.ix_(known, columns)].astype(np.float64), groups[known])
        weights[:, columns], offsets[columns], errors[columns] = fitted
    weights *= scale[:, None]
    arrays = weights, offsets - mean @ weights, errors
    return LinearReadout(*(array.astype(np.float32) for array in arrays))


def _alike(known: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Groups of columns that are known for the same rows, and these rows."""
    patterns, place = np.unique(known, axis=1, return_inverse=True)
    for pattern, rows in enumerate(patterns.T):
        yield np.flatnonzero(place.reshape(-1) == pattern), np.flatnonzero(rows)


def _fit_known(
    scaled: Float64[np.ndarray, "frames width"], strengths: Float64[np.ndarray, "frames units"], groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, offsets and errors of units that are known for all frames."""
    folds = min(FOLDS, len(set(groups)))
    if folds < 2:
        raise ValueError("Action units need at least two training subjects, to choose a penalty by leaving some out.")
    squares = np.zeros((len(PENALTIES), strengths.shape[1]))
    for train, held in GroupKFold(folds).split(scaled, groups=groups):
        weights, offsets = _ridge(scaled[train], strengths[train])
        predicted = np.clip(scaled[held] @ weights + offsets[:, None], 0.0, 1.0)  # [penalties, held, units]
        squares += np.square(predicted - strengths[held]).sum(axis=1)
    best = squares.argmin(axis=0)
    weights, offsets = _ridge(scaled, strengths)
    units = np.arange(strengths.shape[1])
    return weights[best, :, units].T, offsets[best, units], np.sqrt(squares.min(axis=0) / len(scaled))


def _ridge(features: np.ndarray, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression (Hoerl, Kennard 1970) for every penalty: [penalties, width, units], [penalties, units]."""
    mean, centre = features.mean(axis=0), strengths.mean(axis=0)
    centred = features - mean
    values, vectors = np.linalg.eigh(centred.T @ centred)
    turned = vectors.T @ (centred.T @ (strengths - centre))
    weights = np.stack([vectors @ (turned / (values.clip(0) + penalty)[:, None]) for penalty in PENALTIES])
    return weights, centre - np.einsum("w,pwu->pu", mean, weights)
