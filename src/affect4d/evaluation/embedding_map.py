"""A map of a representation: unseen sequences in the plane, neighbours kept near."""

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

from affect4d.evaluation.probe import Features

PERPLEXITY = 30.0
COMPONENTS = 50
"""Principal components t-SNE starts from, as its authors advise."""
MAP_COLUMNS = ("model", "sequence", "subject", "expression", "x", "y")


def embedding_map(features: Features, sequences: pd.DataFrame, model: str) -> pd.DataFrame:
    """t-SNE (van der Maaten and Hinton 2008) of some sequences' features; the same each time.

    Args:
        features: One row a row of ``sequences``.
        sequences: Columns ``sequence``, ``subject``, ``expression``.
        model: Name in the table.

    Returns:
        Columns :data:`MAP_COLUMNS`; coordinates are scaled to −1…1 and mean nothing by themselves.

    Raises:
        ValueError: If there are fewer than four sequences.
    """
    if len(features) < 4:
        raise ValueError(f"A map of {len(features)} sequences shows nothing; it takes four.")
    scaled = StandardScaler().fit_transform(features)
    reduced = PCA(min(COMPONENTS, *scaled.shape), random_state=0).fit_transform(scaled)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    placed = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    placed = placed / max(np.abs(placed).max(), 1e-12)
    table = sequences[["sequence", "subject", "expression"]].reset_index(drop=True)
    return table.assign(model=model, x=placed[:, 0].astype(float), y=placed[:, 1].astype(float))[list(MAP_COLUMNS)]
