"""Whitespace- or comma-separated numbers, parsed in bulk.

Every separator is turned into a line break, so that a block of numbers is a table of one column, which Arrow's CSV
reader parses about three times as fast as ``numpy.fromstring`` [ours, measured]. Only a block Arrow refuses is looked
at token by token, to name the place.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from affect4d.scans.scan import ScanError

SEPARATORS = b", \t\r\n"
_BLOCK_BYTES = 4 * 2**20
_TOKEN = re.compile(rb"[^, \t\r\n]+")
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMENT = re.compile(rb"#[^\r\n]*")
_NOT_FINITE = re.compile(rb"[+-]?(nan|inf|infinity|\d+\.?#\w+)", re.IGNORECASE)


def parse_floats(block: bytes, path: Path, offset: int = 0, separators: bytes = SEPARATORS) -> np.ndarray:
    """Numbers of a block as ``float32``.

    Args:
        block: The text; ``#`` starts a comment.
        path: The file, for the error.
        offset: Where the block starts in the file, for the error.
        separators: Bytes between numbers.

    Raises:
        ScanError: If something in it is not a number; it names the byte.
    """
    return _parse(block, path, offset, separators, pa.float32())


def parse_integers(block: bytes, path: Path, offset: int = 0, separators: bytes = SEPARATORS) -> np.ndarray:
    """Whole numbers of a block as ``int32``; arguments and errors as :func:`parse_floats`."""
    return _parse(block, path, offset, separators, pa.int32())


def _parse(block: bytes, path: Path, offset: int, separators: bytes, kind: Any) -> np.ndarray:
    text = blank_comments(block)
    lines = text.translate(bytes.maketrans(separators, b"\n" * len(separators)))
    if not lines or lines.isspace():
        return np.empty(0, dtype=kind.to_pandas_dtype())
    try:
        return _one_column(lines, kind)
    except pa.ArrowException:
        return _token_by_token(lines, path, offset, kind)


def blank_comments(block: bytes) -> bytes:
    """The block with every ``#`` comment blanked, every other byte where it was."""
    return _COMMENT.sub(lambda match: b" " * len(match[0]), block) if b"#" in block else block


def _one_column(lines: bytes, kind: Any) -> np.ndarray:
    table = pyarrow.csv.read_csv(
        pa.BufferReader(lines),
        pyarrow.csv.ReadOptions(use_threads=False, column_names=["number"], block_size=_BLOCK_BYTES),
        pyarrow.csv.ParseOptions(quote_char=False),
        pyarrow.csv.ConvertOptions(column_types={"number": kind}, null_values=[]),
    )
    numbers: np.ndarray = table.column(0).to_numpy()
    return numbers


def _token_by_token(lines: bytes, path: Path, offset: int, kind: Any) -> np.ndarray:
    """The slow, explaining way: numbers Arrow does not know (``+1.5``), or the error with its place."""
    whole = pa.types.is_integer(kind)
    numbers = [_number(match, path, offset, whole) for match in _TOKEN.finditer(lines)]
    with np.errstate(over="ignore"):
        return np.array(numbers, dtype=np.int64 if whole else np.float64).astype(kind.to_pandas_dtype())


def _number(match: re.Match[bytes], path: Path, offset: int, whole: bool) -> float:
    token, place = match[0], f"byte {offset + match.start()}"
    word = token[:40].decode("ascii", "replace")
    if _NOT_FINITE.fullmatch(token):
        raise ScanError("not-finite", path, f"{word!r} is not a finite number", place)
    if len(token) > 400 or not _NUMBER.fullmatch(token):
        raise ScanError("malformed-number", path, f"{word!r} is not a number", place)
    number = float(token)
    if whole and (number != int(min(max(number, -(2.0**31)), 2.0**31 - 1))):
        raise ScanError("index-out-of-range", path, f"{word!r} is no index", place)
    return number
