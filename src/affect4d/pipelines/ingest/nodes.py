"""Raw folders → a validated manifest of canonical scans, and the split of its subjects."""

from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from affect4d.content import ContentStore
from affect4d.scans.ingest import IngestOptions, ingest_corpus
from affect4d.scans.splits import draw_split


class SplitOptions(BaseModel):
    """How subjects are divided.

    Attributes:
        test_share: Share of the subjects set aside for the test.
        seed: Of the draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_share: float = Field(0.375, gt=0, lt=1)
    seed: int = Field(0, ge=0)


DESCRIBED = ["sequence", "subject", "expression", "gender", "age_group", "skin_tone"]


def ingest_scans(
    raw_corpus: dict[str, Any], options: IngestOptions, scan_store: ContentStore
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read and check every scan; bring it into the canonical pose.

    Returns:
        The manifest of usable scans; one row a sequence with what the corpus says about it; and the report, a row for
        every scan refused or repaired.
    """
    ingest = ingest_corpus(Path(raw_corpus["root"]), raw_corpus["layout"], options, scan_store)
    sequences = ingest.manifest[DESCRIBED].drop_duplicates("sequence").reset_index(drop=True)
    return ingest.manifest, sequences, ingest.report


def split_subjects(sequences: pd.DataFrame, options: SplitOptions) -> dict[str, Any]:
    """Set subjects aside for the test: nobody is on both sides."""
    return draw_split(sorted(sequences["subject"].unique()), options.test_share, options.seed).to_dict()
