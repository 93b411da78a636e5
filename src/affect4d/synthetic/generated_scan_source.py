"""A synthetic corpus as a source of raw scans, generated on demand; checksums are keys of what scans depend on."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affect4d.scans.corpora.corpus_class_and_scan_table import ATTRIBUTES, SCAN_COLUMNS, WHOLE_NUMBERS
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.scan_source_and_corpus_folder import FileSource, MixedSource, ScanRow, ScanSource
from affect4d.store import content_key
from affect4d.synthetic import generate_scans as corpus
from affect4d.synthetic.generate_scans import Take
from affect4d.synthetic.recipe import CorpusRecipe, LiveLinkRecipe

VERTEX_DECIMALS, UV_DECIMALS, LANDMARK_DECIMALS = 3, 4, 4
"""Decimals of the text formats, of which streamed scans are exact copies but for the texture."""


@dataclass(frozen=True, slots=True)
class GeneratedSource:
    """The scans of a recipe; with a table row, the recipe is all that a process needs to generate one."""

    recipe: CorpusRecipe

    def __str__(self) -> str:
        return f"the generated corpus {self.recipe.digest}"

    def table(self) -> pd.DataFrame:
        """One row a scan, without generating any."""
        subjects = corpus.subject_table(self.recipe).set_index("subject")
        rows = [row for take in corpus.takes(self.recipe) for row in _rows(self.recipe, take)]
        table = pd.DataFrame(rows, columns=list(SCAN_COLUMNS))
        for name in set(ATTRIBUTES) & set(subjects.columns):
            table[name] = table["subject"].map(subjects[name])
        types: dict[str, Any] = {**dict.fromkeys(SCAN_COLUMNS, "str"), **dict.fromkeys(WHOLE_NUMBERS, "Int64")}
        return table.astype({**types, "frame": "int64"}).sort_values(["sequence", "frame"], ignore_index=True)

    def fingerprint(self) -> str:
        """Digest of the recipe and of the code and files that generate its scans."""
        return corpus.corpus_key(self.recipe)

    def identities(self, scans: pd.DataFrame) -> list[str]:
        """Their checksums, which are known without generating the scans."""
        rows = zip(scans["sequence"], scans["frame"], strict=True)
        return [self.checksum({"sequence": sequence, "frame": frame}) for sequence, frame in rows]

    def read(self, row: ScanRow, landmarks: bool = True, texels: int = 0) -> FaceScan:
        """Generate the scan of a row, with all of its texture; a ScanError if the recipe has no such scan."""
        take, frame = corpus.find_take(self.recipe, str(row["sequence"])), int(row["frame"])
        if take is None or not 0 <= frame < corpus.performance_of(self.recipe, take).frames:
            raise ScanError("not-in-recipe", self.locate(row), f"{self} has no such scan")
        scan = as_written(corpus.scan_frame(self.recipe, take, frame))
        return scan if landmarks else with_changes(scan, landmarks=None)

    def checksum(self, row: ScanRow) -> str:
        """Key of everything the scan depends on; the same in a smaller or larger corpus of the same recipe."""
        return content_key(origin=corpus.scan_origin(self.recipe), sequence=row["sequence"], frame=int(row["frame"]))

    def locate(self, row: ScanRow) -> Path:
        """Sequence and frame, as a path that does not exist."""
        return Path(row["scan"])

    def explain_absence(self) -> str:
        """Message for a recipe without performances."""
        return f"{self} has no scans: its recipe has no performances; look at recipe.performances."


def open_source(raw_corpus: Mapping[str, Any]) -> ScanSource:
    """The raw scans that the artefact ``raw_corpus`` describes: files, a recipe, recordings, or a mixture."""
    if "parts" in raw_corpus:
        parts = tuple((name, open_source(part)) for name, part in raw_corpus["parts"].items())
        return MixedSource(parts, bool(raw_corpus["balanced"]))
    if "recordings" in raw_corpus:
        from affect4d.synthetic.live_link_source import LiveLinkSource

        return LiveLinkSource(LiveLinkRecipe.model_validate(raw_corpus["recordings"]))
    if raw_corpus.get("streamed"):
        return GeneratedSource(CorpusRecipe.model_validate(raw_corpus["recipe"]))
    return FileSource.described(raw_corpus)


def as_written(scan: FaceScan) -> FaceScan:
    """The scan with the decimals that a file of it would hold."""
    uv, landmarks = scan.texture_coordinates, scan.landmarks
    return with_changes(
        scan,
        vertices=_rounded(scan.vertices, VERTEX_DECIMALS),
        texture_coordinates=None if uv is None else _rounded(uv, UV_DECIMALS),
        landmarks=None if landmarks is None else _rounded(landmarks, LANDMARK_DECIMALS),
    )


def _rounded(values: np.ndarray, decimals: int) -> np.ndarray:
    return np.round(values.astype(np.float64), decimals).astype(np.float32)


def _rows(recipe: CorpusRecipe, take: Take) -> list[dict[str, Any]]:
    sequence, labels = corpus.sequence_name(recipe, take), corpus.sequence_labels(recipe, take)
    return [
        {**labels, "sequence": sequence, "frame": frame, "scan": f"{sequence}/{frame:03d}"}
        for frame in range(corpus.performance_of(recipe, take).frames)
    ]
