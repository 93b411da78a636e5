"""The scan manifest: one validated row a usable scan; with the raw bytes, all that later stages read of a corpus."""

from typing import Any

import numpy as np
from pandera.pandas import Check, Column, DataFrameSchema

from affect4d.array_types import Landmarks, Pose
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.landmark_names import LANDMARK_COUNT

POSE_LENGTH = 16
LANDMARK_LENGTH = 3 * LANDMARK_COUNT


def _lists_of(length: int, finite: bool) -> Check:
    def holds(value: Any) -> bool:
        return len(value) == length and (not finite or bool(np.isfinite(np.asarray(value, dtype=np.float64)).all()))

    return Check(holds, element_wise=True, error=f"a list of {length} numbers")


def _text(nullable: bool = False, check: Check | None = None) -> Column:
    return Column("str", check, nullable=nullable)


def _whole_number(check: Check) -> Column:
    return Column("Int64", check, nullable=True)


SCAN_MANIFEST = DataFrameSchema(
    {
        "sequence": _text(),
        "subject": _text(),
        "expression": _text(nullable=True, check=Check.isin(EXPRESSIONS)),
        "frame": Column("int64", Check.ge(0)),
        "scan": _text(),
        "texture": _text(nullable=True),
        "landmark_file": _text(nullable=True),
        "gender": _text(nullable=True),
        "age_group": _text(nullable=True),
        "skin_tone": _text(nullable=True),
        "ethnicity": _text(nullable=True),
        "label": _text(nullable=True),
        "level": _whole_number(Check.in_range(0, 4)),
        "task": _text(nullable=True),
        "actions": _text(nullable=True),
        "onset": _whole_number(Check.ge(0)),
        "apex": _whole_number(Check.ge(0)),
        "offset": _whole_number(Check.ge(0)),
        "status": _text(check=Check.isin(("ok", "repaired"))),
        "reason": _text(),
        "vertices": Column("int64", Check.ge(3)),
        "faces": Column("int64", Check.ge(1)),
        "checksum": _text(),
        "pose": Column(object, _lists_of(POSE_LENGTH, finite=True)),
        "landmarks": Column(object, _lists_of(LANDMARK_LENGTH, finite=False), nullable=True),
        "confidence": Column("float64", Check.in_range(0, 1)),
        "crop_radius": Column("float64", Check.gt(0)),
    },
    strict=True,
    ordered=True,
    unique=["sequence", "frame"],
    name="scan manifest",
)
"""What a corpus says of a scan, each null where it does not say:

- ``expression``: one of the six; null for everything else (neutral, poses, startle, micro-expression classes).
- ``label``: the class in the corpus's own vocabulary, lower case; several are joined by ``+`` (``negative+surprise``).
- ``level``: intensity 1 to 4, 0 for neutral (BU-3DFE).
- ``task``: what the subject was given to do, in the corpus's own code (BP4D ``T1``; Bosphorus ``LFAU``).
- ``actions``: FACS actions coded as shown, ``AU4+AU12``; empty where coded and none shown.
- ``onset``, ``apex``, ``offset``: frames of the labelled movement, the same on every row of a sequence.

``vertices`` and ``faces`` count what is left after the crop; ``pose`` is row-major, raw to canonical;
``landmarks`` are 83 canonical points in mm, NaN where not tracked; ``checksum`` covers the bytes of scan, texture (one
that only the scan itself names, too) and landmarks; ``crop_radius`` (mm, round the nose tip) is the crop that every
later reading applies again."""


def pose_in(row: Any) -> Pose:
    """The 4 by 4 pose of a manifest row."""
    return np.asarray(row["pose"], dtype=np.float64).reshape(4, 4)


def landmarks_in(row: Any) -> Landmarks | None:
    """The canonical landmarks [83, 3] of a manifest row; None where it has none."""
    if row["landmarks"] is None:
        return None
    return np.asarray(row["landmarks"], dtype=np.float32).reshape(LANDMARK_COUNT, 3)
