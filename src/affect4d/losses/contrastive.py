"""Contrastive losses: image–text with several positives a row, supervised (SupCon), and over views (SimCLR)."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from torch.nn.functional import normalize

from affect4d.tensor_types import Embeddings, Labels, Scalar, TextEmbeddings, ViewEmbeddings

SIMCLR_TEMPERATURE = 0.5
"""SimCLR's for small batches (Chen et al. 2020, appendix B.9)."""


def class_positives(
    labels_a: Int64[Tensor, " batch"], labels_b: Int64[Tensor, " prompts"]
) -> Bool[Tensor, "batch prompts"]:
    """Mask of the pairs with an equal label (or pseudo-label)."""
    return labels_a[:, None] == labels_b[None, :]


def multi_positive_contrast(
    images: Embeddings,
    texts: TextEmbeddings,
    positives: Bool[Tensor, "batch prompts"],
    scale: float | Tensor,
) -> Scalar:
    """L_align, and the contrast of L_VL: every face with all its prompts, every prompt with all its faces.

    CLIP's symmetric cross-entropy (Radford et al. 2021, figure 3) with several positives a row, in the "outside" form
    of SupCon (Khosla et al. 2020, eq. 2): the mean, over a row's positives, of minus the log-softmax. With one positive
    a row it *is* CLIP's loss. SMILE-VLM (arXiv 2506.01203): vision–language contrastive alignment [paper]; AffectVLM
    (arXiv 2504.19739): contrastive language–image learning [paper, title]; this class-aware form [ours]. Rows without a
    positive are left out of the mean; without any positive the value is 0.

    Args:
        images: Unit-norm embeddings of faces.
        texts: Unit-norm embeddings of prompts.
        scale: Inverse temperature (CLIP's ``logit_scale.exp()``); positive.

    Returns:
        The mean of both directions; log(prompts) where nothing is learnt and one prompt fits.
    """
    logits = scale * images @ texts.T
    return (row_contrast(logits, positives) + row_contrast(logits.T, positives.T)) / 2


def row_contrast(logits: Tensor, positives: Tensor) -> Scalar:
    """Mean over rows of the mean over their positives of minus the log-softmax; rows without positives left out."""
    log_probabilities = logits.log_softmax(dim=1)
    counts = positives.sum(dim=1)
    per_row = -torch.where(positives, log_probabilities, 0.0).sum(dim=1) / counts.clamp(min=1)
    return per_row.sum() / (counts > 0).sum().clamp(min=1)


def supervised_contrast(embeddings: Embeddings, labels: Labels, scale: float | Tensor = 10.0) -> Scalar:
    """SupCon (Khosla et al. 2020, eq. 2), the baseline of L_mc and L_mt.

    Args:
        embeddings: Any non-zero vectors; scaled to unit norm here.

    Returns:
        The mean over rows that have another row of their class; 0 without any.
    """
    cosines, same, _ = cosines_and_pairs(embeddings, labels)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    logits = (scale * cosines).masked_fill(itself, torch.finfo(cosines.dtype).min)
    return row_contrast(logits, same)


def instance_contrast(views: ViewEmbeddings, temperature: float = SIMCLR_TEMPERATURE) -> Scalar:
    """NT-Xent over the views of a sample (Chen et al. 2020, eq. 1): SMILE-VLM's baseline without language.

    With two views it *is* NT-Xent; with more, a row's positives are averaged outside the logarithm (Khosla et al. 2020,
    eq. 2, every sample its own class).

    Raises:
        ValueError: If there is one view only.
    """
    samples, count = views.shape[:2]
    if count < 2:
        raise ValueError("SimCLR compares the views of a sample: it needs at least two.")
    itself = torch.arange(samples, device=views.device).repeat_interleave(count)
    return supervised_contrast(views.flatten(0, 1), itself, 1 / temperature)


def cosines_and_pairs(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine of every pair; masks of pairs of one class (without a row and itself), and of two.

    Both masks are symmetric, so a mean over them is the mean over the pairs i < j.
    """
    unit = normalize(embeddings, dim=1)
    equal = class_positives(labels, labels)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return unit @ unit.T, equal & ~itself, ~equal
