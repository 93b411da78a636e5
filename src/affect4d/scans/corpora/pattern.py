"""Patterns of file names, for corpora whose layout only their holder knows: ``{subject}/{clip}/{frame}.obj``.

``{frame}`` is a whole number, every other field any text within one folder name; ``*`` stands for any text within one
folder name that means nothing. Case does not matter.
"""

import re
from collections.abc import Iterable

FIELDS = ("subject", "clip", "expression", "task", "frame")
_PIECE = re.compile(r"\{(\w*)\}|(\*)")


def compile_pattern(pattern: str, required: Iterable[str] = ("frame",)) -> re.Pattern[str]:
    """A pattern as a regular expression with a group a field; a field that comes again must say the same.

    Raises:
        ValueError: If a field is unknown or a required one is missing; the message lists the fields.

    >>> compile_pattern("{subject}/{clip}_{frame}.obj").fullmatch("s1/smile_007.OBJ").groupdict()
    {'subject': 's1', 'clip': 'smile', 'frame': '007'}
    """
    seen: set[str] = set()
    parts, end = [], 0
    for piece in _PIECE.finditer(pattern):
        parts += [re.escape(pattern[end : piece.start()]), _expression(piece[1], seen, pattern)]
        end = piece.end()
    missing = sorted(set(required) - seen)
    if missing:
        raise ValueError(f"The pattern {pattern!r} lacks {{{'}, {'.join(missing)}}}. {_explain()}")
    return re.compile("".join([*parts, re.escape(pattern[end:])]), re.IGNORECASE)


def _expression(field: str | None, seen: set[str], pattern: str) -> str:
    if field is None:
        return "[^/]*"
    if field not in FIELDS:
        raise ValueError(f"The pattern {pattern!r} has an unknown field {{{field}}}. {_explain()}")
    if field in seen:
        return f"(?P={field})"
    seen.add(field)
    return rf"(?P<{field}>\d{{1,9}})" if field == "frame" else f"(?P<{field}>[^/]+?)"


def _explain() -> str:
    return f"Fields: {', '.join(f'{{{name}}}' for name in FIELDS)}; e.g. {{subject}}/{{clip}}/{{frame}}.obj"
