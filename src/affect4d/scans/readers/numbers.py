"""Lists of numbers, parsed in bulk: the checked face of :mod:`affect4d.scans.readers.scanner`."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from affect4d.scans.readers.scanner import COMMENT, IN_LISTS, NO_WIDTH, NO_WORD, lines_from, numbers_from, wholes_from
from affect4d.scans.scan import ScanError

Scan = Callable[[np.ndarray, int, np.ndarray, int], tuple[int, int]]
"""Text, where to begin, array to fill, how many are in it → how many are in it, where it stopped."""
MAX_COMMENTS = 100_000
_BREAK = re.compile(rb"[\r\n]")
_NOT_FINITE = re.compile(rb"[+-]?(nan|inf|infinity|\d+\.?#\w+)", re.IGNORECASE)
_WHOLE = re.compile(rb"[+-]?\d+")
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_STOPS = b" ,\t\r\n\v\f/]}\0#"


def as_text(raw: bytes | bytearray) -> np.ndarray:
    """The bytes as an array, ``uint8`` [bytes]; nothing is copied."""
    return np.frombuffer(raw, dtype=np.uint8)


def floats_between(raw: bytes, start: int, end: int, path: Path) -> np.ndarray:
    """Numbers of a list inside a text, apart by blanks, commas or line breaks; ``#`` starts a comment.

    Args:
        raw: The text.
        start: Where the list starts.
        end: Where it ends: the place of a ``]`` or a 0 byte.
        path: The file, for the error.

    Returns:
        ``float32`` [numbers]; too large ones are infinite.

    Raises:
        ScanError: If something in it is not a number; it names the byte.
    """
    return _parse(_floats, raw, start, end, np.empty((end - start) // 2 + 1, np.float32), path)


def number_lines(raw: bytes, start: int, path: Path, comments: bool) -> tuple[np.ndarray, np.ndarray]:
    """Lines of numbers apart by blanks, from a place in a text to its end.

    Args:
        raw: The text, of :func:`whole_lines`.
        start: Where the first line starts.
        path: The file, for the error.
        comments: Whether ``#`` starts a comment.

    Returns:
        ``float64`` [numbers], too large ones infinite, and ``int64`` [lines]: how many there are up to each line's end.

    Raises:
        ScanError: If something in it is not a number; it names the byte.
    """
    numbers = np.empty((len(raw) - start) // 2 + 1, np.float64)
    ends = np.empty(len(numbers), np.int64)
    lines, at = lines_from(as_text(raw), start, comments, numbers, ends)
    if at < len(raw):
        raise explain(raw, at, path)
    ends.resize(lines, refcheck=False)
    numbers.resize(int(ends[-1]) if lines else 0, refcheck=False)
    return numbers, ends


def wholes_between(raw: bytes, start: int, end: int, path: Path) -> np.ndarray:
    """As :func:`floats_between`, for whole numbers of up to 31 bits: ``int32`` [numbers]."""
    return _parse(_wholes, raw, start, end, np.empty((end - start) // 2 + 1, np.int32), path)


def _floats(text: np.ndarray, start: int, numbers: np.ndarray, filled: int) -> tuple[int, int]:
    return numbers_from(text, start, IN_LISTS, numbers, filled, NO_WORD, NO_WIDTH)[:2]


def _wholes(text: np.ndarray, start: int, numbers: np.ndarray, filled: int) -> tuple[int, int]:
    return wholes_from(text, start, IN_LISTS, numbers, filled)


def _parse(scan: Scan, raw: bytes, start: int, end: int, numbers: np.ndarray, path: Path) -> np.ndarray:
    """A list needs at most every second byte for a number, so that the array is never full; it shrinks at the end."""
    text, filled, at = as_text(raw), 0, start
    for _ in range(MAX_COMMENTS):
        filled, at = scan(text, at, numbers, filled)
        if at < end and text[at] == COMMENT:
            at = end_of_line(raw, at, end)
        if at >= end:
            numbers.resize(filled, refcheck=False)
            return numbers
        if not IN_LISTS[text[at]]:
            raise explain(raw, at, path, whole=scan is _wholes)
    raise ScanError("too-complex", path, f"more than {MAX_COMMENTS} comments in one list", f"byte {start}")


def whole_lines(raw: bytes) -> bytes:
    """A text with a line feed in every line break and at its end."""
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    return raw if raw.endswith(b"\n") else raw + b"\n"


def line_of(raw: bytes, at: int) -> str:
    """The line of a place, for errors."""
    line = raw.count(b"\n", 0, at) + 1
    return f"line {line}"


def end_of_line(raw: bytes, start: int, end: int) -> int:
    """Where the line around a place ends."""
    found = _BREAK.search(raw, start, end)
    return found.start() if found else end


def explain(raw: bytes, at: int, path: Path, whole: bool = False) -> ScanError:
    """Why there is no (whole) number at a place in a text, as an error that names its word and its byte."""
    start = at
    while start > 0 and at - start < 400 and raw[start - 1] not in _STOPS:
        start -= 1
    end = start
    while end < len(raw) and end - start < 400 and raw[end] not in _STOPS:
        end += 1
    word, place = raw[start : max(end, start + 1)], f"byte {start}"  # a stop by itself is shown, too
    shown = word[:40].decode("ascii", "replace")
    if _NOT_FINITE.fullmatch(word):
        return ScanError("not-finite", path, f"{shown!r} is not a finite number", place)
    if whole and (_WHOLE.fullmatch(word) or _NUMBER.fullmatch(word)):
        return ScanError("index-out-of-range", path, f"{shown!r} is no index", place)
    return ScanError("malformed-number", path, f"{shown!r} is not a number", place)
