"""The six expressions all corpora of this field share, in one order used everywhere."""

from collections.abc import Mapping
from types import MappingProxyType

EXPRESSIONS: tuple[str, ...] = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
"""Class index = position in this tuple."""

_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in EXPRESSIONS},
        "angry": "anger",
        "an": "anger",
        "disgusted": "disgust",
        "di": "disgust",
        "afraid": "fear",
        "fe": "fear",
        "happy": "happiness",
        "ha": "happiness",
        "joy": "happiness",
        "sad": "sadness",
        "sa": "sadness",
        "surprised": "surprise",
        "su": "surprise",
    }
)


def parse_expression(word: str) -> str:
    """The expression a corpus means by a word of its own (``"Angry"``, ``"HA"``, ``"sad"``).

    Raises:
        ValueError: If no expression is spelled so; the message lists the known spellings.
    """
    try:
        return _SPELLINGS[word.strip().lower()]
    except KeyError:
        known = ", ".join(sorted(_SPELLINGS))
        raise ValueError(f"No expression is spelled {word!r}; known spellings: {known}.") from None


def expression_index(expression: str) -> int:
    """Class index of an expression, 0…5."""
    return EXPRESSIONS.index(expression)
