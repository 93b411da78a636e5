"""The source ``cluster``: sequences that look alike share their words, taken from what they have in common.

Clusters are found on training subjects, in what the landmarks did or in a self-supervised model's embeddings; every
other sequence joins the nearest. A cluster is *described*, never labelled: the median movement of its training members
is put into a coder's words, and earns an emotion's word only by the rules that serve single sequences.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64
from scipy.spatial.distance import cdist
from sklearn.cluster import AgglomerativeClustering, KMeans

from affect4d.prompts.pseudo_labels.assignment import balancing_offsets
from affect4d.prompts.pseudo_labels.naming import name_patterns
from affect4d.prompts.pseudo_labels.options import ClusterOptions, PseudoLabelOptions
from affect4d.prompts.pseudo_labels.rules import Rules

STARTS = 10
"""Starts of k-means; the tightest clustering is kept."""
SOFTNESS = 0.1
"""Temperature of the balanced assignment, in mean squared distances to the nearest centre."""

Features = Float[np.ndarray, "rows width"]


def cluster_findings(
    features: pd.DataFrame, train: pd.Series, rules: Rules, scores: pd.DataFrame, options: PseudoLabelOptions
) -> pd.DataFrame:
    """Cluster sequences, and say of each what its cluster does.

    Args:
        features: What to cluster; one row a sequence (the index).
        train: Whether each is of a training subject; clusters, balance and words come from those alone.
        rules: What names a cluster.
        scores: By those rules, what each of these sequences' faces did; one column a measurement.
        options: How to cluster and how to name.

    Returns:
        One row a sequence: :data:`affect4d.prompts.pseudo_labels.FINDING_COLUMNS`; confidence is how much nearer the
        own centre is than the next, 0 (between two) … 1 (at the centre).

    Raises:
        ValueError: If there are fewer training sequences than clusters.
    """
    seen = train.to_numpy(bool)
    centres = find_centres(features.to_numpy()[seen], options.cluster, options.seed)
    distances = cdist(features.to_numpy(), centres)
    cluster = _assigned(distances, seen, options.balanced)
    words = describe_clusters(scores.loc[features.index[seen]], cluster[seen], rules, options)
    found = words.loc[cluster].reset_index(drop=True)
    return found.assign(sequence=features.index, confidence=_nearness(distances, cluster))


def find_centres(features: Features, options: ClusterOptions, seed: int) -> Float[np.ndarray, "clusters width"]:
    """Centres of the clusters of some rows.

    Raises:
        ValueError: If there are fewer rows than clusters.
    """
    if len(features) < options.count:
        raise ValueError(
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
    """Words for what the members of each cluster have in common; one row a cluster (the index)."""
    typical = scores.groupby(cluster).median()
    return name_patterns(typical, rules.emotions(typical), options).set_index("sequence")


def _assigned(distances: Features, train: np.ndarray, balanced: bool) -> Int64[np.ndarray, " rows"]:
    """Cluster of each row: the nearest, or the evened-out one; only clusters that some training row is in."""
    fit = -np.square(distances) / max(np.square(distances[train]).min(axis=1).mean(), 1e-12)
    if balanced:
        fit = fit + balancing_offsets(fit[train], SOFTNESS)
    peopled = np.isin(np.arange(fit.shape[1]), fit[train].argmax(axis=1))
    return np.asarray(np.where(peopled, fit, -np.inf).argmax(axis=1))


def _nearness(distances: Features, cluster: Int64[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """1 − own distance / distance to the nearest other centre, at least 0."""
    rows = np.arange(len(distances))
    others = distances.copy()
    others[rows, cluster] = np.inf
    return np.asarray(np.clip(1 - distances[rows, cluster] / np.maximum(others.min(axis=1), 1e-12), 0.0, 1.0))
