"""Predictions and the tables they become."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

SEPARATOR = " | "
CHUNK = 2_000  # rows that are held as dictionaries before they become a table, which takes a tenth of the memory
TEXTS = ("recording", "file", "subject", "model", "expression", "nearest_prompts", "status", "code", "reason")
INTEGERS = ("onset", "apex", "offset")


@dataclass(frozen=True, slots=True)
class FramePrediction:
    """Prediction for one scan."""

    file: str  # its path; empty for a scan in memory
    frame: int
    status: str  # "ok", "repaired" (usable, with a remark) or "refused"
    code: str  # short word for the defect; empty where there is none
    reason: str
    expression: str | None
    probabilities: Mapping[str, float]  # empty of a refused scan
    in_window: bool  # whether the frame counts for its sequence
    activity: float  # movement since the neutral frame, 0…1
    action_units: Mapping[str, float] | None = None  # strengths, as of a prediction


@dataclass(frozen=True, slots=True)
class Prediction:
    """Prediction for a recording: a single scan, or a sequence."""

    model: str
    name: str
    subject: str | None
    expression: str | None  # the most probable; None where no scan was usable
    probabilities: Mapping[str, float]
    calibrated: bool
    nearest_prompts: tuple[tuple[str, float], ...]  # prompts with the largest cosines
    view_weights: Mapping[str, float]
    status: str
    code: str
    reason: str
    frames: tuple[FramePrediction, ...]  # one a scan, refused ones too, in order
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    action_units: Mapping[str, float] | None = None
    """Strength, 0…1, of every action unit by name (``AU12_l``: the subject's left lip corner), the mean over the frames
    in the window; None where the model gives none, or no scan was usable."""
    action_unit_errors: Mapping[str, float] | None = None  # expected error of each: one standard deviation

    @property
    def usable_frames(self) -> tuple[FramePrediction, ...]:
        """Frames that were not refused, in order."""
        return tuple(frame for frame in self.frames if frame.status != "refused")

    @property
    def file(self) -> str:
        """Path of the scan, or of the folder of a sequence; empty for scans in memory."""
        first = self.frames[0].file
        return first if len(self.frames) == 1 or not first else str(Path(first).parent)

    def row(self) -> dict[str, Any]:
        """Row of the predictions table; docs/predict.md describes its columns."""
        return {
            "recording": self.name,
            "file": self.file,
            "subject": self.subject,
            "model": self.model,
            "expression": self.expression,
            **{f"prob_{name}": probability for name, probability in self.probabilities.items()},
            **(self.action_units or {}),
            "calibrated": self.calibrated,
            "nearest_prompts": SEPARATOR.join(text for text, _ in self.nearest_prompts),
            **{f"weight_{view}": weight for view, weight in self.view_weights.items()},
            "frames": len(self.frames),
            "usable": len(self.usable_frames),
            "onset": self.onset,
            "apex": self.apex,
            "offset": self.offset,
            "status": self.status,
            "code": self.code,
            "reason": self.reason,
        }

    def frame_rows(self) -> Iterator[dict[str, Any]]:
        """Rows of the timelines table, one a scan."""
        for frame in self.frames:
            yield {
                "recording": self.name,
                "file": frame.file,
                "subject": self.subject,
                "frame": frame.frame,
                "model": self.model,
                "expression": frame.expression,
                **{f"prob_{name}": probability for name, probability in frame.probabilities.items()},
                **(frame.action_units or {}),
                "activity": frame.activity,
                "in_window": frame.in_window,
                "status": frame.status,
                "code": frame.code,
                "reason": frame.reason,
            }

    def table(self) -> pd.DataFrame:
        """The recording as a table of one row."""
        return pd.DataFrame([self.row()])

    def timeline(self) -> pd.DataFrame:
        """One row a scan, in order of frame."""
        return pd.DataFrame(list(self.frame_rows()))

    def __str__(self) -> str:
        falling = sorted(self.probabilities.items(), key=lambda item: -item[1])
        listed = ", ".join(f"{name} {probability:.0%}" for name, probability in falling)
        remark = f"; {self.reason}" if listed and self.reason else ""
        return f"{self.name}: {self.expression or self.status} ({listed or self.reason}) by {self.model}{remark}"


def table_columns(
    expressions: Sequence[str], views: Sequence[str], action_units: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Columns of predictions and timelines, whatever was refused."""
    numbers, units = dict.fromkeys(expressions, 0.0), dict.fromkeys(action_units, 0.0)
    frame = FramePrediction("", 0, "", "", "", None, numbers, False, 0.0, units)
    weights = dict.fromkeys(views, 0.0)
    example = Prediction("", "", None, None, numbers, False, (), weights, "", "", "", (frame,), action_units=units)
    return list(example.row()), list(next(example.frame_rows()))


class ResultTables:
    """Collects predictions into two tables with all columns, whatever was refused; small in memory."""

    def __init__(self, expressions: Sequence[str], views: Sequence[str], action_units: Sequence[str] = ()) -> None:
        self._columns = table_columns(expressions, views, action_units)
        self._rows: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
        self._parts: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])

    def add(self, prediction: Prediction) -> None:
        """Append one prediction."""
        self._rows[0].append(prediction.row())
        self._rows[1].extend(prediction.frame_rows())
        if len(self._rows[1]) >= CHUNK:
            self._pack()

    def tables(self, by_name: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Predictions and timelines; sorted by name and frame, or in the order of their addition."""
        self._pack()
        predictions, timelines = (pd.concat(parts, ignore_index=True) for parts in self._parts)
        if not by_name:
            return predictions, timelines
        return (
            predictions.sort_values("recording", kind="stable", ignore_index=True),
            timelines.sort_values(["recording", "frame"], kind="stable", ignore_index=True),
        )

    def _pack(self) -> None:
        for rows, parts, columns in zip(self._rows, self._parts, self._columns, strict=True):
            if rows or not parts:  # an empty table has other column types, and would change those of the whole
                parts.append(_typed(rows, columns))
            rows.clear()


def _typed(rows: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    kinds: dict[str, Any] = {name: "float64" for name in columns if name.startswith(("prob_", "weight_", "AU"))}
    kinds |= {name: "str" for name in TEXTS if name in columns}
    kinds |= {name: "Int64" for name in INTEGERS if name in columns}
    return pd.DataFrame(rows, columns=list(columns)).astype(kinds)
