"""BU-4DFE: ``F001/Angry/000.wrl`` with ``000.jpg``, landmarks in ``BU4DFE_BND_V1.1/F001/Angry/000.bnd``.

101 subjects show six expressions once each, at 25 frames a second, neutral → apex → neutral in about 4 s. Names are as
in public reader code; frames count from 000, and how many there are varies. Folders of other names (the viewer's,
landmarks) are passed over. The gender of a subject is that of ``subjects.csv``, else the one its letter stands for.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from affect4d.scans.corpora.corpus_class_and_scan_table import (
    SIX_OF_60,
    Corpus,
    Protocol,
    Whole,
    find_matching,
    image_beside,
    numbered,
)
from affect4d.scans.expression import EXPRESSIONS, expression_or_none

LANDMARK_FOLDER = "BU4DFE_BND_V1.1"
FOLDERS: Mapping[str, str] = {
    "anger": "Angry",
    "disgust": "Disgust",
    "fear": "Fear",
    "happiness": "Happy",
    "sadness": "Sad",
    "surprise": "Surprise",
}
_SPELLED: Mapping[str, str] = {word.lower(): word for word in FOLDERS.values()}
SUBJECTS = numbered("FM", (58, 43), 3)
_SCAN = re.compile(r"(?P<subject>[FM]\d{3,4})/(?P<word>[^/]+)/(?P<frame>\d{1,9})\.wrl", re.IGNORECASE)


def _row(match: re.Match[str], paths: Mapping[str, str]) -> dict[str, Any]:
    scan, subject, word = match[0], match["subject"], match["word"]
    landmarks = f"{LANDMARK_FOLDER}/{scan[:-4]}.bnd".lower()
    return {
        "sequence": f"{subject.upper()}/{_SPELLED.get(word.lower(), word)}",
        "subject": subject.upper(),
        "expression": expression_or_none(word),
        "frame": int(match["frame"]),
        "scan": scan,
        "texture": image_beside(paths, scan),
        "landmark_file": paths.get(landmarks),
        "gender": subject[0].upper(),
        "label": expression_or_none(word),
    }


BU4DFE = Corpus(
    name="bu4dfe",
    description="F001/Angry/000.wrl with 000.jpg beside it (BU-4DFE)",
    find_scans=partial(find_matching, _SCAN, _row),
    classes=EXPRESSIONS,
    whole=Whole(
        subjects=101,
        sequences=606,
        scans=None,
        source="public reader code; about 100 frames a sequence",
        subject_names=SUBJECTS,
        sequence_names=tuple(f"{subject}/{word}" for subject in SUBJECTS for word in FOLDERS.values()),
    ),
    has_landmarks=True,
    protocols=(
        Protocol("ten_fold_60", "bu4dfe", f"60 subjects, {SIX_OF_60}", subjects=60),
        Protocol("ten_fold_all", "bu4dfe", "all subjects, ten folds, subject-independent"),
    ),
)
