"""A corpus at a glance: every expression of a few subjects at its apex, from every view."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from affect4d.arrays import Picture
from affect4d.content import ContentStore
from affect4d.views.bank import read_shard
from affect4d.views.contact_sheet import contact_sheet


def corpus_sheet(view_manifest: pd.DataFrame, store: ContentStore, subjects: int = 4) -> Image.Image:
    """Every view at the apex of each sequence; a row a subject.

    Args:
        view_manifest: One row a rendered sequence.
        store: Where the shards are.
        subjects: How many subjects to show, spread over the corpus.
    """
    names = sorted(view_manifest["subject"].unique())
    shown = [names[place] for place in np.linspace(0, len(names) - 1, min(subjects, len(names))).round().astype(int)]
    rows = view_manifest[view_manifest["subject"].isin(shown)].sort_values(["subject", "sequence"])
    cells = [cell for row in rows.to_dict("records") for cell in _apex_pictures(row, store)]
    longest = int(rows.groupby("subject").size().max())
    columns = longest * len(cells) // len(rows)
    return contact_sheet([picture for picture, _ in cells], columns, [label for _, label in cells])


def _apex_pictures(row: Mapping[Any, Any], store: ContentStore) -> Iterator[tuple[Picture, str]]:
    """Pictures and labels of one sequence at its apex."""
    texture, _ = read_shard(store.path(str(row["shard"])), str(row["checksum"]))
    apex = int(np.argmax(np.asarray(row["activity"], float)))
    views = [str(view) for view in np.asarray(row["views"])]
    for view, picture in zip(views, texture[apex], strict=True):
        yield picture, f"{row['sequence']} {view}"
