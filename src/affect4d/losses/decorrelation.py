"""Barlow Twins over pairs of views (L_MV), and cross-modal redundancy of faces and texts (L_CM)."""

from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from affect4d.tensor_types import Embeddings, Scalar, ViewEmbeddings

OFF_DIAGONAL = 0.0051  # λ of the original Barlow Twins (Zbontar et al. 2021, section 3.1)


def standardise(features: Embeddings, epsilon: float = 1e-5) -> Embeddings:
    """Zero mean and unit variance of every feature over the batch: batch normalisation without weights or memory.

    A feature that is constant over the batch becomes 0; ``epsilon`` (a variance) keeps its gradient finite. A batch of
    one row is refused: a single sample has no variance, and any loss on it would be a constant.
    """
    if len(features) < 2:
        raise ValueError(
            f"Cannot standardise a batch of {len(features)}: batch statistics need at least two samples. "
            "Use a larger batch, or drop the last, incomplete one."
        )
    variance, mean = torch.var_mean(features, dim=0, correction=0)
    return (features - mean) / (variance + epsilon).sqrt()


def cross_correlation(a: Embeddings, b: Embeddings) -> Float[Tensor, "dim dim"]:
    """C: correlation over the batch of every feature of ``a`` with every one of ``b`` (Zbontar et al. 2021, eq. 2)."""
    return standardise(a).T @ standardise(b) / len(a)


def barlow_twins(a: Embeddings, b: Embeddings, off_diagonal: float = OFF_DIAGONAL) -> Scalar:
    """Σ_k (1 − C_kk)² + λ Σ_{k≠l} C_kl²: Barlow Twins, eq. 1, of unnormalised features; of order ``dim``."""
    correlation = cross_correlation(a, b)
    agreement = (1 - correlation.diagonal()).square().sum()
    return agreement + off_diagonal * off_diagonal_square_sum(correlation)


def multiview_decorrelation(views: ViewEmbeddings, off_diagonal: float = OFF_DIAGONAL) -> Scalar:
    """L_MV of SMILE-VLM: Barlow Twins per feature, averaged over all pairs of views.

    L_MV = mean over u < v of (Σ_k (1 − C_kk)² + λ Σ_{k≠l} C_kl²) / d. SMILE-VLM (arXiv 2506.01203): multiview
    decorrelation in the manner of Barlow Twins [paper]; mean over view pairs and division by d [ours]: for unrelated
    Gaussian features the value is 1 + (1 + λ(d − 1)) / (B − 1), close to 1 at any width, so a weight against terms of
    order 1 means something.
    """
    count, width = views.shape[1:]
    if count < 2:
        raise ValueError("Multiview decorrelation compares views: it needs at least two. Weigh it 0 for one view.")
    pairs = combinations(range(count), 2)
    values = [barlow_twins(views[:, first], views[:, second], off_diagonal) for first, second in pairs]
    return torch.stack(values).mean() / width


def cross_modal_redundancy(fused: Embeddings, text: Embeddings) -> Scalar:
    """L_CM = Σ_{k≠l} D_kl² / d, with D the cross-correlation of fused and text embeddings.

    SMILE-VLM (arXiv 2506.01203): cross-modal redundancy minimisation [paper]; this form, and the division by d [ours].
    For unrelated Gaussian features the value is (d − 1) / (B − 1): it takes a batch larger than the width before the
    term sees structure rather than chance.
    """
    return off_diagonal_square_sum(cross_correlation(fused, text)) / fused.shape[1]


def off_diagonal_square_sum(matrix: Float[Tensor, "dim dim"]) -> Scalar:
    """Σ_{k≠l} M_kl², without copying the off-diagonal."""
    return matrix.square().sum() - matrix.diagonal().square().sum()
