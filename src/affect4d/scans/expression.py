"""The six expressions all corpora of this field share, in one order used everywhere."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

EXPRESSIONS: tuple[str, ...] = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
"""Class index = position in this tuple."""

MICRO_EXPRESSIONS: tuple[str, ...] = ("positive", "negative", "surprise", "repression", "others")
"""The classes of 4DME; a clip may have several. None of them is one of the six: ``positive`` is not happiness."""

LABEL_JOINT = "+"

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


def expression_or_none(word: str | None) -> str | None:
    """The expression meant by a word; None where it means none of the six."""
    return None if word is None else _SPELLINGS.get(word.strip().lower())


def expression_index(expression: str) -> int:
    """Class index of an expression, 0…5."""
    return EXPRESSIONS.index(expression)


def join_labels(words: Iterable[str]) -> str | None:
    """Classes as one cell of the manifest (``"negative+surprise"``): lower case, each once, sorted; None for none."""
    return LABEL_JOINT.join(sorted({word.strip().lower() for word in words if word.strip()})) or None


def split_labels(label: str | None) -> tuple[str, ...]:
    """The classes that a cell of the manifest names."""
    return tuple(label.split(LABEL_JOINT)) if isinstance(label, str) and label else ()
