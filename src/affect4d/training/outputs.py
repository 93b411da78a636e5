"""Encoder outputs of a batch, sample by sample: the input of the objectives.

Objectives see outputs and not batches, so that a batch may pass the encoders in parts (accumulation) or on several
processes, and its outputs be joined before the loss.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from affect4d.models import AffectVLM, JointEmbedding, SmileVLM, ViewClassifier
from affect4d.tensors import Embeddings, Labels, TextEmbeddings, ViewEmbeddings
from affect4d.training.dataset import LabelledBatch, UnlabelledBatch


@dataclasses.dataclass(frozen=True)
class FaceTextOutputs:
    """Faces and their prompts in the joint space; row i of every tensor is sample i.

    Attributes:
        hidden: Image encoder's output, [batch, views, hidden].
        views: Unit vectors, [batch, views, dim].
        fused: Unit vectors, [batch, dim].
        texts: Unit vectors, [batch, dim].
        groups: Equal where labels, or pseudo-labels, are equal.
    """

    hidden: ViewEmbeddings
    views: ViewEmbeddings
    fused: Embeddings
    texts: TextEmbeddings
    groups: Labels

    @property
    def faces(self) -> JointEmbedding:
        """The part computed from images."""
        return JointEmbedding(self.hidden, self.views, self.fused)


@dataclasses.dataclass(frozen=True)
class ClassLogits:
    """Logits of a classifier, [batch, classes], and the true classes."""

    scores: Float[Tensor, "batch classes"]
    labels: Labels


Outputs = TypeVar("Outputs", FaceTextOutputs, ClassLogits)


def encode_faces_and_texts(model: AffectVLM | SmileVLM, batch: LabelledBatch | UnlabelledBatch) -> FaceTextOutputs:
    """Outputs of both encoders and the view fusion."""
    faces, texts = model.embed_views(batch.images), model.embed_texts(batch.tokens)
    groups = batch.labels if isinstance(batch, LabelledBatch) else batch.groups
    return FaceTextOutputs(faces.hidden, faces.views, faces.fused, texts, groups)


def classify_faces(model: ViewClassifier, batch: LabelledBatch) -> ClassLogits:
    """Outputs of image encoder, view fusion and classification head."""
    return ClassLogits(model.classify(batch.images), batch.labels)


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of a batch from those of its parts, in order."""
    columns = [[getattr(part, field.name) for part in parts] for field in dataclasses.fields(parts[0])]
    return type(parts[0])(*(torch.cat(column) for column in columns))


def map_outputs(outputs: Outputs, function: Callable[[Tensor], Tensor]) -> Outputs:
    """The same outputs with a function applied to every tensor."""
    return type(outputs)(*(function(tensor) for tensor in output_tensors(outputs)))


def output_tensors(outputs: FaceTextOutputs | ClassLogits) -> list[Tensor]:
    """All tensors, in the order of the fields."""
    return [getattr(outputs, field.name) for field in dataclasses.fields(outputs)]
