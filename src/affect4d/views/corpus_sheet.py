"""A corpus at a glance: every expression of a few subjects at its apex, from every view."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from affect4d.arrays import Picture
from affect4d.store import ContentStore
from affect4d.store.shards import open_shard
from affect4d.views.contact_sheet import contact_sheet
from affect4d.views.moments import locate
from affect4d.views.shown import shown_picture


def corpus_sheet(view_manifest: pd.DataFrame, store: ContentStore, subjects: int = 4) -> Image.Image:
    """Every view at the apex of each sequence; every subject begins a row.

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
    columns = _columns(longest * len(cells) // len(rows), len(cells))
    return contact_sheet([picture for picture, _ in cells], columns, [label for _, label in cells])


def _columns(of_a_subject: int, cells: int) -> int:
    """How many pictures a row, so that a subject fills whole rows and the sheet is nearest to 3 : 2."""
    possible = [columns for columns in range(1, of_a_subject + 1) if of_a_subject % columns == 0]
    return min(possible, key=lambda columns: abs(math.log(columns * columns / cells / 1.5)))


def _apex_pictures(row: Mapping[Any, Any], store: ContentStore) -> Iterator[tuple[Picture, str]]:
    """Pictures and labels of one sequence at its apex: its colours or, where none were rendered, what there is."""
    shard = open_shard(store.path(str(row["shard"])), str(row["checksum"]))
    apex = locate(np.asarray(row["activity"], float)).apex
    for place, view in enumerate(np.asarray(row["views"])):
        yield shown_picture(shard, apex, place), f"{row['sequence']} {view}"
