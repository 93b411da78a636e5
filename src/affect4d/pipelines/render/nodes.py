"""Canonical scans → multi-view pictures."""

from typing import Any

import pandas as pd
from PIL import Image

from affect4d.engine import IN_PROCESS, EngineOptions
from affect4d.rendering.cameras import RenderOptions
from affect4d.store import ContentStore, code_version, content_key, table_digest
from affect4d.views.sheets import keep_sheet


def render_views(
    scan_manifest: pd.DataFrame,
    raw_corpus: dict[str, Any],
    options: RenderOptions,
    view_store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Render every sequence from every view.

    Returns:
        The view manifest, one row a sequence, pointing into the store; and the report, a row for every scan that could
        not be drawn.
    """
    from affect4d.rendering.batch import render_corpus, render_report
    from affect4d.synthetic.generated_source import open_source

    views = render_corpus(scan_manifest, open_source(raw_corpus), options, view_store, engine)
    return views, render_report(views)


def draw_view_sheet(view_manifest: pd.DataFrame, sequences: pd.DataFrame, view_store: ContentStore) -> Image.Image:
    """Every expression of a few subjects at the apex, from every view; of micro-expressions, strips of frames."""

    def draw() -> Image.Image:
        from affect4d.views.corpus_sheet import corpus_sheet  # torch costs seconds
        from affect4d.views.micro_sheet import has_micro, micro_sheet

        if has_micro(sequences):
            return micro_sheet(view_manifest, sequences, view_store)
        return corpus_sheet(view_manifest, view_store)

    views = table_digest(view_manifest[["sequence", "subject", "checksum"]])
    key = content_key(views=views, sequences=table_digest(sequences), code=code_version(__name__))
    return keep_sheet(view_store, f"corpus-{key}", draw)
