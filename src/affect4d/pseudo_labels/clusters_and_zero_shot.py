"""Pseudo-labels by clusters of movement, and by a vision-language model (after MultiviewVLM, arXiv 2505.09336).

Clusters are found on training subjects; every other sequence joins the nearest. A cluster is described, not labelled:
the median movement of its training members is coded in action units, and named an emotion by the rules alone.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64
from scipy.spatial.distance import cdist
from scipy.special import softmax
from sklearn.cluster import AgglomerativeClustering, KMeans

from affect4d.left_out import MissingInputError
from affect4d.pseudo_labels.action_units_and_emotion_prototypes import describe_patterns, top_margin
from affect4d.pseudo_labels.landmark_pseudo_labels import Rules, balancing_offsets
from affect4d.pseudo_labels.options import ClusterOptions, PseudoLabelOptions
from affect4d.scans.expression import EXPRESSIONS

STARTS = 10  # starts of k-means; the best is kept
SOFTNESS = 0.1  # temperature of the balanced assignment, in mean squared distances to the nearest centre

ClusterFeatures = Float[np.ndarray, "rows width"]


def label_by_clusters(
    features: pd.DataFrame, train: pd.Series, rules: Rules, scores: pd.DataFrame, options: PseudoLabelOptions
) -> pd.DataFrame:
    """``PSEUDO_LABEL_COLUMNS`` of sequences (the index of ``features``) by the clusters they belong to.

    Clusters and balance are fitted where ``train`` is true. Confidence is 0 (between two centres) … 1 (at the centre).

    Raises:
        MissingInputError: If there are fewer training sequences than clusters.
    """
    training = train.to_numpy(bool)
    centres = find_centres(features.to_numpy()[training], options.cluster, options.seed)
    distances = cdist(features.to_numpy(), centres)
    cluster = _assigned(distances, training, options.balanced)
    words = describe_clusters(scores.loc[features.index[training]], cluster[training], rules, options)
    found = words.loc[cluster].reset_index(drop=True)
    return found.assign(sequence=features.index, confidence=_nearness(distances, cluster))


def find_centres(features: ClusterFeatures, options: ClusterOptions, seed: int) -> Float[np.ndarray, "clusters width"]:
    """Centres of the clusters of some rows; a MissingInputError if there are fewer rows than clusters."""
    if len(features) < options.count:
        raise MissingInputError(
            f"{len(features)} training sequences cannot make {options.count} clusters: "
            "lower pseudo_labels.cluster.count."
        )
    if options.method == "kmeans":
        return np.asarray(KMeans(options.count, n_init=STARTS, random_state=seed).fit(features).cluster_centers_)
    member = AgglomerativeClustering(options.count).fit_predict(features)
    return np.stack([features[member == number].mean(axis=0) for number in range(options.count)])


def describe_clusters(
    scores: pd.DataFrame, cluster: Int64[np.ndarray, " rows"], rules: Rules, options: PseudoLabelOptions
) -> pd.DataFrame:
    """Description of the median movement of each cluster (the index)."""
    typical = scores.groupby(cluster).median()
    return describe_patterns(typical, rules.emotions(typical), options).set_index("sequence")


def _assigned(distances: ClusterFeatures, train: np.ndarray, balanced: bool) -> Int64[np.ndarray, " rows"]:
    """Cluster of each row: the nearest, or the class-balanced one; only clusters with a training row."""
    fit = -np.square(distances) / max(np.square(distances[train]).min(axis=1).mean(), 1e-12)
    if balanced:
        fit = fit + balancing_offsets(fit[train], SOFTNESS)
    occupied = np.isin(np.arange(fit.shape[1]), fit[train].argmax(axis=1))
    return np.asarray(np.where(occupied, fit, -np.inf).argmax(axis=1))


def _nearness(distances: ClusterFeatures, cluster: Int64[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """1 − own distance / distance to the nearest other centre, at least 0."""
    rows = np.arange(len(distances))
    others = distances.copy()
    others[rows, cluster] = np.inf
    return np.asarray(np.clip(1 - distances[rows, cluster] / np.maximum(others.min(axis=1), 1e-12), 0.0, 1.0))


def label_by_similarity(
    similarities: pd.DataFrame, train: pd.Series, scale: float, options: PseudoLabelOptions
) -> pd.DataFrame:
    """The emotion whose prompts fit each sequence best, as ``PSEUDO_LABEL_COLUMNS``.

    ``similarities`` are cosines of each sequence (the index) with the prompt ensemble of each of ``EXPRESSIONS``;
    balance is fitted where ``train`` is true. Confidence is the margin of the best probability over the second.

    Raises:
        MissingInputError: If no sequence is of a training subject, or none reaches the confidence.
    """
    if not train.any():
        raise MissingInputError("No sequence of a training subject has images: check the subject split.")
    logits = scale * similarities[list(EXPRESSIONS)].to_numpy()
    if options.balanced:
        logits = logits + balancing_offsets(logits[train.to_numpy()], temperature=1.0)
    confidence = top_margin(np.asarray(softmax(logits, axis=1)))
    emotion = np.array(EXPRESSIONS, dtype=object)[logits.argmax(axis=1)]
    found = pd.DataFrame(
        {
            "sequence": similarities.index,
            "pseudo_label": emotion,
            "confidence": confidence,
            "emotion": emotion,
            "action_units": [()] * len(similarities),
        }
    )
    confident = found[confidence >= options.zero_shot.confidence].reset_index(drop=True)
    if confident.empty:
        raise MissingInputError(
            f"No sequence reaches a confidence of {options.zero_shot.confidence}, the highest is "
            f"{confidence.max():.3f}: lower pseudo_labels.zero_shot.confidence."
        )
    return confident
