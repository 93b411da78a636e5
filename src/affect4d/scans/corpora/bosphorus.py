"""Bosphorus: 105 subjects, 4,666 static scans: expressions, single facial actions, poses, occlusions.

Names (verified on files and in public reader code): ``bs000/bs000_<GROUP>_<CODE>_<k>.bnt`` with ``.png``, ``.lm2`` and
``.lm3``. Groups: N neutral, E the six expressions, LFAU, UFAU and CAU lower, upper and combined facial actions, YR, PR
and CR head poses, O occlusions, IGN to be ignored. Only 65 of the 105 subjects have all six expressions. Action codes
such as ``12``, ``12L`` and ``A12A15`` are recalled: check against the paper.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from affect4d.scans.corpora.corpus_class_and_scan_table import (
    SIX_OF_60,
    Corpus,
    Protocol,
    Selection,
    Whole,
    find_matching,
    image_beside,
)
from affect4d.scans.corpora.file_patterns_and_label_sheets import parse_actions
from affect4d.scans.expression import EXPRESSIONS, expression_or_none

GROUPS = ("N", "E", "LFAU", "UFAU", "CAU", "YR", "PR", "CR", "O", "IGN")
ACTION_GROUPS = ("LFAU", "UFAU", "CAU")
_SCAN = re.compile(
    rf"(?:.*/)?(?P<subject>bs\d{{3,}})_(?P<name>(?P<group>{'|'.join(GROUPS)})_(?P<code>[^_/]+)_(?P<take>\d+))\.bnt",
    re.IGNORECASE,
)


def sequence_name(subject: str, group: str, code: str, take: int) -> str:
    """What a scan is called in the manifest: ``"bs000/E_HAPPY_0"``."""
    return f"{subject}/{group}_{code}_{take}"


def _row(match: re.Match[str], paths: Mapping[str, str]) -> dict[str, Any]:
    """A scan is a sequence of one frame; its group is its task."""
    group, code, scan = match["group"].upper(), match["code"].upper(), match[0]
    expression = expression_or_none(code) if group == "E" else None
    return {
        "sequence": sequence_name(match["subject"].lower(), group, code, int(match["take"])),
        "subject": match["subject"].lower(),
        "expression": expression,
        "frame": 0,
        "scan": scan,
        "texture": image_beside(paths, scan),
        "landmark_file": paths.get(str(PurePosixPath(scan).with_suffix(".lm3")).lower()),
        "label": "neutral" if group == "N" else expression,
        "task": group,
        "actions": parse_actions(code) if group in ACTION_GROUPS else None,
    }


BOSPHORUS = Corpus(
    name="bosphorus",
    description="bs000/bs000_E_HAPPY_0.bnt with .png and .lm3 beside it (Bosphorus)",
    find_scans=partial(find_matching, _SCAN, _row),
    classes=("neutral", *EXPRESSIONS),
    labelled_tasks=("N", "E"),
    whole=Whole(
        subjects=105,
        sequences=4_666,
        scans=4_666,
        source="verified on files and public reader code",
        subject_names=tuple(f"bs{number:03d}" for number in range(105)),
    ),
    has_landmarks=True,
    protocols=(
        Protocol(
            "60_of_65",
            "bosphorus",
            f"60 of the 65 subjects with all six expressions, one scan each, {SIX_OF_60}",
            source="65 of 105 read in public reader code; the draw is recalled, check against the paper",
            selection=Selection(tasks=("E",), all_six=True, one_take=True),
            subjects=60,
        ),
    ),
)
