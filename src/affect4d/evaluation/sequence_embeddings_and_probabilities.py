"""Embeddings and class probabilities of sequences: model outputs averaged over the frames of the apex window."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.functional import normalize
from tqdm import tqdm

from affect4d.models import JointEmbedding
from affect4d.tensor_types import ViewImages
from affect4d.views.bank import ViewBank
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented
from affect4d.views.input_options import InputOptions

FRAMES = 5
"""Frames of the apex window that are averaged."""
SEQUENCES_AT_ONCE = 16

_CPU = torch.device("cpu")


class ViewModel(Protocol):
    """A model that embeds views."""

    def embed_views(self, images: ViewImages) -> JointEmbedding:
        """Embed samples."""
        ...


class Classifier(Protocol):
    """A model with a classifier head."""

    def classify(self, images: ViewImages) -> Tensor:
        """Class scores before the softmax, [batch, classes]."""
        ...


@dataclass(frozen=True)
class SequenceEmbeddings:
    """Embeddings of sequences, averaged over their frames; row i of every array is sequence i."""

    sequences: tuple[str, ...]
    hidden: Float32[np.ndarray, "sequences width"]  # output of the image encoder, views side by side
    views: Float32[np.ndarray, "sequences views dim"]  # unit vectors of the joint space, as ``fused``
    fused: Float32[np.ndarray, "sequences dim"]

    def mean_view(self) -> Float32[np.ndarray, "sequences hidden"]:
        """The image encoder's output, averaged over the views."""
        count, views = self.views.shape[:2]
        mean: Float32[np.ndarray, "sequences hidden"] = self.hidden.reshape(count, views, -1).mean(axis=1)
        return mean

    def of(self, sequences: Sequence[str]) -> "SequenceEmbeddings":
        """Embeddings of some sequences, in the order given."""
        place = {name: row for row, name in enumerate(self.sequences)}
        rows = [place[name] for name in sequences]
        return SequenceEmbeddings(tuple(sequences), self.hidden[rows], self.views[rows], self.fused[rows])


def window_rows(bank: ViewBank, sequence: str, count: int | None = None) -> list[int]:
    """Bank rows of a sequence's apex window: all of them, or ``count`` spread evenly over it."""
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
    """Embed sequences (None: all of the bank) without augmentation; the model is put in evaluation mode."""
    device = set_evaluation_mode(model, device)
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
    """Probabilities by a model's classifier head, averaged over frames; arguments as for :func:`embed_sequences`."""
    device = set_evaluation_mode(model, device)
    names = bank.sequences if sequences is None else tuple(sequences)
    parts = [
        mean_by_sequence(model.classify(images).softmax(dim=1), counts)
        for images, counts in _batches(bank, names, options, frames_per_sequence, device, quiet)
    ]
    return torch.cat(parts).cpu().float().numpy()


def set_evaluation_mode(model: object, device: torch.device | None = None) -> torch.device:
    """Put a model in evaluation mode, and on a device where one is named (never in training); returns its device."""
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
    starts = range(0, len(names), SEQUENCES_AT_ONCE)
    for start in tqdm(starts, "embedding sequences", disable=quiet or None, dynamic_ncols=True):
        rows = [window_rows(bank, name, count) for name in names[start : start + SEQUENCES_AT_ONCE]]
        flat = torch.tensor([row for group in rows for row in group])
        yield assemble_unaugmented(bank, flat, options, device), [len(group) for group in rows]
