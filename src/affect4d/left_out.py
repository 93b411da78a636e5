"""Results that a corpus does not allow: the error a stage ends in, and the value in the place of its results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

_Result = TypeVar("_Result")


class MissingInputError(ValueError):
    """A corpus lacks what a stage needs; the message names the reason and the remedy. That stage alone is left out."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """In the place of a result: why it cannot be made of this corpus, and the remedy."""

    reason: str


def present(results: Mapping[str, _Result | LeftOut]) -> dict[str, _Result]:
    """The results that could be made."""
    return {name: result for name, result in results.items() if not isinstance(result, LeftOut)}
