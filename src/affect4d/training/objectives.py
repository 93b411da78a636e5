"""Encoder outputs, objectives (one function a paper), and the table of training methods.

An objective takes (model, outputs of the whole batch, options) and returns the loss with its named terms for the log.
It sees outputs and not batches, so that a batch may pass the encoders in parts (accumulation) or on several processes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from affect4d.losses.contrastive import (
    class_positives,
    instance_contrast,
    multi_positive_contrast,
    pair_and_triplet_activity,
    pair_contrast,
    supervised_contrast,
    triplet_margin,
)
from affect4d.losses.decorrelation import cross_modal_redundancy, multiview_decorrelation, standardise
from affect4d.models import AffectVLM, JointEmbedding, SmileVLM, ViewClassifier
from affect4d.tensor_types import Embeddings, Labels, Scalar, TextEmbeddings, ViewEmbeddings
from affect4d.training.batch_loader import LabelledBatch, TrainingBatch, UnlabelledBatch
from affect4d.training.options import (
    AffectOptions,
    ContrastOptions,
    CrossEntropyOptions,
    ObjectiveOptions,
    SimclrOptions,
    SmileOptions,
)

TrainedModel = TypeVar("TrainedModel", bound=nn.Module)


@dataclass(frozen=True)
class FaceTextOutputs:
    """The image encoder's output, and unit vectors of views, faces and prompts in the joint space; a row a sample."""

    hidden: ViewEmbeddings
    views: ViewEmbeddings
    fused: Embeddings
    texts: TextEmbeddings
    groups: Labels  # equal where labels, or pseudo-labels, are

    @property
    def faces(self) -> JointEmbedding:
        """The part computed from images."""
        return JointEmbedding(self.hidden, self.views, self.fused)


@dataclass(frozen=True)
class ClassLogits:
    """Logits of a classifier, [batch, classes], and the true classes."""

    scores: Float[Tensor, "batch classes"]
    labels: Labels


Outputs = TypeVar("Outputs", FaceTextOutputs, ClassLogits)


def encode_faces_and_texts(model: AffectVLM | SmileVLM, batch: TrainingBatch) -> FaceTextOutputs:
    """Outputs of both encoders and the view fusion."""
    faces, texts = model.embed_views(batch.images), model.embed_texts(batch.texts)
    groups = batch.labels if isinstance(batch, LabelledBatch) else batch.groups
    return FaceTextOutputs(faces.hidden, faces.views, faces.fused, texts, groups)


def classify_faces(model: ViewClassifier, batch: LabelledBatch) -> ClassLogits:
    """Outputs of image encoder, view fusion and classification head."""
    return ClassLogits(model.classify(batch.images), batch.labels)


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of a batch from those of its parts, in order."""
    columns = [[getattr(part, field.name) for part in parts] for field in fields(parts[0])]
    return type(parts[0])(*(torch.cat(column) for column in columns))


def map_outputs(outputs: Outputs, function: Callable[[Tensor], Tensor]) -> Outputs:
    """The same outputs with a function applied to every tensor."""
    return type(outputs)(*(function(tensor) for tensor in output_tensors(outputs)))


def output_tensors(outputs: FaceTextOutputs | ClassLogits) -> list[Tensor]:
    """All tensors, in the order of the fields."""
    return [getattr(outputs, field.name) for field in fields(outputs)]


@dataclass(frozen=True)
class ObjectiveValue:
    """A loss, and detached scalars by name: unweighted terms, and the quantities that steer them."""

    loss: Scalar
    terms: dict[str, Tensor]


def affect_objective(model: AffectVLM, outputs: FaceTextOutputs, options: AffectOptions) -> ObjectiveValue:
    """AffectVLM (arXiv 2504.19739): ``L = w_align L_align + w_mc L_mc + w_mt L_mt``.

    L_mc and L_mt are the paper's [summary]; L_align, the class-aware contrast of faces and prompts, is ours. Pairs and
    triplets range over every view and every prompt of the batch [ours]. Mined triplets see batch-normalised
    embeddings, without which they collapse to a point [ours].
    """
    faces, texts, y = outputs.faces, outputs.texts, outputs.groups
    scale = model.temperature()
    alpha = model.margin(options.margin_low, options.margin_high)
    Z, labels = _views_and_prompts(faces, texts, y)
    Z = Z if options.mining == "all" else standardise(Z)

    fused_contrast, view_contrast = _contrasts(faces, texts, y, scale)
    L_align = fused_contrast + options.view_alignment * view_contrast
    L_mc = pair_contrast(Z, labels, alpha)
    L_mt = triplet_margin(Z, labels, alpha, options.mining)
    loss = options.align * L_align + options.pairs * L_mc + options.triplets * L_mt

    activity = pair_and_triplet_activity(Z, labels, alpha)
    terms = {"align": L_align, "pairs": L_mc, "triplets": L_mt, "alpha": alpha, "scale": scale, **activity}
    return _value(loss, terms)


def smile_objective(model: SmileVLM, outputs: FaceTextOutputs, options: SmileOptions) -> ObjectiveValue:
    """SMILE-VLM (arXiv 2506.01203): ``L = L_MV + β L_VL + γ L_CM``.

    The three terms are the paper's; their form is ours, and so is the weight on L_MV, which is 1 but in an ablation.
    Samples of one pseudo-label are not negatives of each other [ours].
    """
    faces, t = outputs.faces, outputs.texts
    scale = model.temperature()

    if faces.views.shape[1] == 1 and not options.decorrelation:
        L_MV = torch.zeros_like(scale)  # a single view has no pairs
    else:
        L_MV = multiview_decorrelation(model.project(faces.hidden), options.off_diagonal)
    fused_contrast, view_contrast = _contrasts(faces, t, outputs.groups, scale)
    L_VL = fused_contrast + view_contrast
    L_CM = cross_modal_redundancy(faces.fused, t)
    loss = options.decorrelation * L_MV + options.beta * L_VL + options.gamma * L_CM

    return _value(loss, {"decorrelation": L_MV, "alignment": L_VL, "redundancy": L_CM, "scale": scale})


def cross_entropy_objective(
    model: ViewClassifier, outputs: ClassLogits, options: CrossEntropyOptions
) -> ObjectiveValue:
    """Baseline of both papers: cross-entropy on the fused views."""
    loss = cross_entropy(outputs.scores, outputs.labels, label_smoothing=options.label_smoothing)
    accuracy = (outputs.scores.argmax(dim=1) == outputs.labels).float().mean()
    return _value(loss, {"accuracy": accuracy})


def supervised_contrast_objective(
    model: AffectVLM, outputs: FaceTextOutputs, options: ContrastOptions
) -> ObjectiveValue:
    """Baseline: SupCon (Khosla et al. 2020) over the same views and prompts as L_mc and L_mt."""
    scale = model.temperature()
    Z, labels = _views_and_prompts(outputs.faces, outputs.texts, outputs.groups)
    return _value(supervised_contrast(Z, labels, scale), {"scale": scale})


def simclr_objective(model: SmileVLM, outputs: FaceTextOutputs, options: SimclrOptions) -> ObjectiveValue:
    """Baseline: SimCLR (Chen et al. 2020) over the projected views of SMILE-VLM's image encoder; no text."""
    return _value(instance_contrast(model.project(outputs.faces.hidden), options.temperature), {})


def _contrasts(faces: JointEmbedding, texts: TextEmbeddings, groups: Labels, scale: Scalar) -> tuple[Scalar, Scalar]:
    """NCE(z, t), and the mean over views of NCE(z_v, t); samples of one group are positives of each other."""
    positives = class_positives(groups, groups)
    of_views = [multi_positive_contrast(view, texts, positives, scale) for view in faces.views.unbind(dim=1)]
    return multi_positive_contrast(faces.fused, texts, positives, scale), torch.stack(of_views).mean()


def _views_and_prompts(faces: JointEmbedding, texts: TextEmbeddings, labels: Labels) -> tuple[Embeddings, Labels]:
    """Every view embedding and every prompt embedding of the batch, as rows of one matrix, with their labels."""
    views = faces.views.shape[1]
    return torch.cat([faces.views.flatten(0, 1), texts]), torch.cat([labels.repeat_interleave(views), labels])


def _value(loss: Scalar, terms: dict[str, Tensor]) -> ObjectiveValue:
    return ObjectiveValue(loss, {"loss": loss.detach(), **{name: term.detach() for name, term in terms.items()}})


@dataclass(frozen=True)
class TrainingTask(Generic[TrainedModel, Outputs]):
    """A forward pass, sample by sample, and an objective of the outputs of the whole batch."""

    encode: Callable[[TrainedModel, Any], Outputs]
    objective: Callable[[TrainedModel, Outputs], ObjectiveValue]

    def value(self, model: TrainedModel, batch: Any) -> ObjectiveValue:
        """Loss and terms of a batch."""
        return self.objective(model, self.encode(model, batch))


@dataclass(frozen=True)
class TrainingMethod:
    """One way of training a model (a name in :data:`affect4d.models.MODELS`); it sees the fields of its batch only."""

    model: str
    batch: type[TrainingBatch]
    encode: Callable[..., Any]
    objective: Callable[..., Any]
    options: type[ObjectiveOptions]

    @property
    def supervised(self) -> bool:
        """Labels may be seen."""
        return self.batch is LabelledBatch

    def task(self, options: ObjectiveOptions) -> TrainingTask[Any, Any]:
        """The method with options."""
        return TrainingTask(self.encode, lambda model, outputs: self.objective(model, outputs, options))


METHODS: Final[Mapping[str, TrainingMethod]] = {
    "affect_vlm": TrainingMethod("affect_vlm", LabelledBatch, encode_faces_and_texts, affect_objective, AffectOptions),
    "smile_vlm": TrainingMethod("smile_vlm", UnlabelledBatch, encode_faces_and_texts, smile_objective, SmileOptions),
    "simclr": TrainingMethod("smile_vlm", UnlabelledBatch, encode_faces_and_texts, simclr_objective, SimclrOptions),
    "cross_entropy": TrainingMethod(
        "view_classifier", LabelledBatch, classify_faces, cross_entropy_objective, CrossEntropyOptions
    ),
    "supervised_contrast": TrainingMethod(
        "affect_vlm", LabelledBatch, encode_faces_and_texts, supervised_contrast_objective, ContrastOptions
    ),
}
"""SMILE-VLM's batches have no label; of the prompts, the cross-entropy baseline sees the label alone."""
