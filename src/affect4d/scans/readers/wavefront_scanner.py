"""The lines of a Wavefront file, compiled: one pass over its bytes, every line told by its first word.

Numbers are counted line by line and corners one by one, so that one that is missing cannot be made up for by another
line.
"""

import numpy as np

from affect4d.compiled import Number, compiled
from affect4d.scans.readers.scanner import IN_LINES, LINE_BREAK, MAX_WHOLE, NO_WIDTH, numbers_from

POINTS, COORDINATES, CORNERS, POLYGONS, WIDTHS, _, FORM, OUTCOME, COUNTERS = range(9)
"""Places in the array of counters: numbers on all ``v`` lines and on all ``vt`` lines; corners; polygons; from
``WIDTHS`` on, numbers on each ``v`` and each ``vt`` line; the form of the corners; what is wrong."""
DONE, WRONG_COUNT, MALFORMED, MIXED_FORMS, FEW_CORNERS, BAD_INDEX = range(6)
HAS_TEXTURE = 2
"""Forms are sums: 1 for a position, 2 for a texture index, 4 for a normal."""
_V, _T, _N, _F, _SLASH, _HASH, _MINUS, _BACKSLASH, _RETURN, _BLANK = b"vtnf/#-\\\r "
_ZERO, _ONE, _TEN = np.uint64(0), np.uint64(1), np.uint64(10)
_V_LINE, _VT_LINE = np.frombuffer(b"v\0", np.uint8), np.frombuffer(b"vt", np.uint8)


@compiled
def scan_wavefront(
    text: np.ndarray,
    points: np.ndarray,
    coordinates: np.ndarray,
    corners: np.ndarray,
    texture_corners: np.ndarray,
    lengths: np.ndarray,
    counts: np.ndarray,
) -> Number:
    """Read all ``v``, ``vt`` and ``f`` lines.

    Args:
        text: The file; its last byte is a line break.
        points: Room for the numbers of all ``v`` lines.
        coordinates: Room for the numbers of all ``vt`` lines.
        corners: Room for the position index of every corner, as written (counted from 1).
        texture_corners: Room for the texture index of every corner, likewise.
        lengths: Room for the number of corners of every ``f`` line.
        counts: ``int64`` [COUNTERS] of zeros, to count in.

    Returns:
        Where it ended; ``counts[OUTCOME]`` is ``DONE``, or what is wrong there.
    """
    at = 0
    while at < len(text):
        while IN_LINES[text[at]]:
            at += 1
        if text[at] == _F and IN_LINES[text[at + 1]]:
            at = _polygons(text, at + 1, corners, texture_corners, lengths, counts)
        elif text[at] == _V and IN_LINES[text[at + 1]]:
            at = _rows(text, at + 1, _V_LINE, points, counts, POINTS)
        elif text[at] == _V and text[at + 1] == _T and IN_LINES[text[at + 2]]:
            at = _rows(text, at + 2, _VT_LINE, coordinates, counts, COORDINATES)
        if counts[OUTCOME] != DONE:
            return at
        while text[at] != LINE_BREAK:
            at += 1
        at += 1
    return at


@compiled
def join_lines(text: np.ndarray) -> None:
    r"""Put blanks over every line break behind a backslash, and over that, in ``v``, ``vt``, ``vn`` and ``f`` lines.

    A name or a comment may end in a backslash and mean it: ``g C:\scans\``.

    Args:
        text: The file, changed in place; its last byte is a line break and stays one.
    """
    at, last = 0, len(text) - 1
    while at <= last:
        while IN_LINES[text[at]]:
            at += 1
        joins = _holds_numbers(text, at)
        while text[at] != LINE_BREAK:
            at += 1
            back = at - 1 - (text[at - 1] == _RETURN)
            if joins and text[at] == LINE_BREAK and text[back] == _BACKSLASH:
                text[back:at] = _BLANK
                if at < last:
                    text[at] = _BLANK
        at += 1


@compiled
def _holds_numbers(text: np.ndarray, at: int) -> bool:
    """Whether the line whose first word is there is one that is read, or of normals."""
    if text[at] == _V and (text[at + 1] == _T or text[at + 1] == _N):
        return bool(IN_LINES[text[at + 2]])
    return bool((text[at] == _V or text[at] == _F) and IN_LINES[text[at + 1]])


@compiled
def _ends_line(mark: Number) -> Number:
    return (mark == LINE_BREAK) | (mark == _HASH)


@compiled
def _rows(text: np.ndarray, start: int, word: np.ndarray, table: np.ndarray, counts: np.ndarray, kind: int) -> Number:
    """Lines of numbers in a row, each with as many as the first of its kind."""
    width = counts[WIDTHS + kind]
    filled, at, due = numbers_from(text, start, IN_LINES, table, counts[kind], word, width if width else NO_WIDTH)
    if width == 0:
        due = counts[WIDTHS + kind] = filled
    if not _ends_line(text[at]):
        counts[OUTCOME] = MALFORMED
    elif filled == counts[kind] or filled != due:
        counts[OUTCOME] = WRONG_COUNT
    counts[kind] = filled
    return at


@compiled
def _polygons(  # noqa: PLR0912, PLR0915 - one loop, compiled whole: a call a corner costs more than its work
    text: np.ndarray,
    start: int,
    corners: np.ndarray,
    texture_corners: np.ndarray,
    lengths: np.ndarray,
    counts: np.ndarray,
) -> Number:
    """Lines of corners in a row."""
    at, end = np.uint64(start), np.uint64(len(text))
    count, first, polygons, form = counts[CORNERS], counts[CORNERS], counts[POLYGONS], counts[FORM]
    while True:
        while IN_LINES[text[at]]:
            at += _ONE
        if _ends_line(text[at]):
            if count - first < 3:
                counts[OUTCOME] = FEW_CORNERS
                return np.int64(at)
            lengths[polygons] = count - first
            polygons += 1
            first = count
            more = text[at] == LINE_BREAK and at + np.uint64(2) < end
            if not (more and text[at + _ONE] == _F and IN_LINES[text[at + np.uint64(2)]]):
                break
            at += np.uint64(2)
            continue
        slot, seen = 0, 0
        while True:
            negative = text[at] == _MINUS
            at += np.uint64(negative)
            size, begin = _ZERO, at
            digit = np.uint8(text[at] - np.uint8(48))
            while digit <= 9:
                size = size * _TEN + np.uint64(digit)
                at += _ONE
                digit = np.uint8(text[at] - np.uint8(48))
            if at == begin and slot > 0 and not negative and (IN_LINES[text[at]] or _ends_line(text[at])):
                break  # nothing behind the slash
            if at == begin or at - begin > _TEN or size > MAX_WHOLE:
                counts[OUTCOME] = BAD_INDEX
                return np.int64(at)
            index = -np.int64(size) if negative else np.int64(size)
            if slot == 0:
                corners[count] = index
            elif slot == 1:
                texture_corners[count] = index
            seen |= 1 << slot
            if text[at] != _SLASH or slot == 2:
                break
            at += _ONE
            slot += 1
            if slot == 1 and text[at] == _SLASH:
                at += _ONE
                slot = 2
        if not (IN_LINES[text[at]] or _ends_line(text[at])):
            counts[OUTCOME] = BAD_INDEX
            return np.int64(at)
        form = seen if count == 0 else form
        if seen != form:
            counts[OUTCOME] = MIXED_FORMS
            return np.int64(at)
        count += 1
    counts[CORNERS], counts[POLYGONS], counts[FORM] = count, polygons, form
    return np.int64(at)
