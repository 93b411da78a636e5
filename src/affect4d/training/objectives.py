"""What is minimised, one function a paper: models meet losses here, and nowhere else.

Every function takes (model, what its towers saw, options) and returns the loss with its named terms, to be logged. It
is handed the whole batch, also where that went through the towers in parts or on several processes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from affect4d.losses.affect import pair_and_triplet_activity, pair_contrast, supervised_contrast, triplet_margin
from affect4d.losses.alignment import class_positives, multi_positive_contrast
from affect4d.losses.decorrelation import multiview_decorrelation, standardise
from affect4d.losses.redundancy import cross_modal_redundancy
from affect4d.losses.simclr import instance_contrast
from affect4d.models import AffectVLM, JointEmbedding, SmileVLM, ViewClassifier
from affect4d.tensors import Embeddings, Labels, Scalar, TextEmbeddings
from affect4d.training.options import AffectOptions, ContrastOptions, CrossEntropyOptions, SimclrOptions, SmileOptions
from affect4d.training.seen import ClassScores, FacesAndTexts


@dataclass(frozen=True)
class ObjectiveValue:
    """A loss, and what it is made of.

    Attributes:
        loss: To be minimised.
        terms: Detached scalars by name: unweighted terms, and the quantities that steer them.
    """

    loss: Scalar
    terms: dict[str, Tensor]


def affect_objective(model: AffectVLM, seen: FacesAndTexts, options: AffectOptions) -> ObjectiveValue:
    """AffectVLM (arXiv 2504.19739): ``L = w_align L_align + w_mc L_mc + w_mt L_mt``.

    L_mc and L_mt are the paper's [summary]; L_align, the class-aware contrast of faces and prompts, is ours. Pairs and
    triplets range over every view and every prompt of the batch [ours]. Mined triplets see batch-normalised
    embeddings, without which they collapse to a point [ours].
    """
    faces, texts, y = seen.faces, seen.texts, seen.groups
    scale = model.temperature()
    alpha = model.margin(options.margin_low, options.margin_high)
    Z, labels = _views_and_prompts(faces, texts, y)
    Z = Z if options.mining == "all" else standardise(Z)

    fused_contrast, view_contrast = _contrasts(faces, texts, y, scale)
    L_align = fused_contrast + options.view_alignment * view_contrast
    L_mc = pair_contrast(Z, labels, alpha, options.smoothing)
    L_mt = triplet_margin(Z, labels, alpha, options.mining, options.smoothing)
    loss = options.align * L_align + options.pairs * L_mc + options.triplets * L_mt

    activity = pair_and_triplet_activity(Z, labels, alpha)
    terms = {"align": L_align, "pairs": L_mc, "triplets": L_mt, "alpha": alpha, "scale": scale, **activity}
    return _value(loss, terms)


def smile_objective(model: SmileVLM, seen: FacesAndTexts, options: SmileOptions) -> ObjectiveValue:
    """SMILE-VLM (arXiv 2506.01203): ``L = L_MV + β L_VL + γ L_CM``.

    The three terms are the paper's; their form is ours, and so is the weight on L_MV, which is 1 but in an ablation.
    Samples of one pseudo-label are not negatives of each other [ours].
    """
    faces, t = seen.faces, seen.texts
    scale = model.temperature()

    if faces.views.shape[1] == 1 and not options.decorrelation:
        L_MV = torch.zeros_like(scale)  # there is no pair of views, and nobody asks for one
    else:
        L_MV = multiview_decorrelation(model.project(faces.hidden), options.off_diagonal)
    fused_contrast, view_contrast = _contrasts(faces, t, seen.groups, scale)
    L_VL = fused_contrast + view_contrast
    L_CM = cross_modal_redundancy(faces.fused, t)
    loss = options.decorrelation * L_MV + options.beta * L_VL + options.gamma * L_CM

    return _value(loss, {"decorrelation": L_MV, "alignment": L_VL, "redundancy": L_CM, "scale": scale})


def cross_entropy_objective(model: ViewClassifier, seen: ClassScores, options: CrossEntropyOptions) -> ObjectiveValue:
    """The peer both papers are compared with: cross-entropy on the fused views."""
    loss = cross_entropy(seen.scores, seen.labels, label_smoothing=options.label_smoothing)
    accuracy = (seen.scores.argmax(dim=1) == seen.labels).float().mean()
    return _value(loss, {"accuracy": accuracy})


def supervised_contrast_objective(model: AffectVLM, seen: FacesAndTexts, options: ContrastOptions) -> ObjectiveValue:
    """A peer: SupCon (Khosla et al. 2020) over the very views and prompts that L_mc and L_mt range over."""
    scale = model.temperature()
    Z, labels = _views_and_prompts(seen.faces, seen.texts, seen.groups)
    return _value(supervised_contrast(Z, labels, scale), {"scale": scale})


def simclr_objective(model: SmileVLM, seen: FacesAndTexts, options: SimclrOptions) -> ObjectiveValue:
    """A peer: SimCLR (Chen et al. 2020) over the projected views of SMILE-VLM's own tower; text is not looked at."""
    return _value(instance_contrast(model.project(seen.faces.hidden), options.temperature), {})


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
