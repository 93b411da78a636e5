"""From a model and a bank of pictures to one feature row a sequence: the frames round the apex, averaged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.functional import normalize

from affect4d.models import JointEmbedding
from affect4d.progress import track
from affect4d.tensors import ViewImages
from affect4d.views.augment import assemble_plain
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import InputOptions

FRAMES = 5
"""Frames of the apex window that speak for a sequence."""
SEQUENCES_AT_ONCE = 16

_CPU = torch.device("cpu")


class ViewModel(Protocol):
    """What can be embedded by."""

    def embed_views(self, images: ViewImages) -> JointEmbedding:
        """Embed samples."""
        ...


class Classifier(Protocol):
    """What can be asked for class scores."""

    def classify(self, images: ViewImages) -> Tensor:
        """Class scores before the softmax, [batch, classes]."""
        ...


@dataclass(frozen=True)
class SequenceEmbeddings:
    """What a model makes of each sequence, averaged over its chosen frames.

    Attributes:
        sequences: Names; row i of every array is about sequence i.
        hidden: The image tower's output, views side by side: what probes see.
        views: Unit vectors of the joint space, one a view.
        fused: Unit vectors of the joint space.
    """

    sequences: tuple[str, ...]
    hidden: Float32[np.ndarray, "sequences width"]
    views: Float32[np.ndarray, "sequences views dim"]
    fused: Float32[np.ndarray, "sequences dim"]

    def mean_view(self) -> Float32[np.ndarray, "sequences hidden"]:
        """The image tower's output, averaged over the views."""
        count, views = self.views.shape[:2]
        mean: Float32[np.ndarray, "sequences hidden"] = self.hidden.reshape(count, views, -1).mean(axis=1)
        return mean

    def of(self, sequences: Sequence[str]) -> "SequenceEmbeddings":
        """The same for some sequences, in their order.

        Raises:
            KeyError: If one was not embedded.
        """
        place = {name: row for row, name in enumerate(self.sequences)}
        rows = [place[name] for name in sequences]
        return SequenceEmbeddings(tuple(sequences), self.hidden[rows], self.views[rows], self.fused[rows])


def window_rows(bank: ViewBank, sequence: str, count: int | None = None) -> list[int]:
    """Bank rows of a sequence's apex window: all of them, or ``count`` spread evenly over it.

    Raises:
        KeyError: If the bank has no such sequence.
    """
    rows = bank.rows_of(sequence)
    window = rows[bank.in_window[rows]].numpy()
    if count is not None and len(window) > count:
        window = window[np.linspace(0, len(window) - 1, count).round().astype(int)]
    return [int(row) for row in window]


@torch.inference_mode()
def embed_sequences(
    model: ViewModel,
    bank: ViewBank,
    options: InputOptions,
    frames_per_sequence: int = FRAMES,
    device: torch.device | None = None,
    *,
    sequences: Sequence[str] | None = None,
    quiet: bool = False,
) -> SequenceEmbeddings:
    """Embed every sequence of a bank, without augmentation; the model is put in evaluation mode.

    Args:
        model: Anything with ``embed_views``.
        bank: Pictures; no labels.
        options: Channels, motion and size the model was trained with.
        frames_per_sequence: Frames of the apex window to average.
        device: Where to compute; where the model is by default.
        sequences: Which, in what order; None for all of the bank.
        quiet: Draw no progress bar.
    """
    device = rest(model, device)
    names = bank.sequences if sequences is None else tuple(sequences)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for images, counts in _batches(bank, names, options, frames_per_sequence, device, quiet):
        embedding = model.embed_views(images)
        features = (embedding.hidden.flatten(1), embedding.views, embedding.fused)
        hidden, views, fused = (mean_by_sequence(feature, counts) for feature in features)
        parts.append((hidden, normalize(views, dim=-1), normalize(fused, dim=-1)))
    arrays = [torch.cat(column).cpu().float().numpy() for column in zip(*parts, strict=True)]
    return SequenceEmbeddings(names, *arrays)


@torch.inference_mode()
def classify_sequences(
    model: Classifier,
    bank: ViewBank,
    options: InputOptions,
    frames_per_sequence: int = FRAMES,
    device: torch.device | None = None,
    *,
    sequences: Sequence[str] | None = None,
    quiet: bool = False,
) -> Float32[np.ndarray, "sequences classes"]:
    """Probabilities of a model with a classifier head: the mean over the same frames; all of the bank, or some."""
    device = rest(model, device)
    names = bank.sequences if sequences is None else tuple(sequences)
    parts = [
        mean_by_sequence(model.classify(images).softmax(dim=1), counts)
        for images, counts in _batches(bank, names, options, frames_per_sequence, device, quiet)
    ]
    return torch.cat(parts).cpu().float().numpy()


def rest(model: object, device: torch.device | None = None) -> torch.device:
    """Put a model in evaluation mode, on a device where one is named; returns where it is.

    A model that is being trained stays where it is: its optimiser knows those weights.
    """
    if not isinstance(model, nn.Module):
        return device or _CPU
    device = device or next((parameter.device for parameter in model.parameters()), _CPU)
    model.eval().to(device)
    return device


def mean_by_sequence(values: Tensor, counts: Sequence[int]) -> Tensor:
    """Means of consecutive groups of rows: [sum of counts, …] to [groups, …]."""
    return torch.stack([group.mean(dim=0) for group in torch.split(values, list(counts))])


def _batches(
    bank: ViewBank, names: Sequence[str], options: InputOptions, count: int, device: torch.device, quiet: bool
) -> Iterator[tuple[ViewImages, list[int]]]:
    """Pictures of some sequences at a time, and how many frames each has."""
    starts = range(0, len(names), SEQUENCES_AT_ONCE)
    for start in starts if quiet else track(starts, "embedding sequences"):
        rows = [window_rows(bank, name, count) for name in names[start : start + SEQUENCES_AT_ONCE]]
        flat = torch.tensor([row for group in rows for row in group])
        yield assemble_plain(bank, flat, options, device), [len(group) for group in rows]
