"""A trained vision-language model that answers: which expression, seen from which views, near which sentences."""

from dataclasses import dataclass
from pathlib import Path

import torch

from affect4d.arrays import TextEmbeddings
from affect4d.evaluation.embed import embed_sequences
from affect4d.evaluation.zero_shot import class_embeddings, class_probabilities
from affect4d.models import AffectVLM, SmileVLM, load_model, tokenise
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.bank import InputOptions, ViewBank


@dataclass(frozen=True)
class Answer:
    """What a model says about one sequence.

    Attributes:
        probabilities: Expression → share, summing to one.
        view_weights: View → its weight in the fused embedding, summing to one.
    """

    probabilities: dict[str, float]
    view_weights: dict[str, float]


class Predictor:
    """A vision-language model with the expressions' prompt-ensemble embeddings at hand."""

    def __init__(self, model: AffectVLM | SmileVLM, inputs: InputOptions) -> None:
        self._model, self._inputs = model.eval(), inputs
        self._classes = class_embeddings(model)

    @classmethod
    def load(cls, folder: Path, inputs: InputOptions) -> "Predictor":
        """Read a model folder.

        Raises:
            FileNotFoundError: If the folder holds no model.
            TypeError: If the model has no text tower.
        """
        model = load_model(folder)
        if not isinstance(model, AffectVLM | SmileVLM):
            raise TypeError(f"{folder} holds a {type(model).__name__}, which has no text tower to answer with.")
        return cls(model, inputs)

    def answer(self, bank: ViewBank, sequence: str) -> Answer:
        """Probabilities of the expressions for one sequence of the bank, and the weight of each view."""
        fused = self._fused(bank, sequence)
        shares = class_probabilities(fused, self._classes, self._model.temperature())[0]
        weights = self._model.image.fusion.weights().tolist()
        return Answer(
            dict(zip(EXPRESSIONS, shares.tolist(), strict=True)),
            dict(zip(bank.views, weights, strict=True)),
        )

    @torch.no_grad()
    def similarity(self, bank: ViewBank, sequence: str, sentences: list[str]) -> list[float]:
        """Cosine between one sequence and each sentence, −1…1."""
        length = self._model.options.towers.context_length
        texts: TextEmbeddings = self._model.embed_texts(tokenise(sentences, length))
        cosines: list[float] = (texts @ self._fused(bank, sequence)[0]).tolist()
        return cosines

    def _fused(self, bank: ViewBank, sequence: str) -> torch.Tensor:
        return embed_sequences(self._model, bank, self._inputs, sequences=(sequence,)).fused
