"""AffectVLM's own two terms, L_mc and L_mt (arXiv 2504.19739), and the supervised contrast they are compared with.

The rows of ``embeddings`` are everything that carries a label: every view of every sample, and every prompt, which is
one more view of its emotion [ours]. Θ is the cosine [ours], so for unit vectors ‖a − b‖² = 2 − 2 Θ(a, b), and all
functions here start from one matrix of cosines.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus
from torch.utils.checkpoint import checkpoint

from affect4d.losses.alignment import class_positives, row_contrast
from affect4d.losses.mining import Mining
from affect4d.tensors import Embeddings, Labels, Scalar

BLOCK_ELEMENTS = 2**23
"""Triplets held in memory at a time where they cannot be summed in closed form: 32 MiB of float32."""
ANCHORS = 256
"""Rows whose pairs and triplets are counted where activity is reported."""


def pair_contrast(embeddings: Embeddings, labels: Labels, margin: float | Tensor, smoothing: float = 0.0) -> Scalar:
    """Draw equal emotions together; push different ones until their cosine is below the margin (L_mc).

    L_mc = mean over same-label pairs of (1 − Θ) + mean over different-label pairs of max(0, Θ − α). AffectVLM, first
    loss term [summary]; cosine, and means in place of sums, so that neither set drowns the other [ours].

    On unit vectors its gradient is at most 2 for a row and 2√2 for the whole matrix, whatever the batch.

    Args:
        embeddings: Any non-zero vectors; scaled to unit norm here.
        labels: Class of each row.
        margin: α, a cosine; a tensor where it is learnt.
        smoothing: Temperature of a softplus in place of the hinge; 0 is the hinge.

    Returns:
        Between 0 and 2 + (1 − α). An empty set of pairs contributes 0.
    """
    cosines, same, different = _cosines_and_pairs(embeddings, labels)
    return _mean_where(1 - cosines, same) + _mean_where(_hinge(cosines - margin, smoothing), different)


def triplet_margin(
    embeddings: Embeddings,
    labels: Labels,
    margin: float | Tensor,
    mining: Mining = "all",
    smoothing: float = 0.0,
) -> Scalar:
    """Keep every anchor nearer to its own emotion than to another, by a margin (L_mt).

    L_mt = max(0, ‖Z_a − Z_p‖² − ‖Z_a − Z_n‖² + α). AffectVLM, second loss term [summary]; a mean over triplets, and
    which triplets [ours]:

    * ``"all"``: every valid triplet, the satisfied ones included;
    * ``"semi_hard"``: for each anchor and positive, the nearest negative that is further than the positive, else the
      furthest negative (FaceNet, Schroff et al. 2015, with TensorFlow's fallback);
    * ``"hardest"``: for each anchor, furthest positive and nearest negative (Hermans et al. 2017). Needs normalised,
      spread embeddings: without batch normalisation in front it may collapse to a point, where the value is α.

    On unit vectors the gradient of the whole matrix is at most 2√6, whatever the batch. With the hinge, ``"all"`` sorts
    the negatives of each anchor and reads the sums over triplets off cumulative sums: O(N² log N) time and O(N²) memory
    for N³ triplets. A softplus has no such form and is summed over blocks of pairs, recomputed in the backward pass.

    Args:
        embeddings: Any non-zero vectors; scaled to unit norm here.
        labels: Class of each row.
        margin: α, in units of squared distance between unit vectors (0…4); a tensor where it is learnt.
        mining: Which triplets count.
        smoothing: Temperature of a softplus in place of the hinge; 0 is the hinge.

    Returns:
        Between 0 and 4 + α (for the hinge); 0 where no triplet is valid.
    """
    cosines, same, different = _cosines_and_pairs(embeddings, labels)
    if mining == "hardest":
        return _hardest(cosines, same, different, margin, smoothing)
    if mining == "semi_hard":
        return _semi_hard(cosines, same, different, margin, smoothing)
    if mining != "all":
        raise ValueError(f"No mining is called {mining!r}; known: all, semi_hard, hardest.")
    total = _sum_all if smoothing == 0 else _sum_all_smooth
    return total(cosines, same, different, margin, smoothing) / _triplet_count(same, different).clamp(min=1)


@torch.no_grad()
def pair_and_triplet_activity(embeddings: Embeddings, labels: Labels, margin: float | Tensor) -> dict[str, Scalar]:
    """How many pairs and triplets still pull: the share whose hinge is above zero.

    Of a large batch, :data:`ANCHORS` rows, evenly spaced, stand for all: sorting every row costs more than the loss.

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


def supervised_contrast(embeddings: Embeddings, labels: Labels, scale: float | Tensor = 10.0) -> Scalar:
    """Class-aware InfoNCE inside one set of embeddings (SupCon, Khosla et al. 2020, eq. 2): the peer of L_mc and L_mt.

    Args:
        embeddings: Any non-zero vectors; scaled to unit norm here.
        labels: Class of each row.
        scale: Inverse temperature.

    Returns:
        The mean over rows that have another row of their class; 0 without any.
    """
    cosines, same, _ = _cosines_and_pairs(embeddings, labels)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    logits = (scale * cosines).masked_fill(itself, torch.finfo(cosines.dtype).min)
    return row_contrast(logits, same)


def _cosines_and_pairs(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine of every pair; which pairs are of one class (a row with itself left out), and which of two.

    Both masks are symmetric, so a mean over them is the mean over the pairs i < j.
    """
    unit = normalize(embeddings, dim=1)
    equal = class_positives(labels, labels)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return unit @ unit.T, equal & ~itself, ~equal


def _hinge(values: Tensor, smoothing: float) -> Tensor:
    """max(0, x), or the softplus that approaches it as the temperature goes to 0; slope at most 1 in both."""
    return values.relu() if smoothing == 0 else smoothing * softplus(values / smoothing)


def _mean_where(values: Tensor, chosen: Tensor) -> Scalar:
    """Mean over the chosen entries; 0, with zero gradient, where none is chosen."""
    return torch.where(chosen, values, 0.0).sum() / chosen.sum().clamp(min=1)


def _triplet_count(same: Tensor, different: Tensor) -> Tensor:
    return (same.sum(dim=1) * different.sum(dim=1)).sum()


def _hardest(cosines: Tensor, same: Tensor, different: Tensor, margin: float | Tensor, smoothing: float) -> Scalar:
    furthest_positive = cosines.masked_fill(~same, 2.0).amin(dim=1)
    nearest_negative = cosines.masked_fill(~different, -2.0).amax(dim=1)
    valid = same.any(dim=1) & different.any(dim=1)
    return _mean_where(_hinge(2 * nearest_negative - 2 * furthest_positive + margin, smoothing), valid)


def _semi_hard(cosines: Tensor, same: Tensor, different: Tensor, margin: float | Tensor, smoothing: float) -> Scalar:
    ordered, original = cosines.masked_fill(~different, -torch.inf).sort(dim=1)
    below = torch.searchsorted(ordered.detach(), cosines.detach().contiguous())  # negatives further than the positive
    furthest = (~different).sum(dim=1, keepdim=True)  # after the places of those that are no negatives
    place = torch.maximum(below - 1, furthest).clamp(max=len(cosines) - 1)
    negative = cosines.gather(1, original.gather(1, place))
    valid = same & different.any(dim=1, keepdim=True)
    return _mean_where(_hinge(2 * negative - 2 * cosines + margin, smoothing), valid)


def _sum_all(cosines: Tensor, same: Tensor, different: Tensor, margin: float | Tensor, _: float) -> Tensor:
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


def _sum_all_smooth(
    cosines: Tensor, same: Tensor, different: Tensor, margin: float | Tensor, smoothing: float
) -> Tensor:
    """The same sum with a softplus, over blocks of pairs (a, p); nothing of a block outlives it."""
    pairs = same.nonzero()
    step = max(1, BLOCK_ELEMENTS // len(cosines))
    total = cosines.new_zeros(())
    for block in pairs.tensor_split(list(range(step, len(pairs), step))):
        total = total + checkpoint(_sum_block, block, cosines, different, margin, smoothing, use_reentrant=False)
    return total


def _sum_block(pairs: Tensor, cosines: Tensor, different: Tensor, margin: float | Tensor, smoothing: float) -> Tensor:
    anchors, positives = pairs.unbind(dim=1)
    differences = 2 * cosines[anchors] - 2 * cosines[anchors, positives][:, None] + margin
    return torch.where(different[anchors], _hinge(differences, smoothing), 0.0).sum()
