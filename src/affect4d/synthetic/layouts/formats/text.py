"""Numbers as text, formatted by arithmetic on whole arrays: one by one they would be most of the cost of a corpus."""

import numpy as np
from jaxtyping import Float, Int, UInt8

Characters = UInt8[np.ndarray, "rows width"]
"""ASCII codes; 0 marks a place that is left out."""


def number_lines(
    rows: Float[np.ndarray, "rows columns"], decimals: int, end: bytes, begin: bytes = b"", between: bytes = b" "
) -> bytes:
    """Rows of numbers as text.

    Args:
        rows: Numbers below 100,000 in size.
        decimals: Digits after the point.
        end: What ends each row.
        begin: What begins each row.
        between: What separates the numbers of a row.
    """
    return _text([_decimal(column, decimals) for column in rows.T], begin, between, end)


def index_lines(
    rows: Int[np.ndarray, "rows columns"], end: bytes, begin: bytes = b"", between: bytes | tuple[bytes, ...] = b", "
) -> bytes:
    """Rows of whole numbers ≥ 0 as text, with one separator, or one of its own after each column but the last."""
    width = len(str(int(rows.max(initial=1))))
    return _text([_whole(column, width, 1) for column in rows.T], begin, between, end)


def _text(columns: list[Characters], begin: bytes, between: bytes | tuple[bytes, ...], end: bytes) -> bytes:
    """Columns side by side, what is left out squeezed out."""
    rows = len(columns[0])
    separators = (between,) * (len(columns) - 1) if isinstance(between, bytes) else between
    parts: list[np.ndarray] = []
    for mark, column in zip((begin, *separators), columns, strict=True):
        parts += [_mark(mark, rows), column]
    characters = np.concatenate([*parts, _mark(end, rows)], axis=1).ravel()
    return bytes(characters[characters != 0])


def _mark(text: bytes, rows: int) -> Characters:
    return np.broadcast_to(np.frombuffer(text, dtype=np.uint8), (rows, len(text)))


def _decimal(values: Float[np.ndarray, " rows"], decimals: int) -> Characters:
    """Sign, digits, point, digits."""
    scaled = np.rint(np.asarray(values, dtype=np.float64) * 10**decimals).astype(np.int64)
    size = np.abs(scaled)
    width = max(len(str(int(size.max(initial=1)))), decimals + 1)
    digits = _whole(size, width, decimals + 1)
    sign = np.where(scaled < 0, ord("-"), 0).astype(np.uint8)[:, None]
    point = np.full((len(size), 1), ord("."), dtype=np.uint8)
    return np.concatenate([sign, digits[:, :-decimals], point, digits[:, -decimals:]], axis=1)


def _whole(values: Int[np.ndarray, " rows"], width: int, least: int) -> Characters:
    """Digits of whole numbers ≥ 0, leading zeros left out but for the last ``least`` digits."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    shifted = values[:, None].astype(np.int64) // powers
    digits = (shifted % 10 + ord("0")).astype(np.uint8)
    digits[(shifted == 0) & (np.arange(width) < width - least)] = 0
    return digits
