"""Canonical scans → multi-view pictures."""

from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from affect4d.content import ContentStore, code_version, content_key, table_digest
from affect4d.rendering.cameras import RenderOptions
from affect4d.views.sheets import keep_sheet


def render_views(
    scan_manifest: pd.DataFrame, raw_corpus: dict[str, Any], options: RenderOptions, view_store: ContentStore
) -> pd.DataFrame:
    """Render every sequence from every view; one row a sequence, pointing into the store."""
    from affect4d.rendering.batch import render_corpus

    return render_corpus(scan_manifest, Path(raw_corpus["root"]), options, view_store)


def draw_view_sheet(view_manifest: pd.DataFrame, view_store: ContentStore) -> Image.Image:
    """A picture of every expression of a few subjects, at the apex, from every view."""

    def draw() -> Image.Image:
        from affect4d.views.corpus_sheet import corpus_sheet  # torch costs seconds

        return corpus_sheet(view_manifest, view_store)

    key = content_key(views=table_digest(view_manifest[["sequence", "checksum"]]), code=code_version("views"))
    return keep_sheet(view_store, f"corpus-{key}", draw)
