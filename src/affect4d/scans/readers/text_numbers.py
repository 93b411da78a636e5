"""Numbers in text: compiled loops over bytes, and the checked functions that every text format calls.

A general CSV parser spends its time on what these files do not have (columns, quotes, missing values); a loop over
bytes that handles only numbers and separators is about three times as fast (docs/decisions/0006).

The loops need no end checks: **the text ends with a byte that is neither part of a number nor a separator** (``]``, 0,
or, where lines matter, a line break). Every loop stops there at the latest.

A number is the ``float64`` nearest to its decimal form where that has up to 15 digits and no exponent, and within 2
units in the last place elsewhere. As ``float32`` it is therefore correctly rounded, except for decimals within 10⁻¹⁵
(relative) of the middle between two.
"""

import re
from pathlib import Path

import numpy as np

from affect4d.jit import Number, compiled
from affect4d.scans.scan import ScanError


def _table(marks: bytes) -> np.ndarray:
    return np.isin(np.arange(256), list(marks))


IN_LISTS = _table(b", \t\r\n")  # bytes between the numbers of a list
IN_LINES = _table(b" \t\r\v\f")
"""Bytes between the words of a line."""
LINE_BREAK = 10
NO_WORD, NO_WIDTH = np.zeros(2, dtype=np.uint8), -1
"""Where no line break is passed over."""
COMMENT = 35
_POWERS = np.array([float(f"1e{power}") for power in range(309)])
_ZERO, _ONE, _TEN = np.uint64(0), np.uint64(1), np.uint64(10)
_EXACT_DIGITS, _ENOUGH = np.uint64(15), np.uint64(10**18)
_MINUS, _PLUS, _POINT, _EXPONENT = 45, 43, 46, 101
MAX_WHOLE = np.uint64(2**31 - 1)
MAX_COMMENTS = 100_000
_BREAK = re.compile(rb"[\r\n]")
_NOT_FINITE = re.compile(rb"[+-]?(nan|inf|infinity|\d+\.?#\w+)", re.IGNORECASE)
_WHOLE = re.compile(rb"[+-]?\d+")
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_STOPS = b" ,\t\r\n\v\f/]}\0#"


def as_array(raw: bytes) -> np.ndarray:
    """The bytes as ``uint8`` [bytes]; nothing is copied."""
    return np.frombuffer(raw, dtype=np.uint8)


def parse_list(raw: bytes, start: int, end: int, kind: type[np.float32 | np.int32], path: Path) -> np.ndarray:
    """Numbers of a list inside a text, separated by blanks, commas or line breaks; ``#`` starts a comment.

    The list ends with a ``]`` or a 0 byte. Too large ``float32`` become infinite. Refused: anything else in it.
    """
    text, filled, at = as_array(raw), 0, start
    numbers = np.empty((end - start) // 2 + 1, kind)  # a number takes two bytes, so that it is never full
    for _ in range(MAX_COMMENTS):
        if kind is np.float32:
            filled, at, _ = numbers_from(text, at, IN_LISTS, numbers, filled, NO_WORD, NO_WIDTH)
        else:
            filled, at = wholes_from(text, at, IN_LISTS, numbers, filled)
        if at < end and text[at] == COMMENT:
            at = end_of_line(raw, at, end)
        if at >= end:
            numbers.resize(filled, refcheck=False)
            return numbers
        if not IN_LISTS[text[at]]:
            raise number_error(raw, at, path, whole=kind is np.int32)
    raise ScanError("too-complex", path, f"more than {MAX_COMMENTS} comments in one list", f"byte {start}")


def parse_lines(raw: bytes, start: int, path: Path, comments: bool) -> tuple[np.ndarray, np.ndarray]:
    """Numbers on the lines from ``start`` on, too large ones infinite, and how many there are up to each line's end."""
    numbers = np.empty((len(raw) - start) // 2 + 1, np.float64)
    ends = np.empty(len(numbers), np.int64)
    lines, at = lines_from(as_array(raw), start, comments, numbers, ends)
    if at < len(raw):
        raise number_error(raw, at, path)
    ends.resize(lines, refcheck=False)
    numbers.resize(int(ends[-1]) if lines else 0, refcheck=False)
    return numbers, ends


def unix_lines(raw: bytes) -> bytes:
    """The text with a line feed in every line break and at its end."""
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    return raw if raw.endswith(b"\n") else raw + b"\n"


def line_number(raw: bytes, at: int) -> str:
    """The line of a byte, for errors."""
    line = raw.count(b"\n", 0, at) + 1
    return f"line {line}"


def end_of_line(raw: bytes, start: int, end: int) -> int:
    """Index of the next line break, or ``end``."""
    found = _BREAK.search(raw, start, end)
    return found.start() if found else end


def number_error(raw: bytes, at: int, path: Path, whole: bool = False) -> ScanError:
    """The error for a place that holds no (whole) number; it names the word and its byte."""
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


@compiled
def _digit(text: np.ndarray, at: Number) -> Number:
    """The digit at a place; above 9 where there is none."""
    return np.uint8(text[at] - np.uint8(48))


@compiled
def numbers_from(
    text: np.ndarray, start: int, between: np.ndarray, numbers: np.ndarray, filled: int, word: np.ndarray, width: int
) -> tuple[Number, Number, Number]:
    """Read numbers until something else comes, or the array is full.

    Args:
        between: 256 flags, the separators: ``IN_LISTS`` or ``IN_LINES``.
        word: For lines, the two bytes every line starts with, the second 0 in a word of one letter: a line break is
            passed over where ``width`` numbers stand on the line and the next line starts with the word and a blank.

    Returns:
        Numbers in it now; the byte where reading stopped: after separators, or right after a number that none follows;
        and, for lines, how many there would be if the line it stopped on held ``width`` of them.
    """
    at = np.uint64(start)
    letters = np.uint64(1) + np.uint64(word[1] != 0)
    due = filled + width
    while True:
        while between[text[at]]:
            at += _ONE
        if text[at] == LINE_BREAK and filled == due and at + np.uint64(4) < np.uint64(len(text)):
            after = at + letters
            if text[at + _ONE] == word[0] and (word[1] == 0 or text[after] == word[1]) and between[text[after + _ONE]]:
                due += width
                at = after + _ONE
                continue
        if filled == len(numbers):
            return filled, np.int64(at), due
        token = at
        negative = text[at] == _MINUS
        at += np.uint64(negative | (text[at] == _PLUS))
        mantissa, fraction = _ZERO, _ZERO
        first = at
        digit = _digit(text, at)
        while digit <= 9:
            mantissa = mantissa * _TEN + np.uint64(digit)
            at += _ONE
            digit = _digit(text, at)
        digits = at - first
        if text[at] == _POINT:
            at += _ONE
            first = at
            digit = _digit(text, at)
            while digit <= 9:
                mantissa = mantissa * _TEN + np.uint64(digit)
                at += _ONE
                digit = _digit(text, at)
            fraction = at - first
            digits += fraction
        if digits == _ZERO:
            return filled, np.int64(token), due
        if digits > _EXACT_DIGITS or (text[at] | np.uint8(32)) == _EXPONENT:
            size, at = _long_number(text, token, at)
        else:
            size = np.float64(np.int64(mantissa)) / _POWERS[fraction]
        numbers[filled] = -size if negative else size
        filled += 1
        if not between[text[at]] and text[at] != LINE_BREAK:
            return filled, np.int64(at), due


@compiled
def wholes_from(
    text: np.ndarray, start: int, between: np.ndarray, numbers: np.ndarray, filled: int
) -> tuple[Number, Number]:
    """As :func:`numbers_from` for lists, of whole numbers of up to 31 bits, into ``int32``."""
    at = np.uint64(start)
    while True:
        while between[text[at]]:
            at += _ONE
        if filled == len(numbers):
            return filled, np.int64(at)
        token = at
        negative = text[at] == _MINUS
        at += np.uint64(negative | (text[at] == _PLUS))
        size = _ZERO
        first = at
        digit = _digit(text, at)
        while digit <= 9:
            size = size * _TEN + np.uint64(digit)
            at += _ONE
            digit = _digit(text, at)
        if at == first or at - first > _TEN or size > MAX_WHOLE:
            return filled, np.int64(token)
        numbers[filled] = -np.int64(size) if negative else np.int64(size)
        filled += 1
        if not between[text[at]]:
            return filled, np.int64(at)


@compiled
def _long_number(text: np.ndarray, start: Number, end: Number) -> tuple[Number, Number]:
    """Magnitude and end of a number of many digits, or with an exponent; ``end`` is the end of its digits."""
    mantissa = _ZERO
    exponent = np.int64(0)
    seen_point = False
    for place in range(np.int64(start), np.int64(end)):
        digit = _digit(text, np.uint64(place))
        if text[place] == _POINT:
            seen_point = True
        elif digit <= 9:
            kept = mantissa < _ENOUGH
            if kept:
                mantissa = mantissa * _TEN + np.uint64(digit)
            exponent += np.int64(not kept) - np.int64(seen_point)
    power, stop = _power_of_ten(text, end)
    return _scaled(mantissa, exponent + power), stop


@compiled
def _power_of_ten(text: np.ndarray, start: Number) -> tuple[Number, Number]:
    """The exponent that is written at a place, and where it ends; 0 and the place itself where none is."""
    if (text[start] | np.uint8(32)) != _EXPONENT:
        return np.int64(0), start
    at = start + _ONE
    negative = text[at] == _MINUS
    at += np.uint64(negative | (text[at] == _PLUS))
    first = at
    power = np.int64(0)
    digit = _digit(text, at)
    while digit <= 9:
        power = min(power * 10 + np.int64(digit), np.int64(10**11))
        at += _ONE
        digit = _digit(text, at)
    if at == first:
        return np.int64(0), start
    return (-power if negative else power), at


@compiled
def _scaled(mantissa: Number, exponent: Number) -> Number:
    """A whole number times a power of ten; infinite or 0 where that is too large or too small."""
    size = np.float64(mantissa)
    if mantissa == _ZERO or exponent == 0:
        return size
    if exponent > 0:
        size *= _POWERS[min(exponent, 308)]
        return size * _POWERS[min(max(exponent - 308, 0), 308)]
    size /= _POWERS[min(-exponent, 308)]
    return size / _POWERS[min(max(-exponent - 308, 0), 308)]


@compiled
def lines_from(
    text: np.ndarray, start: int, comments: bool, numbers: np.ndarray, ends: np.ndarray
) -> tuple[Number, Number]:
    """Read lines of numbers, empty ones left out; returns their number and the byte where reading stopped."""
    at, filled, lines = start, 0, 0
    while at < len(text):
        before = filled
        filled, at, _ = numbers_from(text, at, IN_LINES, numbers, filled, NO_WORD, NO_WIDTH)
        if comments and text[at] == COMMENT:
            while text[at] != LINE_BREAK:
                at += 1
        if text[at] != LINE_BREAK:
            return lines, at
        if filled > before:
            ends[lines] = filled
            lines += 1
        at += 1
    return lines, at
