"""Raw folders → a validated manifest of canonical scans, and the split of its subjects."""

from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from affect4d.engine import IN_PROCESS, EngineOptions
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.scans.splits import SubjectSplit, draw_split
from affect4d.store import ContentStore


class SplitOptions(BaseModel):
    """How subjects are divided, where the corpus does not bring a split of its own.

    Attributes:
        test_share: Share of the subjects set aside for the test.
        seed: Of the draw.
        use_given: Whether a split that belongs to the corpus (a frozen benchmark's) goes before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_share: float = Field(0.375, gt=0, lt=1)
    seed: int = Field(0, ge=0)
    use_given: bool = True


DESCRIBED = [
    "sequence", "subject", "expression", "gender", "age_group", "skin_tone", "ethnicity",
    "label", "level", "task", "onset", "apex", "offset",
]  # fmt: skip


def ingest_scans(
    raw_corpus: dict[str, Any], options: IngestOptions, scan_store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read and check every scan; bring it into the canonical pose.

    Returns:
        The manifest of usable scans; one row a sequence with what the corpus says about it; the report, one row a scan;
        and what of the corpus is there.
    """
    from affect4d.synthetic.generated_source import open_source  # scipy costs half a second

    ingest = ingest_source(open_source(raw_corpus), options, scan_store, engine)
    sequences = ingest.manifest[DESCRIBED].drop_duplicates("sequence").reset_index(drop=True)
    return ingest.manifest, sequences, ingest.report, ingest.completeness


def split_subjects(sequences: pd.DataFrame, raw_corpus: dict[str, Any], options: SplitOptions) -> dict[str, Any]:
    """Set subjects aside for the test: nobody is on both sides.

    A split that belongs to the corpus is kept as it is, less the subjects none of whose scans is usable.
    """
    present = set(sequences["subject"])
    if options.use_given and "split" in raw_corpus:
        given = SubjectSplit.from_dict(raw_corpus["split"])
        return SubjectSplit(tuple(present & set(given.train)), tuple(present & set(given.test)), given.seed).to_dict()
    return draw_split(present, options.test_share, options.seed).to_dict()
