"""4DME: 4D micro-expressions, 267 clips, several classes a clip, actions coded a clip.

The label sheet has the columns ``sub_ID, fold_name, Emotion, Onset, Apex, Offset, AUs`` (public reader code);
``AU4(k)`` is an action that is held. Rows 144 and 145 (counted from 0) are exchanged in the release, says reader code:
labels are matched to clips by ``sub_ID`` and ``fold_name``, never by row, and the completeness table counts times
outside their clip.

**How its mesh files are called is published nowhere we could read.** The holder of a copy gives a pattern
(:mod:`affect4d.scans.corpora.file_patterns_and_label_sheets`), in which ``{clip}`` is the sheet's ``fold_name``;
nothing is guessed.
"""

import re
from collections.abc import Container, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from affect4d.scans.corpora.corpus_class_and_scan_table import (
    Corpus,
    Whole,
    image_beside,
    micro_expression_protocol,
    scan_table,
)
from affect4d.scans.corpora.file_patterns_and_label_sheets import (
    compile_pattern,
    find_sheet,
    matching_paths,
    parse_actions,
    paths_by_name,
    whole_number,
)
from affect4d.scans.expression import MICRO_EXPRESSIONS, join_labels

COLUMNS = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs")
UNKNOWN_SUBJECT = "unknown"
"""Subject of clips where neither path nor sheet names one: a single one, so that no fold can divide them."""
_BETWEEN = re.compile(r"[,;/+&，、]|\band\b", re.IGNORECASE)
ClipLabels = Mapping[str, Any]
SheetLabels = Mapping[str, Mapping[str, ClipLabels]]
"""Clip → subject → labels of the sheet; both in lower case."""


def find_fourdme(root: Path, pattern: str | None = None) -> pd.DataFrame:
    """Scans whose paths fit the pattern (with ``{clip}`` and ``{frame}``), with the labels of their clips, if any."""
    if pattern is None:
        raise ValueError(
            f"How the scans of 4DME in {root} are called is not published: give the pattern of their paths, e.g. "
            "{subject}/{clip}/{frame}.obj where {clip} is the label sheet's fold_name, in "
            "conf/local/globals.yml under corpus_patterns: {fourdme: …}, or with --params corpus_pattern=…"
        )
    expression = compile_pattern(pattern, required=("clip", "frame"))
    paths = paths_by_name(root)
    sheet = find_sheet(root, paths, COLUMNS)
    labels = {} if sheet is None else _labels(sheet)
    matches = matching_paths(expression, paths)
    there = {(match["clip"].lower(), str(match.groupdict().get("subject")).lower()) for match in matches}
    return scan_table([_row(match, labels, paths, there) for match in matches], root)


def read_emotions(cell: str | None) -> str | None:
    """The classes of a sheet's cell: ``"Negative, Surprise"`` is ``negative+surprise``."""
    return None if cell is None else join_labels(_BETWEEN.split(cell))


def _labels(sheet: pd.DataFrame) -> SheetLabels:
    """Labels by clip and subject; a clip in several rows has the classes and actions of all, the times of the first."""
    named = sheet.dropna(subset=["fold_name"])
    keys = [named["fold_name"].str.lower(), named["sub_ID"].fillna("").str.lower()]
    labels: dict[str, dict[str, ClipLabels]] = {}
    for (clip, subject), rows in named.groupby(keys, sort=False):
        labels.setdefault(str(clip), {})[str(subject)] = {
            "subject": rows["sub_ID"].iloc[0],
            "label": join_labels(word for cell in rows["Emotion"] for word in (read_emotions(cell) or "").split("+")),
            "actions": None if rows["AUs"].isna().all() else parse_actions("+".join(rows["AUs"].dropna())),
            **{name.lower(): whole_number(rows[name].iloc[0]) for name in ("Onset", "Apex", "Offset")},
        }
    return labels


def _known(clip: str, subject: str | None, labels: SheetLabels, there: Container[tuple[str, str]]) -> ClipLabels:
    """The sheet's labels of a clip; by the clip alone where the subjects differ, unless they are another's own."""
    of_clip = labels.get(clip.lower(), {})
    if subject is not None and any(subject.lower() in subjects for subjects in labels.values()):
        return of_clip.get(subject.lower(), {})
    of_clip = {one: known for one, known in of_clip.items() if (clip.lower(), one) not in there}
    if len(of_clip) > 1:
        raise ValueError(
            f"The label sheet has the clip {clip!r} of several subjects ({', '.join(of_clip)}): let the pattern say "
            "whose it is, e.g. {subject}/{clip}/{frame}.obj, with folders called as in the sheet's sub_ID."
        )
    return next(iter(of_clip.values()), {})


def _row(
    match: re.Match[str], labels: SheetLabels, paths: Mapping[str, str], there: Container[tuple[str, str]]
) -> dict[str, Any]:
    fields = match.groupdict()
    known = _known(fields["clip"], fields.get("subject"), labels, there)
    subject = str(fields.get("subject") or known.get("subject") or UNKNOWN_SUBJECT)
    scan = match[0]
    return {
        **known,
        "sequence": f"{subject}/{fields['clip']}",
        "subject": subject,
        "frame": int(fields["frame"]),
        "scan": scan,
        "texture": image_beside(paths, scan),
        "landmark_file": paths.get(str(PurePosixPath(scan).with_suffix(".bnd")).lower()),
        "task": fields.get("task"),
    }


FOURDME = Corpus(
    name="fourdme",
    description="mesh files named by a pattern you give, with the label sheet at the top (4DME)",
    find_scans=find_fourdme,
    classes=MICRO_EXPRESSIONS,
    whole=Whole(subjects=None, sequences=267, scans=None, source="published description"),
    takes_pattern=True,
    protocols=(micro_expression_protocol("fourdme", "published description"),),
)
