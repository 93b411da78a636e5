"""AffectVLM's pair and triplet terms, L_mc and L_mt (arXiv 2504.19739).

The rows of ``embeddings`` are everything with a label: every view of every sample, and every prompt, as one more view
of its emotion [ours]. Θ is the cosine [ours]; for unit vectors ‖a − b‖² = 2 − 2 Θ(a, b).
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from affect4d.losses.contrastive import class_positives, cosines_and_pairs
from affect4d.tensor_types import Embeddings, Labels, Scalar

ANCHORS = 256
"""Most rows whose pairs and triplets are counted for the activity."""


def pair_contrast(embeddings: Embeddings, labels: Labels, margin: float | Tensor) -> Scalar:
    """L_mc: attraction of equal emotions, and repulsion of different ones whose cosine is above the margin.

    L_mc = mean over same-label pairs of (1 − Θ) + mean over different-label pairs of max(0, Θ − α). AffectVLM, first
    loss term [summary]; cosine, and means in place of sums, so that neither set drowns the other [ours].

    On unit vectors its gradient is at most 2 for a row and 2√2 for the whole matrix, whatever the batch.

    Args:
        embeddings: Any non-zero vectors; scaled to unit norm here.
        margin: α, a cosine; a tensor where it is learnt.

    Returns:
        Between 0 and 2 + (1 − α). An empty set of pairs contributes 0.
    """
    cosines, same, different = cosines_and_pairs(embeddings, labels)
    return _mean_where(1 - cosines, same) + _mean_where((cosines - margin).relu(), different)


def triplet_margin(
    embeddings: Embeddings, labels: Labels, margin: float | Tensor, mining: Literal["all", "hardest"] = "all"
) -> Scalar:
    """L_mt: every anchor is nearer to its own emotion than to another, by a margin.

    L_mt = max(0, ‖Z_a − Z_p‖² − ‖Z_a − Z_n‖² + α). AffectVLM, second loss term [summary]; a mean over triplets, and
    their choice [ours]:

    * ``"all"``: every valid triplet, the satisfied ones included;
    * ``"hardest"``: for each anchor, furthest positive and nearest negative (Hermans et al. 2017). Needs normalised,
      spread embeddings: without batch normalisation in front it may collapse to a point, where the value is α.

    On unit vectors the gradient of the whole matrix is at most 2√6, whatever the batch. Sorting the negatives of each
    anchor, ``"all"`` sums N³ triplets by cumulative sums: O(N² log N) time, O(N²) memory.

    Args:
        embeddings: Any non-zero vectors; scaled to unit norm here.
        margin: α, in units of squared distance between unit vectors (0…4); a tensor where it is learnt.

    Returns:
        Between 0 and 4 + α; 0 where no triplet is valid.
    """
    cosines, same, different = cosines_and_pairs(embeddings, labels)
    if mining == "hardest":
        return _hardest(cosines, same, different, margin)
    if mining != "all":
        raise ValueError(f"No mining is called {mining!r}; known: all, hardest.")
    return _sum_all(cosines, same, different, margin) / _triplet_count(same, different).clamp(min=1)


@torch.no_grad()
def pair_and_triplet_activity(embeddings: Embeddings, labels: Labels, margin: float | Tensor) -> dict[str, Scalar]:
    """Fractions of pairs and triplets whose hinge is above zero.

    Of a large batch, :data:`ANCHORS` evenly spaced rows are counted: sorting every row costs more than the loss.

    Returns:
        ``"active_pairs"`` (of all different-label pairs) and ``"active_triplets"`` (of all valid triplets), 0…1; 0
        where there are none.
    """
    anchors = torch.arange(0, len(labels), -(-len(labels) // ANCHORS), device=labels.device)
    unit = normalize(embeddings, dim=1)
    cosines, equal = unit[anchors] @ unit.T, class_positives(labels[anchors], labels)
    itself = anchors[:, None] == torch.arange(len(labels), device=labels.device)
    same, different = equal & ~itself, ~equal
    _, active = _sums_and_counts_above(2 * cosines, different, 2 * cosines - margin)
    active_triplets = torch.where(same, active, 0).sum() / _triplet_count(same, different).clamp(min=1)
    return {
        "active_pairs": _mean_where((cosines > margin).to(cosines.dtype), different),
        "active_triplets": active_triplets,
    }


def _mean_where(values: Tensor, chosen: Tensor) -> Scalar:
    """Mean over the chosen entries; 0, with zero gradient, where none is chosen."""
    return torch.where(chosen, values, 0.0).sum() / chosen.sum().clamp(min=1)


def _triplet_count(same: Tensor, different: Tensor) -> Tensor:
    return (same.sum(dim=1) * different.sum(dim=1)).sum()


def _hardest(cosines: Tensor, same: Tensor, different: Tensor, margin: float | Tensor) -> Scalar:
    furthest_positive = cosines.masked_fill(~same, 2.0).amin(dim=1)
    nearest_negative = cosines.masked_fill(~different, -2.0).amax(dim=1)
    valid = same.any(dim=1) & different.any(dim=1)
    return _mean_where((2 * nearest_negative - 2 * furthest_positive + margin).relu(), valid)


def _sum_all(cosines: Tensor, same: Tensor, different: Tensor, margin: float | Tensor) -> Tensor:
    """Σ over (a, p, n) of max(0, 2Θ(a, n) − (2Θ(a, p) − α)): per pair (a, p), the negatives above a threshold."""
    threshold = 2 * cosines - margin
    sums, counts = _sums_and_counts_above(2 * cosines, different, threshold)
    return torch.where(same, sums - counts * threshold, 0.0).sum()


def _sums_and_counts_above(values: Tensor, chosen: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """For each threshold of a row: sum and number of the row's chosen values that exceed it."""
    ordered, _ = values.masked_fill(~chosen, -torch.inf).sort(dim=1, descending=True)
    prefix = torch.where(ordered.isneginf(), 0.0, ordered).cumsum(dim=1)
    prefix = torch.cat([torch.zeros_like(prefix[:, :1]), prefix], dim=1)
    counts = torch.searchsorted((-ordered).detach(), (-thresholds).detach().contiguous())
    return prefix.gather(1, counts), counts
