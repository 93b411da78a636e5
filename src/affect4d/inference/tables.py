"""Answers as tables: the columns, in their order, whatever was refused."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from affect4d.inference.reading import Prediction

Rows = list[dict[str, Any]]

AT_ONCE = 2_000
"""Rows that are held as mappings before they become a table, which takes a tenth of the memory."""
BEFORE = ("recording", "file", "subject", "model", "expression")
TEXTS = (*BEFORE, "nearest_prompts", "status", "code", "reason")
NUMBERS = ("onset", "apex", "offset")


def prediction_columns(expressions: Sequence[str], views: Sequence[str]) -> list[str]:
    """Columns of the predictions, one row a recording."""
    shares, weights = (f"prob_{name}" for name in expressions), (f"weight_{view}" for view in views)
    after = ("frames", "usable", *NUMBERS, "status", "code", "reason")
    return [*BEFORE, *shares, "calibrated", "nearest_prompts", *weights, *after]


def timeline_columns(expressions: Sequence[str]) -> list[str]:
    """Columns of the timelines, one row a scan."""
    shares = (f"prob_{name}" for name in expressions)
    before = ("recording", "file", "subject", "frame", "model", "expression")
    return [*before, *shares, "activity", "in_window", "status", "code", "reason"]


class AnswerTables:
    """Collects answers into two tables, small in memory.

    Args:
        expressions: What can be answered.
        views: What is weighed.
    """

    def __init__(self, expressions: Sequence[str], views: Sequence[str]) -> None:
        self._columns = prediction_columns(expressions, views), timeline_columns(expressions)
        self._held: tuple[Rows, Rows] = ([], [])
        self._parts: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])

    def add(self, prediction: Prediction) -> None:
        """Append one answer."""
        self._held[0].append(prediction.row())
        self._held[1].extend(prediction.frame_rows())
        if len(self._held[1]) >= AT_ONCE:
            self._pack()

    def tables(self, by_name: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Predictions, one row a recording; timelines, one row a scan; by name and frame, or as they were added."""
        self._pack()
        predictions, timelines = (pd.concat(parts, ignore_index=True) for parts in self._parts)
        if not by_name:
            return predictions, timelines
        return (
            predictions.sort_values("recording", kind="stable", ignore_index=True),
            timelines.sort_values(["recording", "frame"], kind="stable", ignore_index=True),
        )

    def _pack(self) -> None:
        for rows, parts, columns in zip(self._held, self._parts, self._columns, strict=True):
            if rows or not parts:  # an empty table is not of the columns' types: joined, it would spoil theirs
                parts.append(_typed(rows, columns))
            rows.clear()


def _typed(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=list(columns))
    kinds: dict[str, Any] = {name: "float64" for name in columns if name.startswith(("prob_", "weight_"))}
    kinds |= {name: "str" for name in TEXTS if name in columns}
    kinds |= {name: "Int64" for name in NUMBERS if name in columns}
    return table.astype(kinds)
