"""Image–text contrast in which a face may have several fitting prompts, and a prompt several faces."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from affect4d.tensors import Embeddings, Scalar, TextEmbeddings


def class_positives(
    labels_a: Int64[Tensor, " batch"], labels_b: Int64[Tensor, " prompts"]
) -> Bool[Tensor, "batch prompts"]:
    """Which rows of one list belong to which rows of another: those with an equal label (or pseudo-label)."""
    return labels_a[:, None] == labels_b[None, :]


def multi_positive_contrast(
    images: Embeddings,
    texts: TextEmbeddings,
    positives: Bool[Tensor, "batch prompts"],
    scale: float | Tensor,
) -> Scalar:
    """Draw every face to all its prompts and every prompt to all its faces: L_align, and the contrast of L_VL.

    CLIP's symmetric cross-entropy (Radford et al. 2021, figure 3) with several positives a row, in the "outside" form
    of SupCon (Khosla et al. 2020, eq. 2): the mean, over a row's positives, of minus the log-softmax. With one positive
    a row it *is* CLIP's loss. SMILE-VLM (arXiv 2506.01203): vision–language contrastive alignment [paper]; AffectVLM
    (arXiv 2504.19739): contrastive language–image learning [paper, title]; this class-aware form [ours]. Rows without a
    positive are left out of the mean; without any positive the value is 0.

    Args:
        images: Unit-norm embeddings of faces.
        texts: Unit-norm embeddings of prompts.
        positives: Which prompt fits which face.
        scale: Inverse temperature (CLIP's ``logit_scale.exp()``); positive.

    Returns:
        The mean of both directions; log(prompts) where nothing is learnt and one prompt fits.
    """
    logits = scale * images @ texts.T
    return (row_contrast(logits, positives) + row_contrast(logits.T, positives.T)) / 2


def row_contrast(logits: Tensor, positives: Tensor) -> Scalar:
    """Mean over rows of the mean over their positives of minus the log-softmax; rows without positives left out."""
    log_shares = logits.log_softmax(dim=1)
    counts = positives.sum(dim=1)
    per_row = -torch.where(positives, log_shares, 0.0).sum(dim=1) / counts.clamp(min=1)
    return per_row.sum() / (counts > 0).sum().clamp(min=1)
