"""Which words a text tower knows.

The compact tower's token embedding is frozen and random: a row means something only through what was trained on top of
it. A bundle therefore keeps the rows of the words the model was trained on. Any other word is the zero vector, the mean
of what such rows are drawn from: a sentence then says what its known words say, instead of noise.
"""

import re
from collections.abc import Collection, Iterable, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from affect4d.models import tokenise

LONGEST = 77
"""Tokens of CLIP's own context: enough for any word."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def known_tokens(sentences: Iterable[str]) -> Int64[Tensor, " tokens"]:
    """Every token that occurs in some sentences, start, end and padding included; in order."""
    texts = sorted(set(sentences))
    padded = torch.cat([torch.zeros(1, dtype=torch.int64), tokenise(texts, LONGEST).flatten()])
    return torch.tensor(sorted(set(padded.tolist())))


def unknown_words(sentence: str, known: Collection[int]) -> tuple[str, ...]:
    """Words of a sentence, as typed, any of whose tokens is not among the known ones; each once."""
    words = list(dict.fromkeys(_WORD.findall(sentence)))
    return tuple(word for word in words if not set(_tokens(word)) <= set(known))


def _tokens(word: str) -> Sequence[int]:
    """Tokens of one word, without start and end."""
    row = tokenise([word], LONGEST)[0]
    return [int(token) for token in row[1 : int(row.argmax())]]
