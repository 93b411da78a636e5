"""The two tables that ingest writes, the scan manifest and the ingest report, and summaries of the report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
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
        **{name: _text(nullable=True) for name in ("texture", "landmark_file")},
        **{name: _text(nullable=True) for name in ("gender", "age_group", "skin_tone", "ethnicity", "label")},
        "level": _whole_number(Check.in_range(0, 4)),
        "task": _text(nullable=True),
        "actions": _text(nullable=True),
        **{name: _whole_number(Check.ge(0)) for name in ("onset", "apex", "offset")},
        "status": _text(check=Check.isin(("ok", "repaired"))),
        "reason": _text(),
        "vertices": Column("int64", Check.ge(3)),
        "faces": Column("int64", Check.ge(1)),
        "checksum": _text(),
        "pose": Column(object, _lists_of(POSE_LENGTH, finite=True)),
        "landmarks": Column(object, _lists_of(LANDMARK_LENGTH, finite=False), nullable=True),
        "landmark_source": _text(nullable=True, check=Check.isin(("given", "found"))),
        "landmark_uncertainty": Column("float64", Check.gt(0), nullable=True),
        "confidence": Column("float64", Check.in_range(0, 1)),
        "crop_radius": Column("float64", Check.gt(0)),
    },
    strict=True,
    ordered=True,
    unique=["sequence", "frame"],
    name="scan manifest",
)
"""What a corpus declares of a scan, each null where it does not:

- ``expression``: one of the six; null for everything else (neutral, poses, startle, micro-expression classes).
- ``label``: the class in the corpus's own vocabulary, lower case; several are joined by ``+`` (``negative+surprise``).
- ``level``: intensity 1 to 4, 0 for neutral (BU-3DFE).
- ``task``: what the subject was given to do, in the corpus's own code (BP4D ``T1``; Bosphorus ``LFAU``).
- ``actions``: FACS actions coded as shown, ``AU4+AU12``; empty where coded and none shown.
- ``onset``, ``apex``, ``offset``: frames of the labelled movement, the same on every row of a sequence.

``vertices`` and ``faces`` count what is left after the crop; ``pose`` is row-major, raw to canonical;
``landmarks`` are 83 canonical points in mm, NaN where not tracked; ``landmark_source`` is ``given`` by a file or
``found`` by :mod:`affect4d.scans.alignment.landmark_network`; ``landmark_uncertainty`` is the median expected error of
found ones, mm; ``checksum`` covers the bytes of scan, texture (one that only the scan itself names, too) and landmarks;
``crop_radius`` (mm, round the nose tip) is the crop that every later reading applies again."""


def pose_in(row: Any) -> Pose:
    """The 4 by 4 pose of a manifest row."""
    return np.asarray(row["pose"], dtype=np.float64).reshape(4, 4)


def landmarks_in(row: Any) -> Landmarks | None:
    """The canonical landmarks [83, 3] of a manifest row; None where it has none."""
    if row["landmarks"] is None:
        return None
    return np.asarray(row["landmarks"], dtype=np.float32).reshape(LANDMARK_COUNT, 3)


REPORT_COLUMNS: Mapping[str, str] = {
    "scan": "str",
    "sequence": "str",
    "subject": "str",
    "expression": "str",
    "label": "str",
    "frame": "Int64",
    "status": "str",
    "code": "str",
    "reason": "str",
    "method": "str",
    "confidence": "float64",
    "residual": "float64",
    "seen": "float64",
    "unit": "str",
    "turned": "float64",
    "landmark_source": "str",
    "landmark_uncertainty": "float64",
    "spikes": "Int64",
    "bridges": "Int64",
    "debris": "Int64",
    "raw_vertices": "Int64",
    "vertices": "Int64",
    "faces": "Int64",
    "texture_size": "str",
}
"""One row a scan, with the outcome of every step; what a refused scan never reached is null.

- ``expression``: one of the six; ``label``: the class in the corpus's own vocabulary, ``neutral`` among them.
- ``status``: ``ok``, ``repaired`` or ``refused``; ``code``: the most serious reason; ``reason``: all, in words.
- orientation: ``unit`` it was measured in; ``turned``: degrees between its own frame and the canonical one.
- alignment: ``method``, by given landmarks, detection, tracking of a detected frame, or shape; ``residual`` in mm;
  ``confidence``, 0 to 1, that unit, orientation and pose are right.
- landmarks: ``landmark_source``, ``given`` or ``found``; ``landmark_uncertainty``, expected error of found ones, mm.
- ``seen``: share of a mean face that is there; what is missing are holes.
- repair: ``spikes`` pressed down, ``bridges`` cut, ``debris`` (loose pieces) dropped.
- ``raw_vertices`` as read; ``vertices`` and ``faces`` after crop and repair; ``texture_size`` in pixels.
"""

REMEDIES: Mapping[str, str] = {
    "mirrored": "See the preview: if the face is mirrored, mirror the scans; else exchange the landmarks' sides.",
    "turned": "Nothing to do if the preview shows the face upright; the pose is kept with every scan.",
    "low-confidence": "Look at the preview. Landmarks beside the scans settle it.",
    "incomplete": "Leave these scans out where whole faces are needed: large turns, hands, hair and holes.",
    "size": "If these are not children or giants, the corpus has another unit: scale its scans to millimetres.",
    "scaled": "Nothing to do if the unit is right.",
    "landmarks": "Check that the landmark files belong to these scans and use the corpus's own order.",
    "repaired": "Nothing to do; the repairs are listed with each scan.",
    "not-a-face": "Look at it in a viewer: it may be another object, in another unit, or only part of a face.",
    "worker-lost": "Its process died, mostly for want of memory: run again with fewer workers.",
    "failed": "An error nobody foresaw: run again; if it stays so, report it with the words beside it.",
    "empty-crop": "Raise ingest.crop_radius, or give landmarks: the pose puts the face beside the crop.",
    "unreadable": "Check the file's rights and the disk, then run again.",
}
"""Remedy for a code; for others, the reader's message names the defect of the file."""
OTHERWISE = "Get the file again from the corpus; if every scan has this, check the layout and the format."
EXAMPLES = 3
BETWEEN_NOTES = "; "
"""Separator of the findings and repairs of one scan in its ``reason``."""
MOST_NOTES = 12  # how many different notes of one code are listed; the rest are in the report's rows
DOUBTFUL = ("mirrored", "turned", "low-confidence", "incomplete", "size", "scaled")  # codes of poses to inspect
UNLABELLED = "unlabelled"


def ingest_report(rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """One row a scan, columns and types of :data:`REPORT_COLUMNS`."""
    given = rows if isinstance(rows, pd.DataFrame) else list(rows)
    return pd.DataFrame(given, columns=list(REPORT_COLUMNS)).astype(dict(REPORT_COLUMNS))


def reasons_table(report: pd.DataFrame) -> pd.DataFrame:
    """Refused and repaired scans by code: their ``share`` of all, and ``notes``, each kind of reason with its count."""
    notable = report[report["status"] != "ok"]
    rows = [
        {
            "status": status,
            "code": code,
            "scans": len(scans),
            "share": len(scans) / len(report),
            "notes": _notes(scans),
            "examples": tuple(scans["scan"].head(EXAMPLES)),
            "remedy": REMEDIES.get(str(code), OTHERWISE),
        }
        for (status, code), scans in notable.groupby(["status", "code"])
    ]
    columns = ["status", "code", "scans", "share", "notes", "examples", "remedy"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["status", "scans"], key=_refused_first, ascending=False, ignore_index=True, kind="stable")


def _notes(scans: pd.DataFrame) -> tuple[tuple[str, int], ...]:
    """Notes of some scans and how many scans have them; those that differ in numbers alone are one kind."""
    notes = scans["reason"].str.split(BETWEEN_NOTES).explode()
    kinds = notes.groupby(notes.str.replace(r"\d[\d.,]*", "#", regex=True), sort=False)
    counted = [(str(kind.iloc[0]), kind.index.nunique()) for _, kind in kinds]
    return tuple(sorted(counted, key=lambda note: -note[1])[:MOST_NOTES])


def _refused_first(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column == "refused" if column.name == "status" else column


def scans_to_inspect(report: pd.DataFrame, most: int) -> pd.DataFrame:
    """Usable scans to inspect, one a sequence: at most half turned, mirrored or unsure, the rest spread evenly."""
    usable = report[report["status"] != "refused"]
    usable = usable.assign(plain=~usable["code"].isin(DOUBTFUL)).sort_values(["plain", "confidence"], kind="stable")
    usable = usable.drop(columns="plain")
    doubtful = usable.drop_duplicates("sequence").head(-(-most // 2))
    others = usable[~usable["sequence"].isin(doubtful["sequence"])].drop_duplicates("sequence")
    others = others.sort_values(["subject", "sequence"])
    places = [round(place * (len(others) - 1) / max(most // 2 - 1, 1)) for place in range(min(most // 2, len(others)))]
    return pd.concat([doubtful, others.iloc[places]])


def expressions_table(report: pd.DataFrame) -> pd.DataFrame:
    """Subjects, sequences, scans and refused scans of every expression, and of every label that is none of the six."""
    named = report.assign(expression=_classes(report), refused=report["status"] == "refused")
    groups = named.groupby("expression")
    return groups.agg(
        subjects=("subject", "nunique"),
        sequences=("sequence", "nunique"),
        scans=("scan", "size"),
        refused=("refused", "sum"),
    ).reset_index()


def counts_table(report: pd.DataFrame) -> pd.DataFrame:
    """Scans of every subject (rows) and expression (columns), or other label; ``unlabelled`` where there is none."""
    return pd.crosstab(report["subject"], _classes(report))


def _classes(report: pd.DataFrame) -> "pd.Series[str]":
    return report["expression"].fillna(report["label"]).fillna(UNLABELLED).rename("expression")


def quantile_table(report: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Least, 5 %, median, 95 % and largest value of some columns, over the usable scans."""
    usable = report[report["status"] != "refused"].astype(dict.fromkeys(columns, "float64"))
    marks = {"least": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}
    return pd.DataFrame(
        [{"what": name, **{mark: usable[name].quantile(share) for mark, share in marks.items()}} for name in columns]
    )
