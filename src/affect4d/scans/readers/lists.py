"""Rows of lists of different lengths (the polygons of PLY), compiled: located, checked and gathered in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affect4d.compiled import Number, compiled
from affect4d.scans.scan import ScanError

SCALAR, DOUBLE = 0, 8
"""How a list's length is written: not at all (a single value), or as a ``float64``; else the bytes of a whole number,
below 0 where it has a sign."""
_COUNT_KIND, _ITEM_BYTES, _TARGET = range(3)


@dataclass(frozen=True, slots=True)
class Step:
    """One property of a row.

    Attributes:
        count_kind: ``SCALAR``, ``DOUBLE``, 1, 2, 4, −1, −2 or −4.
        item_bytes: Bytes of one value.
        target: 0 to pass over it, else which of the gathered lists it goes to, from 1.
    """

    count_kind: int
    item_bytes: int
    target: int = 0


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists gathered from rows.

    Attributes:
        items: Raw bytes of all values, in order, ``uint8``.
        lengths: Values of each row's list, ``int64`` [rows].
    """

    items: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True, slots=True)
class Gathered:
    """What rows held.

    Attributes:
        lists: One for each target.
        ends: Where each row ends in the body, ``int64`` [rows].
    """

    lists: tuple[Lists, ...]
    ends: np.ndarray


def gather_lists(
    body: np.ndarray, start: int, rows: int, steps: Sequence[Step], targets: int, big_endian: bool, path: Path
) -> Gathered:
    """Read rows of properties.

    Args:
        body: Bytes.
        start: Where the first row starts.
        rows: How many there are; capped by the caller.
        steps: The properties of a row.
        targets: How many lists are gathered.
        big_endian: Order of the bytes of numbers.
        path: The file, for errors.

    Returns:
        The gathered lists, and where rows end.

    Raises:
        ScanError: If a list is longer than the file, or of negative length.
    """
    table = np.array([(step.count_kind, step.item_bytes, step.target) for step in steps], np.int64).reshape(-1, 3)
    items = np.empty((max(targets, 1), max(len(body) - start, 0)), np.uint8)
    filled = np.zeros(max(targets, 1), np.int64)
    lengths = np.zeros((max(targets, 1), rows), np.int64)
    ends = np.empty(rows, np.int64)
    done = _walk(body, start, table, big_endian, items, filled, lengths, ends)
    if done < rows:
        raise ScanError("truncated", path, "a list is longer than what is left of the file", f"row {done + 1}")
    return Gathered(tuple(Lists(items[to, : filled[to]], lengths[to]) for to in range(targets)), ends)


@compiled
def _walk(
    body: np.ndarray,
    start: int,
    table: np.ndarray,
    big_endian: bool,
    items: np.ndarray,
    filled: np.ndarray,
    lengths: np.ndarray,
    ends: np.ndarray,
) -> Number:
    """Go through the rows and fill the last four arrays; how many rows were sound."""
    at, end = start, len(body)
    for row in range(len(ends)):
        for step in range(len(table)):
            kind, width, target = table[step, _COUNT_KIND], table[step, _ITEM_BYTES], table[step, _TARGET]
            count = 1
            if kind != SCALAR:
                size = abs(kind)
                if at + size > end:
                    return row
                count = _count(body, at, kind, big_endian)
                at += size
            if count < 0 or count > (end - at) // width:
                return row
            if target > 0:
                lengths[target - 1, row] = count
                place = filled[target - 1]
                for byte in range(count * width):
                    items[target - 1, place + byte] = body[at + byte]
                filled[target - 1] = place + count * width
            at += count * width
        ends[row] = at
    return len(ends)


@compiled
def _count(body: np.ndarray, at: int, kind: int, big_endian: bool) -> Number:
    """The length of a list; −1 for one that is not whole."""
    size = abs(kind)
    bits = np.uint64(0)
    for byte in range(size):
        place = at + byte if big_endian else at + size - 1 - byte
        bits = bits * np.uint64(256) + np.uint64(body[place])
    if kind == DOUBLE:
        return _whole_double(bits)
    number = np.int64(bits)
    return number - (np.int64(1) << (8 * size)) if kind < 0 and number >> (8 * size - 1) else number


@compiled
def _whole_double(bits: Number) -> Number:
    """A ``float64`` that is a whole number from 0 to 2³¹, told from its bits; −1 for any other."""
    if bits == np.uint64(0):
        return np.int64(0)
    exponent = np.int64(bits >> np.uint64(52)) - 1023
    if exponent < 0 or exponent > 31:
        return np.int64(-1)
    fraction = (bits & np.uint64(2**52 - 1)) | np.uint64(2**52)
    shift = np.uint64(52 - exponent)
    whole = fraction >> shift
    return np.int64(whole) if whole << shift == fraction else np.int64(-1)
