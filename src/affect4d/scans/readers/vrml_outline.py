"""The brackets of a VRML file: nodes, lists and strings, in file order and without recursion."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from affect4d.scans.readers.numbers import MAX_COMMENTS, end_of_line
from affect4d.scans.scan import ScanError

MAX_DEPTH = 64
MAX_BRACKETS = 100_000
_STRUCTURE = re.compile(rb'[{}\[\]"#]')
_IN_COMMENTED_LIST = re.compile(rb'#[^\r\n]*|[{\[\]"]')
_STRING_END = re.compile(rb'(?<!\\)(?:\\\\)*"')
_LONGEST_WORD = 80
_CLOSES = {ord("{"): ord("}"), ord("["): ord("]")}


@dataclass(slots=True)
class Node:
    """Something in brackets that holds more than numbers.

    Attributes:
        name: The word before its bracket: ``Transform``, ``children``.
        start: Where it opens.
        closes: The bracket that ends it.
        gaps: Where its own words stand, outside of what it holds in brackets and strings.
    """

    name: str
    start: int
    closes: int
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def words(self, raw: bytes) -> bytes:
        """Its own words."""
        return b" ".join(raw[start:end] for start, end in self.gaps)


@dataclass(frozen=True, slots=True)
class Item:
    """A node that opens, a list of numbers, or a string, with the nodes around it, outermost first.

    Attributes:
        kind: ``"node"``, ``"list"`` or ``"string"``.
        name: The word before it.
        around: The nodes around it, the file itself first; a node that opens is the last of them.
        start: First byte inside.
        end: Its closing bracket or quote; for a node, ``start``.
    """

    kind: str
    name: str
    around: tuple[Node, ...]
    start: int
    end: int

    def inside(self, name: str) -> bool:
        """Whether a node of that name is around it."""
        return any(node.name == name for node in self.around)


def outline(raw: bytes, path: Path) -> Iterator[Item]:
    """Nodes, number lists and strings in file order.

    A node's ``gaps`` are complete when the outline has come to its end.

    Raises:
        ScanError: If brackets do not match, are nested too deep, or are too many.
    """
    stack = [Node("", 0, 0)]
    position = 0
    for _ in range(MAX_BRACKETS):
        match = _STRUCTURE.search(raw, position)
        at = match.start() if match else len(raw)
        stack[-1].gaps.append((position, at))
        if match is None:
            break
        mark = raw[at]
        if mark == ord("#"):
            position = end_of_line(raw, at, len(raw))
        elif mark == ord('"'):
            position = _string_end(raw, at, path) + 1
            yield Item("string", _word_before(raw, stack[-1].gaps), tuple(stack), at + 1, position - 1)
        elif mark in _CLOSES:
            name = _word_before(raw, stack[-1].gaps)
            closed = _number_list_end(raw, at, path) if mark == ord("[") else None
            if closed is None:
                _push(stack, Node(name, at + 1, _CLOSES[mark]), path)
                yield Item("node", name, tuple(stack), at + 1, at + 1)
            else:
                yield Item("list", name, tuple(stack), at + 1, closed)
            position = at + 1 if closed is None else closed + 1
        else:
            _pop(stack, mark, at, path)
            position = at + 1
    else:
        raise ScanError("too-complex", path, f"more than {MAX_BRACKETS} brackets and strings")
    if len(stack) > 1:
        raise ScanError("truncated", path, f"{stack[-1].name or 'a bracket'} is never closed", f"byte {len(raw)}")


def _push(stack: list[Node], node: Node, path: Path) -> None:
    if len(stack) > MAX_DEPTH:
        raise ScanError("too-deep", path, f"nodes are nested more than {MAX_DEPTH} deep", f"byte {node.start}")
    stack.append(node)


def _pop(stack: list[Node], mark: int, at: int, path: Path) -> None:
    if stack.pop().closes != mark:
        raise ScanError("malformed", path, f"{chr(mark)!r} closes nothing", f"byte {at}")


def _number_list_end(raw: bytes, at: int, path: Path) -> int | None:
    """Where the list that opens here closes, if it holds numbers only; None if it holds nodes or strings."""
    end = _find(raw, b"]", at, path)
    if raw.find(b"#", at + 1, end) >= 0:
        return _commented_list_end(raw, at, path)
    nested = any(raw.find(mark, at + 1, end) >= 0 for mark in (b"{", b"[", b'"'))
    return None if nested else end


def _commented_list_end(raw: bytes, at: int, path: Path) -> int | None:
    """As :func:`_number_list_end`, stepping over comments, which may hold any mark."""
    for comments, found in enumerate(_IN_COMMENTED_LIST.finditer(raw, at + 1)):
        if raw[found.start()] != ord("#"):
            return found.start() if raw[found.start()] == ord("]") else None
        if comments >= MAX_COMMENTS:
            raise ScanError("too-complex", path, f"more than {MAX_COMMENTS} comments in one list", f"byte {at + 1}")
    raise _missing(b"]", at, path)


def _string_end(raw: bytes, at: int, path: Path) -> int:
    """The quote that ends the string that opens here; one behind a backslash is part of it."""
    end = _find(raw, b'"', at + 1, path)
    if raw[end - 1] != ord("\\"):
        return end
    found = _STRING_END.search(raw, at + 1)
    if found is None:
        raise _missing(b'"', at + 1, path)
    return found.end() - 1


def _find(raw: bytes, mark: bytes, start: int, path: Path) -> int:
    end = raw.find(mark, start)
    if end < 0:
        raise _missing(mark, start, path)
    return end


def _missing(mark: bytes, start: int, path: Path) -> ScanError:
    return ScanError("truncated", path, f"{mark.decode()!r} is missing", f"after byte {start}")


def _word_before(raw: bytes, gaps: list[tuple[int, int]]) -> str:
    """The last word before a bracket or quote, beyond comments; where there is none, the bracket or quote before it.

    Args:
        raw: The file.
        gaps: What the node around it holds so far outside of brackets, strings and comments.
    """
    for place in range(len(gaps) - 1, -1, -1):
        start, end = gaps[place]
        words = raw[start:end].replace(b",", b" ").rsplit(None, 1)
        if words:
            return words[-1][-_LONGEST_WORD:].decode("ascii", "replace")
        if place == 0 or raw[gaps[place - 1][1]] != ord("#"):
            return raw[max(start - 1, 0) : start].decode("ascii", "replace")
    return ""
