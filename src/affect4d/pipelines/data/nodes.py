"""Raw corpus → manifest of canonical scans → subject split → rendered views."""

from functools import partial
from typing import Any

import pandas as pd
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.rendering.options import RenderOptions
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.scans.splits import SubjectSplit, draw_split
from affect4d.store import ContentStore, cached, table_digest

SEQUENCE_COLUMNS = [
    "sequence", "subject", "expression", "gender", "age_group", "skin_tone", "ethnicity",
    "label", "level", "task", "onset", "apex", "offset",
]  # fmt: skip
PROTOCOL_COLUMNS = ["protocol", "subjects", "sequences", "scans", "folds", "train", "test", "trained_on"]


class SplitOptions(BaseModel):
    """Division of the subjects, where the corpus does not bring one of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_share: float = Field(default=0.375, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    use_given: bool = Field(default=True, description="a split of the corpus's own goes first")


def ingest_scans(
    raw_corpus: dict[str, Any], options: IngestOptions, scan_store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read, check and align every scan.

    Returns:
        The manifest of usable scans; the sequences, one row each; the ingest report, one row a scan; what is there and
        what is missing of a licensed corpus.
    """
    from affect4d.synthetic.generated_source import open_source  # scipy costs half a second

    ingest = ingest_source(open_source(raw_corpus), options, scan_store, engine)
    sequences = ingest.manifest[SEQUENCE_COLUMNS].drop_duplicates("sequence").reset_index(drop=True)
    completeness = ingest.completeness[:0] if raw_corpus["synthetic"] else ingest.completeness
    return ingest.manifest, sequences, ingest.report, completeness


def split_subjects(sequences: pd.DataFrame, raw_corpus: dict[str, Any], options: SplitOptions) -> dict[str, Any]:
    """Set subjects aside for the test; no subject is on both sides.

    A split that belongs to the corpus is kept, less the subjects none of whose scans is usable.
    """
    present = set(sequences["subject"])
    if options.use_given and "split" in raw_corpus:
        given = SubjectSplit.from_dict(raw_corpus["split"])
        return SubjectSplit(tuple(present & set(given.train)), tuple(present & set(given.test)), given.seed).to_dict()
    return draw_split(present, options.test_share, options.seed).to_dict()


def list_protocols(raw_corpus: dict[str, Any], scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Evaluation protocols of the corpus and their size on the usable scans."""
    from affect4d.scans.protocols import protocol_table

    return protocol_table(raw_corpus["layout"], scan_manifest)


def render_views(
    scan_manifest: pd.DataFrame,
    raw_corpus: dict[str, Any],
    options: RenderOptions,
    view_store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Render every sequence from every view.

    Returns:
        The view manifest, one row a sequence, which points into the store; the report, one row for every scan that
        could not be rendered.
    """
    from affect4d.rendering.render_corpus import render_corpus, render_report
    from affect4d.synthetic.generated_source import open_source

    views = render_corpus(scan_manifest, open_source(raw_corpus), options, view_store, engine)
    return views, render_report(views)


def draw_view_sheet(view_manifest: pd.DataFrame, sequences: pd.DataFrame, view_store: ContentStore) -> Image.Image:
    """Contact sheet: every expression of a few subjects at its apex from every view; micro-expressions as strips."""
    from affect4d.views.contact_sheets import view_sheet

    given = {
        "views": table_digest(view_manifest[["sequence", "subject", "checksum"]]),
        "sequences": table_digest(sequences),
    }
    return cached(view_store, "sheets", partial(view_sheet, view_manifest, sequences, view_store), **given)
