"""What the towers say of a batch, sample by sample: all that an objective looks at.

The cut between towers and objective is where a batch can be put together: from parts that went through the towers one
after the other (accumulation), and from parts that went through them on several processes.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from affect4d.models import AffectVLM, JointEmbedding, SmileVLM, ViewClassifier
from affect4d.tensors import Embeddings, Labels, TextEmbeddings, ViewEmbeddings
from affect4d.training.data.batches import LabelledBatch, UnlabelledBatch


@dataclasses.dataclass(frozen=True)
class FacesAndTexts:
    """Faces and their prompts in the joint space; row i of everything is sample i.

    Attributes:
        hidden: Image tower's output, [batch, views, hidden].
        views: Unit vectors, [batch, views, dim].
        fused: Unit vectors, [batch, dim].
        texts: Unit vectors, [batch, dim].
        groups: Equal where labels are equal; pseudo-labels in self-supervised training.
    """

    hidden: ViewEmbeddings
    views: ViewEmbeddings
    fused: Embeddings
    texts: TextEmbeddings
    groups: Labels

    @property
    def faces(self) -> JointEmbedding:
        """The part that came from pictures."""
        return JointEmbedding(self.hidden, self.views, self.fused)


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """What a classifier says.

    Attributes:
        scores: Before the softmax, [batch, classes].
        labels: The truth.
    """

    scores: Float[Tensor, "batch classes"]
    labels: Labels


Seen = TypeVar("Seen", FacesAndTexts, ClassScores)


def see_faces_and_texts(model: AffectVLM | SmileVLM, batch: LabelledBatch | UnlabelledBatch) -> FacesAndTexts:
    """Both towers and the view fusion."""
    faces, texts = model.embed_views(batch.images), model.embed_texts(batch.tokens)
    groups = batch.labels if isinstance(batch, LabelledBatch) else batch.groups
    return FacesAndTexts(faces.hidden, faces.views, faces.fused, texts, groups)


def score_faces(model: ViewClassifier, batch: LabelledBatch) -> ClassScores:
    """Image tower, view fusion and head."""
    return ClassScores(model.classify(batch.images), batch.labels)


def put_together(parts: Sequence[Seen]) -> Seen:
    """One batch from parts of it, in order."""
    columns = [[getattr(part, field.name) for part in parts] for field in dataclasses.fields(parts[0])]
    return type(parts[0])(*(torch.cat(column) for column in columns))


def each_tensor(seen: Seen, function: Callable[[Tensor], Tensor]) -> Seen:
    """A function applied to every tensor."""
    return type(seen)(*(function(getattr(seen, field.name)) for field in dataclasses.fields(seen)))


def tensors_of(seen: FacesAndTexts | ClassScores) -> list[Tensor]:
    """Its tensors, in order."""
    return [getattr(seen, field.name) for field in dataclasses.fields(seen)]
