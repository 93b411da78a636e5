"""Tokens that a compact text encoder was trained on.

Its token embedding is frozen and random: a row means something only through what was trained on top of it. A packaged
model keeps the rows of training tokens. Any other token is the zero vector, the mean of the distribution of such rows:
an unknown word then contributes nothing instead of noise.
"""

import re
from collections.abc import Collection, Iterable

import torch
from jaxtyping import Int64
from torch import Tensor

from affect4d.models import clip_tokens

LONGEST = 77
"""Tokens of CLIP's own context: enough for any word."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def known_tokens(sentences: Iterable[str]) -> Int64[Tensor, " tokens"]:
    """Tokens of some sentences, sorted; start, end and padding included."""
    texts = sorted(set(sentences))
    padded = torch.cat([torch.zeros(1, dtype=torch.int64), clip_tokens(texts, LONGEST).flatten()])
    return torch.tensor(sorted(set(padded.tolist())))


def unknown_words(sentence: str, known: Collection[int]) -> tuple[str, ...]:
    """Distinct words of a sentence, as typed, with a token that is not known."""
    words = list(dict.fromkeys(_WORD.findall(sentence)))
    return tuple(word for word in words if not set(_tokens(word)) <= set(known))


def _tokens(word: str) -> list[int]:
    """Tokens of one word, without start and end."""
    row = clip_tokens([word], LONGEST)[0]
    return [int(token) for token in row[1 : int(row.argmax())]]
