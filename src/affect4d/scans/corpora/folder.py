"""Any folder of scans: one sub-folder a sequence, the files in it its frames, in natural order.

``anna/happy/0001.obj`` is subject ``anna``, expression happiness; ``clip7/0001.wrl`` is subject ``clip7``, expression
unknown; a scan at the top is a sequence and a subject of its own. Landmarks lie beside a scan as ``.bnd``.
"""

import re
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from affect4d.scans.corpora.bu4dfe import expression_or_none
from affect4d.scans.corpora.listing import list_files
from affect4d.scans.corpora.table import beside, scan_table
from affect4d.scans.readers import READERS

_DIGITS = re.compile(r"(\d+)")


def find_folder_scans(root: Path) -> pd.DataFrame:
    """Scans of known formats below a folder; frames are numbered from 0 in natural order (2 before 10)."""
    paths = {file.path.lower(): file.path for file in list_files(root)}
    scans = sorted((path for path in paths.values() if Path(path).suffix.lower() in READERS), key=_natural)
    sequences = groupby(sorted(scans, key=_sequence), key=_sequence)
    return scan_table(
        [_row(name, frame, scan, paths) for name, found in sequences for frame, scan in enumerate(found)], root
    )


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(path)]


def _sequence(path: str) -> str:
    place = PurePosixPath(path)
    return place.parent.as_posix() if len(place.parts) > 1 else place.stem


def _row(sequence: str, frame: int, scan: str, paths: dict[str, str]) -> dict[str, Any]:
    words = sequence.split("/")
    found = (expression_or_none(word) for word in reversed(words) if len(word) > 2)
    return {
        "sequence": sequence,
        "subject": words[0],
        "expression": next((word for word in found if word), None),
        "frame": frame,
        "scan": scan,
        "texture": beside(paths, scan),
        "landmark_file": paths.get(str(PurePosixPath(scan).with_suffix(".bnd")).lower()),
    }
