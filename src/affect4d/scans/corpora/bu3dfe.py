"""BU-3DFE: 100 subjects, six expressions at four levels and a neutral face, static.

Names (read in public reader code): ``F0001/F0001_AN01WH_F3D.wrl`` with ``.bnd`` beside it and the image
``F0001_AN01WH_F2D.bmp``; expression AN DI FE HA SA SU NE, level 01 to 04 (00 for NE), ethnicity code, kind F3D (the
cropped face), F2D (its image) or RAW (uncropped, in another pose: passed over, and no landmarks fit it). The image
may be called after F2D or F3D, as .bmp or .png.
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
    numbered,
)
from affect4d.scans.expression import EXPRESSIONS, expression_or_none

CODES: Mapping[str, str] = {name[:2].upper(): name for name in EXPRESSIONS}
NEUTRAL_CODE = "NE"
LEVELS = (1, 2, 3, 4)
ETHNICITIES = ("WH", "AE", "AM", "BL", "IN", "LA")
"""White, East Asian, Middle-Eastern, black, Indian, Hispanic/Latin American (recalled, check against the paper)."""
SUBJECTS = numbered("FM", (56, 44), 4)
STRONG, EXPRESSIVE = Selection(levels=(3, 4)), Selection(levels=LEVELS)
_SCAN = re.compile(
    r"(?:.*/)?(?P<stem>(?P<subject>[FM]\d{4})_(?P<code>[A-Z]{2})(?P<level>\d{2})(?P<ethnicity>[A-Z]{2}))_F3D\.wrl",
    re.IGNORECASE,
)


def sequence_name(subject: str, code: str, level: int) -> str:
    """What a scan is called in the manifest: ``"F0001/AN03"``; the ethnicity is in a column of its own."""
    return f"{subject}/{code}{level:02d}"


def _row(match: re.Match[str], paths: Mapping[str, str]) -> dict[str, Any]:
    """A cropped scan is a sequence of one frame."""
    subject, code, level = match["subject"].upper(), match["code"].upper(), int(match["level"])
    place = PurePosixPath(match[0])
    image = image_beside(paths, str(place.with_name(f"{match['stem']}_F2D.wrl"))) or image_beside(paths, match[0])
    return {
        "sequence": sequence_name(subject, code, level),
        "subject": subject,
        "expression": expression_or_none(code),
        "frame": 0,
        "scan": match[0],
        "texture": image,
        "landmark_file": paths.get(str(place.with_suffix(".bnd")).lower()),
        "gender": subject[0],
        "ethnicity": match["ethnicity"].upper(),
        "label": "neutral" if code == NEUTRAL_CODE else expression_or_none(code),
        "level": level if level in (0, *LEVELS) else None,
    }


def _scans_of(subject: str) -> list[str]:
    shown = [sequence_name(subject, code, level) for code in CODES for level in LEVELS]
    return [*shown, sequence_name(subject, NEUTRAL_CODE, 0)]


BU3DFE = Corpus(
    name="bu3dfe",
    description="F0001/F0001_AN01WH_F3D.wrl with .bnd and F0001_AN01WH_F2D.bmp beside it (BU-3DFE)",
    find_scans=partial(find_matching, _SCAN, _row),
    classes=("neutral", *EXPRESSIONS),
    whole=Whole(
        subjects=100,
        sequences=2_500,
        scans=2_500,
        source="public reader code; the corpus's own description",
        subject_names=SUBJECTS,
        sequence_names=tuple(name for subject in SUBJECTS for name in _scans_of(subject)),
    ),
    has_landmarks=True,
    protocols=(
        Protocol("P1", "bu3dfe", f"60 subjects drawn once, levels 3–4, {SIX_OF_60}", selection=STRONG, subjects=60),
        Protocol(
            "P2",
            "bu3dfe",
            f"60 subjects redrawn each round, levels 3–4, {SIX_OF_60}",
            selection=STRONG,
            subjects=60,
            redrawn=True,
        ),
        Protocol("subset_I", "bu3dfe", f"60 subjects, levels 3–4, {SIX_OF_60}", selection=STRONG, subjects=60),
        Protocol("subset_II", "bu3dfe", f"60 subjects, levels 1–4, {SIX_OF_60}", selection=EXPRESSIVE, subjects=60),
        Protocol("subset_II_all", "bu3dfe", "all 100 subjects, levels 1–4, ten folds", selection=EXPRESSIVE),
    ),
)
