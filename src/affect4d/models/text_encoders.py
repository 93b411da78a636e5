"""Text encoders and what prepares sentences for them: frozen MiniLM, the compact one, and any of open_clip."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import open_clip
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from affect4d.models.options import COMPACT, FORMER_CONTEXT, LOCAL_FOLDER, MINILM, EncoderOptions
from affect4d.models.sentence_encoder import SentencePreprocessor, check_sentences
from affect4d.tensor_types import Embeddings, SentenceVectors, TextEmbeddings, Tokens

VOCABULARY = 49408  # rows of CLIP's byte-pair vocabulary
CLIP_CONTEXT = 77


@dataclass(frozen=True)
class PromptTokenizer:
    """The tokenizer of a text encoder, read on first use: a folder or hub name of Hugging Face; None: CLIP's pairs."""

    length: int
    columns: int
    source: str | None = None
    settings: str = "{}"

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokens, [prompts, columns].

        Raises:
            ValueError: If a sentence is empty, or the tokenizer's files or the package for them are missing.
        """
        check_sentences(texts)
        tokenizer = _load_tokenizer(self.source, self.settings)
        tokens = tokenizer(list(texts), context_length=self.length)
        padding = getattr(getattr(tokenizer, "tokenizer", None), "pad_token_id", None) or 0
        return pad(tokens, (0, self.columns - tokens.shape[1]), value=padding)

    def remarks(self, text: str) -> tuple[str, ...]:
        """Warning about a sentence that is cut: a further word changes nothing."""
        cut = torch.equal(self([text]), self([f"{text} face"]))
        return (f"Only the first {self.length} tokens are read: “{text[:40]}…”.",) if cut else ()


TextPreprocessor = PromptTokenizer | SentencePreprocessor


def text_preprocessor(options: EncoderOptions) -> TextPreprocessor:
    """From sentences to inputs of the text encoder; ``ValueError`` if ``context_length`` is too long."""
    if options.text == MINILM:
        return SentencePreprocessor(str(options.text_weights))
    if options.text == COMPACT:
        length = options.context_length or FORMER_CONTEXT
        return PromptTokenizer(length, length)
    text = (options.architecture or open_clip_architecture(options))["text_cfg"]
    columns = int(text.get("context_length", CLIP_CONTEXT))
    length = options.context_length or columns
    if length > columns:
        raise ValueError(f"The text encoder {options.text!r} reads no more than {columns} tokens, not {length}.")
    name = text.get("hf_tokenizer_name") or None
    if name and options.text.startswith(LOCAL_FOLDER):
        name = options.text.removeprefix(LOCAL_FOLDER)  # its files lie beside the weights
    settings = dict(text.get("tokenizer_kwargs", {}))
    if name:
        settings["tokenizer_mode"] = text.get("tokenizer_mode")
    return PromptTokenizer(length, columns, name, json.dumps(settings, sort_keys=True))


def clip_tokens(texts: Sequence[str], length: int) -> Tokens:
    """CLIP's byte-pair tokens, which the compact text encoder reads, zero-padded to ``length``."""
    return PromptTokenizer(length, length)(texts)


@functools.cache
def _load_tokenizer(source: str | None, settings: str) -> Callable[..., Tensor]:
    if source is None:
        return cast(Callable[..., Tensor], SimpleTokenizer(**json.loads(settings)))
    try:
        return cast(Callable[..., Tensor], HFTokenizer(source, **json.loads(settings)))
    except ImportError as error:
        raise ValueError(
            f"The tokenizer of {source!r} needs the package transformers: pip install transformers."
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(
            f"No tokenizer in {source!r}: put its files (tokenizer.json, tokenizer_config.json, …) into the folder of "
            f"the model, and name it as text: {LOCAL_FOLDER}/folder. ({error})"
        ) from error


def open_clip_architecture(options: EncoderOptions) -> Mapping[str, Any]:
    """open_clip's ``model_cfg`` of the model that is named, with the image size that is set."""
    architecture = open_clip.get_model_config(options.open_clip_name)
    if architecture is None:
        raise RuntimeError(f"open_clip has no model {options.open_clip_name!r}; open_clip.list_models() lists them.")
    if options.image_size is not None:
        architecture["vision_cfg"]["image_size"] = options.image_size
    if trained_with_quick_gelu(options):
        architecture["quick_gelu"] = True
    for part, flag in (("vision_cfg", "timm_model_pretrained"), ("text_cfg", "hf_model_pretrained")):
        if flag in architecture[part]:
            architecture[part][flag] = False
    return {key: value for key, value in architecture.items() if key not in {"custom_text", "multimodal_cfg"}}


def trained_with_quick_gelu(options: EncoderOptions) -> bool:
    """True if the weights of a tag were trained with that activation; open_clip itself only warns."""
    known = open_clip.get_pretrained_cfg(options.open_clip_name, options.pretrained) if options.pretrained else {}
    return bool(known.get("quick_gelu"))


def compact_text_encoder(options: EncoderOptions) -> TextTransformer:
    """Small transformer over a frozen token embedding."""
    text = TextTransformer(
        context_length=options.context_length or FORMER_CONTEXT,
        vocab_size=VOCABULARY,
        width=options.text_width,
        heads=options.text_heads,
        layers=options.text_layers,
        output_dim=None,
        no_causal_mask=True,  # with the padding mask, padding columns may be left out
        use_pad_mask=True,
    )
    text.token_embedding.requires_grad_(False)  # 49 408 rows: most of the weights, and nearly all of them unused
    return text


class SentenceProjection(nn.Module):
    """Projection of sentence vectors, which a frozen encoder outside the model makes, to unit vectors."""

    def __init__(self, projection: nn.Module, preprocess: SentencePreprocessor) -> None:
        super().__init__()
        self.projection, self.preprocess = projection, preprocess

    def forward(self, vectors: SentenceVectors) -> TextEmbeddings:
        """Unit vectors, [prompts, dim]."""
        return normalize(self.projection(vectors), dim=-1)


class TextEncoder(nn.Module):
    """Text encoder, tokens to [prompts, width], and projection to unit vectors; equal prompts are encoded once.

    The name ``tower`` is that of the weights in saved models.
    """

    def __init__(self, tower: nn.Module, projection: nn.Module, preprocess: PromptTokenizer, compact: bool) -> None:
        super().__init__()
        self.tower, self.projection = tower, projection
        self.preprocess, self.compact = preprocess, compact
        self.precision: torch.dtype | None = None

    def forward(self, tokens: Tokens) -> TextEmbeddings:
        """Unit vectors, [prompts, dim]."""
        distinct, place = torch.unique(tokens, dim=0, return_inverse=True)
        with training_precision(self, tokens):
            hidden = pooled(self.tower(self._padded(distinct)))
        return normalize(self.projection(at_least_single(hidden)), dim=-1)[place]

    def _padded(self, tokens: Tokens) -> Tokens:
        """As long as the longest prompt (its end has the largest token); else as long as the context."""
        if self.compact:
            return tokens[:, : int(tokens.argmax(dim=1).max()) + 1]
        return pad(tokens, (0, self.preprocess.columns - tokens.shape[1]))


def pooled(features: Tensor | tuple[Tensor, ...]) -> Embeddings:
    """One vector a row; the first part of what models give that return their tokens, too."""
    return features if isinstance(features, Tensor) else features[0]


def training_precision(encoder: Any, like: Tensor) -> torch.autocast:
    """The precision set for training, inside an encoder; everything else, and every loss, is float32."""
    chosen = encoder.precision if encoder.training else None
    return torch.autocast(like.device.type, chosen or torch.bfloat16, enabled=chosen is not None)


def at_least_single(hidden: Tensor) -> Tensor:
    """Half precision to single; what is single or double stays."""
    return hidden.float() if hidden.dtype.itemsize < 4 else hidden
