"""Cross-modal redundancy: a feature of the face and *another* feature of its text should not say the same (L_CM)."""

from affect4d.losses.decorrelation import cross_correlation, off_diagonal_square_sum
from affect4d.tensors import Embeddings, Scalar


def cross_modal_redundancy(fused: Embeddings, text: Embeddings) -> Scalar:
    """L_CM = Σ_{k≠l} D_kl² / d, with D the cross-correlation of fused and text embeddings.

    SMILE-VLM (arXiv 2506.01203): cross-modal redundancy minimisation [paper]; this form, and the division by d [ours].
    For unrelated Gaussian features the value is (d − 1) / (B − 1): it takes a batch larger than the width before the
    term sees structure rather than chance.

    Args:
        fused: One row a sample.
        text: The prompt of the same sample.

    Raises:
        ValueError: If the batch has one row.
    """
    return off_diagonal_square_sum(cross_correlation(fused, text)) / fused.shape[1]
