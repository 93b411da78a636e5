"""all-MiniLM-L6-v2: a frozen sentence encoder, from a sentence to a unit vector of 384 numbers.

A BERT of six layers (Wang et al. 2020, arXiv 2002.10957), fine-tuned on a billion pairs of English sentences by
sentence-transformers (Reimers, Gurevych 2019, arXiv 1908.10084): the normalised mean of its outputs over the tokens.
"""

import functools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import embedding, gelu, layer_norm, linear, normalize, scaled_dot_product_attention

from affect4d.pretrained_files import (
    MINILM_TOKENIZER,
    MINILM_WEIGHTS,
    PretrainedModelMissingError,
    find_pretrained_file,
)
from affect4d.tensor_types import SentenceVectors, Tokens

WIDTH, HEADS, LAYERS, EPSILON = 384, 12, 6, 1e-12
LONGEST = 256  # tokens, start and end included, that it was fine-tuned with
ENCODED_TOGETHER, KEPT = 256, 100_000  # sentences: in one pass, and before vectors are forgotten
_ENGLISH = re.compile(r"\b(an?|the|of|and|with|face|person|someone|man|woman|eyes|mouth|brows?|lips|looks)\b", re.I)
_WORD = re.compile(r"[^\W\d_]+")


class SentenceEncoder:
    """Weights and tokenizer; the vectors of sentences are kept."""

    def __init__(self, weights: Mapping[str, Tensor], tokenizer: Any) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._weights, self._tokenizer = weights, tokenizer
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def encode(self, sentences: Sequence[str]) -> SentenceVectors:
        """Unit vectors, [sentences, 384]; new sentences of one length are encoded together, so that none is padded."""
        kept = self._kept if len(self._kept) < KEPT else {}
        new = {sentence: self._tokens(sentence) for sentence in dict.fromkeys(sentences) if sentence not in kept}
        for length in sorted({len(tokens) for tokens in new.values()}):
            group = [sentence for sentence, tokens in new.items() if len(tokens) == length]
            tokens = torch.tensor([new[sentence] for sentence in group])
            parts = torch.split(tokens, ENCODED_TOGETHER)
            kept.update(zip(group, torch.cat([self._forward(part) for part in parts]), strict=True))
        self._kept = kept
        return torch.stack([kept[sentence] for sentence in sentences])

    def remarks(self, sentence: str) -> tuple[str, ...]:
        """Warnings about a sentence: its end is not read, or it seems to be in another language."""
        encoding, found = self._tokenizer.encode(sentence), []
        if len(encoding.ids) > LONGEST:
            found.append(f"Only the first {LONGEST} of {len(encoding.ids)} tokens are read: “{sentence[:40]}…”.")
        if _seems_foreign(sentence, encoding.word_ids):
            found.append(f"“{sentence[:40]}” seems not to be in English, the only language of the sentence encoder.")
        return tuple(found)

    def _tokens(self, sentence: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(sentence).ids
        return tokens if len(tokens) <= LONGEST else [*tokens[: LONGEST - 1], tokens[-1]]

    def _forward(self, tokens: Tokens) -> SentenceVectors:
        """BERT's encoder and mean pooling."""
        words, places, kinds = (
            self._weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        hidden = self._norm("embeddings.LayerNorm", embedding(tokens, words) + places[: tokens.shape[1]] + kinds[0])
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden)
        return normalize(hidden.mean(dim=1), dim=-1)

    def _layer(self, name: str, hidden: Tensor) -> Tensor:
        query, key, value = (
            self._linear(f"{name}.attention.self.{part}", hidden).view(*hidden.shape[:2], HEADS, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )  # [sentences, heads, tokens, width / heads]
        attended = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        attended = self._linear(f"{name}.attention.output.dense", attended)
        hidden = self._norm(f"{name}.attention.output.LayerNorm", hidden + attended)
        inner = gelu(self._linear(f"{name}.intermediate.dense", hidden))
        return self._norm(f"{name}.output.LayerNorm", hidden + self._linear(f"{name}.output.dense", inner))

    def _linear(self, name: str, values: Tensor) -> Tensor:
        return linear(values, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, values: Tensor) -> Tensor:
        return layer_norm(values, (WIDTH,), self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], EPSILON)


@functools.cache
def load_sentence_encoder() -> SentenceEncoder:
    """The encoder, loaded once a process; ``PretrainedModelMissingError`` where its files are missing."""
    weights, tokenizer = find_pretrained_file(MINILM_WEIGHTS), find_pretrained_file(MINILM_TOKENIZER)
    from tokenizers import Tokenizer  # training processes, which get vectors, do without

    return SentenceEncoder(load_file(weights), Tokenizer.from_file(str(tokenizer)))


@dataclass(frozen=True)
class SentencePreprocessor:
    """Sentences to vectors of the frozen encoder whose weights have a digest; it is loaded on first use."""

    weights: str = MINILM_WEIGHTS.sha256

    def __call__(self, texts: Sequence[str]) -> SentenceVectors:
        """Unit vectors, [prompts, 384].

        Raises:
            ValueError: If a sentence is empty.
            PretrainedModelMissingError: If the encoder is not installed, or is another one.
        """
        check_sentences(texts)
        return self._encoder().encode(texts)

    def remarks(self, text: str) -> tuple[str, ...]:
        """Warnings about a sentence."""
        return self._encoder().remarks(text)

    def _encoder(self) -> SentenceEncoder:
        if self.weights != MINILM_WEIGHTS.sha256:
            raise PretrainedModelMissingError(
                f"The model was trained with other weights of the sentence encoder (sha256 {self.weights[:12]}…) than "
                f"this version of affect4d has ({MINILM_WEIGHTS.sha256[:12]}…): it answers by its own prompts only."
            )
        return load_sentence_encoder()


def check_sentences(texts: Sequence[str]) -> None:
    """ValueError if a sentence is empty: it is near no face, and far from none."""
    if not all(text.strip() for text in texts):
        raise ValueError("An empty sentence cannot be compared with a face: write what the face shows.")


def _seems_foreign(sentence: str, word_of_token: Sequence[int | None]) -> bool:
    """True for other scripts, and for several words of which a third are in pieces and none is a common English one."""
    words = _WORD.findall(sentence)
    letters = "".join(words)
    if 3 * sum(not letter.isascii() for letter in letters) > len(letters):
        return True
    pieces = Counter(word for word in word_of_token if word is not None)
    broken = sum(count > 1 for count in pieces.values())
    return len(words) > 1 and 3 * broken >= len(words) and not _ENGLISH.search(sentence)
