"""Names in the order a person counts them; light, since the process that reads uploads sorts by it too."""

import re

_DIGITS = re.compile(r"(\d{1,18})")


def natural(name: str) -> list[tuple[int, str]]:
    """Key that sorts ``2.obj`` before ``10.obj``, capitals or not."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name.lower())]
