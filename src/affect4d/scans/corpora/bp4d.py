"""BP4D-Spontaneous: 41 subjects in eight tasks, 25 frames a second, actions coded frame by frame.

- Scans ``Sequences(2D+3D)/F001/T1/0000.obj`` with ``.mtl`` and ``.jpg``; numbers have three or four digits, mixed.
- Landmarks ``3DFeatures/…/*.tbnd``; 544 frames have none. The folders between are not published: any that name subject
  and task are taken (``F001/T1/0000.tbnd``, ``F001_T1/0000.tbnd``).
- Actions ``AUCoding/AU_OCC/F001_T1.csv``: column 0 is the frame, column N is AU N, 9 means unknown. **Scan N is row
  N + 1 of the coding** (verified on files); about 20 s of every task are coded.

Names and tasks are from public pages and reader code.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.scans.corpora.corpus_class_and_scan_table import (
    Corpus,
    Protocol,
    Selection,
    Whole,
    image_beside,
    numbered,
    scan_table,
)
from affect4d.scans.corpora.file_patterns_and_label_sheets import (
    MAX_SHEET_BYTES,
    join_actions,
    matching_paths,
    paths_by_name,
)
from affect4d.scans.expression import expression_or_none

TASKS: Mapping[str, str] = {
    "T1": "happiness",
    "T2": "sadness",
    "T3": "startle",
    "T4": "embarrassment",
    "T5": "fear",
    "T6": "pain",
    "T7": "anger",
    "T8": "disgust",
}
"""What each task is meant to call forth. Startle, embarrassment and pain are none of the six expressions."""
SCAN_FOLDER, LANDMARK_FOLDER, CODING_FOLDER = "Sequences(2D+3D)", "3DFeatures", "AUCoding/AU_OCC"
FRAME_SHIFT = 1
"""Scan N is frame N + 1 of the action coding."""
UNKNOWN = 9
SUBJECTS = numbered("FM", (23, 18), 3)  # 23 women and 18 men (recalled, check against the paper)

_PLACE = r"(?:.*/)?(?P<subject>[FM]\d{3,})[/_](?P<task>T\d{1,2})"
_SCAN = re.compile(_PLACE + r"/(?P<frame>\d{1,9})\.obj", re.IGNORECASE)
_LANDMARKS = re.compile(_PLACE + r"[/_](?:.*?)(?P<frame>\d{1,9})\.tbnd", re.IGNORECASE)
_CODING = re.compile(r"(?:.*/)?AU_OCC/(?P<subject>[FM]\d{3,})_(?P<task>T\d{1,2})\.csv", re.IGNORECASE)
Key = tuple[str, str, int]


def find_bp4d(root: Path) -> pd.DataFrame:
    """Scans of a BP4D folder by name, with the actions coded for their frames; numbers may be padded in any way."""
    paths = paths_by_name(root)
    landmarks = {_key(match): match[0] for match in matching_paths(_LANDMARKS, paths)}
    coding: dict[Key, str] = {}
    for match in matching_paths(_CODING, paths):
        subject, task = match["subject"].upper(), match["task"].upper()
        shown = actions_shown(read_occurrence(root / match[0]))
        coding |= {(subject, task, int(frame) - FRAME_SHIFT): actions for frame, actions in shown.items()}
    return scan_table([_row(match, paths, landmarks, coding) for match in matching_paths(_SCAN, paths)], root)


def read_occurrence(path: Path) -> pd.DataFrame:
    """Frames (rows) and AU numbers (columns): 1 shown, 0 not, NaN unknown; a ValueError if it is no such table."""
    if path.stat().st_size > MAX_SHEET_BYTES:
        raise ValueError(f"{path} is larger than {MAX_SHEET_BYTES} bytes: it is no action coding.")
    try:
        table = pd.read_csv(path, dtype="float32")
        table.columns = table.columns.astype("int64")
        frames = table.loc[:, 0].astype("int64")
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path} is no action coding (column 0: frame; column N: AU N): {error}") from error
    coded = table.drop(columns=0)
    return coded.where(coded.isin((0, 1))).set_axis(frames, axis="index")


def actions_shown(occurrence: pd.DataFrame) -> dict[int, str]:
    """Actions shown in every coded frame, ``AU6+AU12``; a frame of which nothing is known is left out."""
    numbers = occurrence.columns.to_numpy()
    known = occurrence.index[occurrence.notna().any(axis=1)]
    rows = (occurrence.loc[known] == 1).to_numpy()
    texts = [join_actions((int(number), "", False) for number in numbers[row]) for row in rows]
    return dict(zip(known.astype(int), texts, strict=True))


def _key(match: re.Match[str]) -> Key:
    return match["subject"].upper(), match["task"].upper(), int(match["frame"])


def _row(
    match: re.Match[str], paths: Mapping[str, str], landmarks: Mapping[Key, str], coding: Mapping[Key, str]
) -> dict[str, Any]:
    subject, task, frame = _key(match)
    label = TASKS.get(task)
    return {
        "sequence": f"{subject}/{task}",
        "subject": subject,
        "expression": expression_or_none(label),
        "frame": frame,
        "scan": match[0],
        "texture": image_beside(paths, match[0]),
        "landmark_file": landmarks.get((subject, task, frame)),
        "gender": subject[0],
        "label": label,
        "task": task,
        "actions": coding.get((subject, task, frame)),
    }


BP4D = Corpus(
    name="bp4d",
    description="Sequences(2D+3D)/F001/T1/0000.obj with .mtl and .jpg beside it (BP4D-Spontaneous)",
    find_scans=find_bp4d,
    classes=tuple(TASKS.values()),
    whole=Whole(
        subjects=41,
        sequences=328,
        scans=368_036,
        source="published description; subject names recalled",
        subject_names=SUBJECTS,
        sequence_names=tuple(f"{subject}/{task}" for subject in SUBJECTS for task in TASKS),
    ),
    has_landmarks=True,
    protocols=(
        Protocol(
            "cross_dataset",
            "bp4d",
            "trained on BU-4DFE, tested on tasks T1 (happiness) and T8 (disgust)",
            selection=Selection(tasks=("T1", "T8")),
            trained_on="bu4dfe",
            folds=0,
        ),
        Protocol(
            "ten_fold_tasks",
            "bp4d",
            "all eight tasks as classes, ten folds, subject-independent",
            selection=Selection(expressions_only=False),
        ),
    ),
)
