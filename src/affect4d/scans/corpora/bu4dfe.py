"""BU-4DFE: ``F001/Angry/000.wrl`` with ``000.jpg``, landmarks in ``BU4DFE_BND_V1.1/F001/Angry/000.bnd``."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.scans.corpora.listing import list_files
from affect4d.scans.corpora.table import beside, scan_table
from affect4d.scans.expression import parse_expression

LANDMARK_FOLDER = "BU4DFE_BND_V1.1"
_SCAN = re.compile(r"(?P<subject>[FM]\d{3,4})/(?P<word>[^/]+)/(?P<frame>\d{1,9})\.wrl", re.IGNORECASE)


def find_bu4dfe(root: Path) -> pd.DataFrame:
    """Scans of a BU-4DFE folder, by name only.

    Folders of other names (the viewer's, landmarks) are passed over. The gender of a subject is that of
    ``subjects.csv``, else the one its letter stands for.
    """
    paths = {file.path.lower(): file.path for file in list_files(root)}
    matches = (_SCAN.fullmatch(path) for path in paths.values())
    return scan_table([_row(match, paths) for match in matches if match], root)


def _row(match: re.Match[str], paths: dict[str, str]) -> dict[str, Any]:
    scan, subject, word = match[0], match["subject"], match["word"]
    landmarks = f"{LANDMARK_FOLDER}/{scan[:-4]}.bnd".lower()
    return {
        "sequence": f"{subject}/{word}",
        "subject": subject.upper(),
        "expression": expression_or_none(word),
        "frame": int(match["frame"]),
        "scan": scan,
        "texture": beside(paths, scan),
        "landmark_file": paths.get(landmarks),
        "gender": subject[0].upper(),
    }


def expression_or_none(word: str) -> str | None:
    """The expression a folder is named after; None where its name is no expression."""
    try:
        return parse_expression(word)
    except ValueError:
        return None
