"""Numbers in text, compiled: the inner loops of every text format.

A general CSV parser spends its time on what these files do not have (columns, quotes, missing values) and needs the
text rewritten first; a loop over bytes that knows nothing but numbers and what lies between them is about three times
as fast (docs/decisions/0006). Numba compiles it on first use and keeps the machine code beside the module.

What spares the loops their end checks: **the text ends with a byte that is neither part of a number nor between
numbers** (``]``, 0, or, where lines matter, a line break). Every loop stops there at the latest.

A number is the ``float64`` nearest to its decimal form where that has up to 15 digits and no exponent, and within 2
units in the last place elsewhere. As ``float32`` it is therefore correctly rounded, but for decimals within 10⁻¹⁵
(relative) of the middle between two.
"""

import numpy as np

from affect4d.compiled import Number, compiled


def _table(marks: bytes) -> np.ndarray:
    return np.isin(np.arange(256), list(marks))


IN_LISTS = _table(b", \t\r\n")
"""Bytes between the numbers of a list."""
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
        text: Bytes; the last one stops every number.
        start: Where to begin.
        between: 256 flags, the bytes that may stand between numbers: ``IN_LISTS`` or ``IN_LINES``.
        numbers: To fill, ``float32`` or ``float64``.
        filled: How many are in it already.
        word: For lines, the two bytes every line starts with, the second 0 in a word of one letter: a line break is
            passed over where ``width`` numbers stand on the line and the next line starts with the word and a blank.
        width: How many numbers stand on a line.

    Returns:
        How many are in it now; where reading stopped: after separators, or right after a number that none follows; and,
        for lines, how many there would be if the line it stopped on held ``width`` of them.
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
    """Size and end of a number of many digits, or with an exponent; ``end`` is where its digits end."""
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
    """Read lines of numbers; empty ones do not count.

    Args:
        text: Bytes; the last one is a line break.
        start: Where to begin.
        comments: Whether ``#`` starts one.
        numbers: To fill.
        ends: To fill: how many numbers there are up to the end of each line.

    Returns:
        How many lines there are, and where reading stopped: at the end, or at something that is no number.
    """
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
