"""CAS(ME)³ part A: micro-expressions in colour and depth, 860 clips, 30 frames a second (verified on files).

``spNO.138/a/color/1294.jpg`` with ``spNO.138/a/depth/1294.png``; depth 0 is invalid. Only frames inside a clip of the
label sheet (``Subject, Filename, Onset, Apex, Offset, AU, emotion``) are scans; a recording the sheet does not name is
passed over. Without a sheet every recording is one sequence without labels.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
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
    find_sheet,
    matching_paths,
    parse_actions,
    paths_by_name,
    whole_number,
)
from affect4d.scans.expression import expression_or_none, label_for

COLUMNS = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "emotion")
CLASSES = ("anger", "disgust", "fear", "happiness", "others", "sadness", "surprise")
_DEPTH = re.compile(r"(?:.*/)?(?P<subject>spno\.\d+)/(?P<clip>[^/]+)/depth/(?P<frame>\d{1,9})\.png", re.IGNORECASE)
_COLOUR = re.compile(r"(?P<before>.*/)depth(?P<after>/[^/]+)", re.IGNORECASE)
Recording = dict[int, str]
Place = tuple[str, str]


def find_casme3(root: Path) -> pd.DataFrame:
    """Depth images of every labelled clip, by name and label sheet."""
    paths = paths_by_name(root)
    recordings = _recordings(paths)
    sheet = find_sheet(root, paths, COLUMNS)
    clips = _whole_recordings(recordings) if sheet is None else _clips(sheet, recordings)
    return scan_table((row for clip in clips for row in _rows(clip, recordings, paths)), root)


def _recordings(paths: Mapping[str, str]) -> dict[Place, Recording]:
    found: defaultdict[Place, Recording] = defaultdict(dict)
    for match in matching_paths(_DEPTH, paths):
        found[match["subject"].lower(), match["clip"].lower()][int(match["frame"])] = match[0]
    return dict(found)


def _whole_recordings(recordings: Mapping[Place, Recording]) -> Iterator[dict[str, Any]]:
    for subject, clip in recordings:
        yield {"subject": subject, "clip": clip, "sequence": f"{subject}/{clip}"}


def _clips(sheet: pd.DataFrame, recordings: Mapping[Place, Recording]) -> Iterator[dict[str, Any]]:
    """The sheet's rows whose recording is there and whose onset is known."""
    for row in sheet.to_dict("records"):
        times = {name.lower(): whole_number(row[name]) for name in ("Onset", "Apex", "Offset")}
        place = str(row["Subject"]).lower(), str(row["Filename"]).lower()
        if place not in recordings or times["onset"] is None:
            continue
        word = row["emotion"]
        yield {
            "subject": place[0],
            "clip": place[1],
            "sequence": f"{place[0]}/{place[1]}/{times['onset']}",
            "expression": expression_or_none(word),
            "label": label_for(word),
            "actions": None if row["AU"] is None else parse_actions(row["AU"]),
            **times,
        }


def _rows(
    clip: dict[str, Any], recordings: Mapping[Place, Recording], paths: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The scans from onset to offset; to the apex, where the sheet gives no offset."""
    recording = recordings[clip["subject"], clip["clip"]]
    first = clip.get("onset", 0)
    times = [clip[name] for name in ("onset", "apex", "offset") if clip.get(name) is not None]
    last = max(times, default=max(recording))
    for frame in sorted(number for number in recording if first <= number <= last):
        scan = recording[frame]
        colour = _COLOUR.sub(r"\g<before>color\g<after>", scan)
        yield {**clip, "frame": frame, "scan": scan, "texture": image_beside(paths, colour)}


CASME3 = Corpus(
    name="casme3",
    description="spNO.138/a/depth/1294.png with spNO.138/a/color/1294.jpg and the label sheet at the top (CAS(ME)³)",
    find_scans=find_casme3,
    classes=CLASSES,
    whole=Whole(subjects=None, sequences=860, scans=None, source="verified on files"),
    is_depth=True,
    protocols=(micro_expression_protocol("casme3"),),
)
