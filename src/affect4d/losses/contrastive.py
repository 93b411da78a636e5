"""Contrastive losses: image–text with several positives a row, SupCon, SimCLR, and AffectVLM's pairs and triplets.

In AffectVLM's L_mc and L_mt (arXiv 2504.19739), the rows of ``embeddings`` are everything with a label: every view of
every sample, and every prompt, as one more view of its emotion [ours]. Θ is the cosine [ours]; for unit vectors
‖a − b‖² = 2 − 2 Θ(a, b).
"""

from typing import Literal

import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from torch.nn.functional import normalize

from affect4d.tensor_types import Embeddings, Labels, Scalar, TextEmbeddings, ViewEmbeddings

SIMCLR_TEMPERATURE = 0.5  # SimCLR's for small batches (Chen et al. 2020, appendix B.9)
ANCHORS = 256
"""Most rows whose pairs and triplets are counted for the activity."""


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

    ``images`` and ``texts`` have unit norm; ``scale`` is the inverse temperature (CLIP's ``logit_scale.exp()``). Where
    nothing is learnt and one prompt fits, the value is log(prompts).
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
    """SupCon (Khosla et al. 2020, eq. 2), scaled to unit norm here; a row without another of its class is left out."""
    cosines, same, _ = cosines_and_pairs(embeddings, labels)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    logits = (scale * cosines).masked_fill(itself, torch.finfo(cosines.dtype).min)
    return row_contrast(logits, same)


def instance_contrast(views: ViewEmbeddings, temperature: float = SIMCLR_TEMPERATURE) -> Scalar:
    """NT-Xent over the views of a sample (Chen et al. 2020, eq. 1): SMILE-VLM's baseline without language.

    With two views it *is* NT-Xent; with more, a row's positives are averaged outside the logarithm (Khosla et al. 2020,
    eq. 2, every sample its own class).
    """
    samples, count = views.shape[:2]
    if count < 2:
        raise ValueError("SimCLR compares the views of a sample: it needs at least two.")
    itself = torch.arange(samples, device=views.device).repeat_interleave(count)
    return supervised_contrast(views.flatten(0, 1), itself, 1 / temperature)


def cosines_and_pairs(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine of every pair; symmetric masks of pairs of one class (without a row and itself), and of two."""
    unit = normalize(embeddings, dim=1)
    equal = class_positives(labels, labels)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return unit @ unit.T, equal & ~itself, ~equal


def pair_contrast(embeddings: Embeddings, labels: Labels, margin: float | Tensor) -> Scalar:
    """L_mc: attraction of equal emotions, and repulsion of different ones whose cosine is above the margin.

    L_mc = mean over same-label pairs of (1 − Θ) + mean over different-label pairs of max(0, Θ − α). AffectVLM, first
    loss term [summary]; cosine, and means in place of sums, so that neither set drowns the other [ours].

    Embeddings are scaled to unit norm here; α is a cosine, a tensor where it is learnt. The value is between 0 and
    2 + (1 − α); an empty set of pairs contributes 0. On unit vectors its gradient is at most 2 for a row and 2√2 for
    the whole matrix, whatever the batch.
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

    Embeddings are scaled to unit norm here; α is a squared distance between unit vectors (0…4), a tensor where it is
    learnt. The value is between 0 and 4 + α; 0 where no triplet is valid.
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

    ``"active_pairs"`` of all different-label pairs and ``"active_triplets"`` of all valid triplets, 0…1; 0 where there
    are none. Of a large batch, :data:`ANCHORS` evenly spaced rows are counted: sorting every row costs more than the
    loss.
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
