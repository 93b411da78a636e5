"""The six basic expressions in one order used everywhere, the classes of 4DME, and the spellings of the corpora."""

from collections.abc import Iterable, Mapping

EXPRESSIONS: tuple[str, ...] = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
"""Class index = position in this tuple."""

MICRO_EXPRESSIONS: tuple[str, ...] = ("positive", "negative", "surprise", "repression", "others")
"""The classes of 4DME; a clip may have several. None of them is one of the six: ``positive`` is not happiness."""

LABEL_JOINT = "+"

_SPELLINGS: Mapping[str, str] = {
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


def parse_expression(word: str) -> str:
    """The expression for a corpus' own word (``"Angry"``, ``"HA"``); a ``ValueError`` lists the known spellings."""
    try:
        return _SPELLINGS[word.strip().lower()]
    except KeyError:
        known = ", ".join(sorted(_SPELLINGS))
        raise ValueError(f"No expression is spelled {word!r}; known spellings: {known}.") from None


def expression_or_none(word: str | None) -> str | None:
    """The expression for a corpus' own word; None where it is none of the six."""
    return None if word is None else _SPELLINGS.get(word.strip().lower())


def label_for(word: str | None) -> str | None:
    """The label for a corpus' own word: its expression, else the word in lower case; None for none."""
    return expression_or_none(word) or (word.lower() if word else None)


def expression_index(expression: str) -> int:
    """Class index of an expression, 0…5."""
    return EXPRESSIONS.index(expression)


def join_labels(words: Iterable[str]) -> str | None:
    """Classes as one cell of the manifest (``"negative+surprise"``): lower case, each once, sorted; None for none."""
    return LABEL_JOINT.join(sorted({word.strip().lower() for word in words if word.strip()})) or None


def split_labels(label: str | None) -> tuple[str, ...]:
    """The classes in a cell of the manifest."""
    return tuple(label.split(LABEL_JOINT)) if isinstance(label, str) and label else ()
