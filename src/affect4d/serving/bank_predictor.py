"""A trained vision-language model that answers: which expression, seen from which views, near which sentences."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from affect4d.evaluation.embed import embed_sequences
from affect4d.evaluation.view_weights import view_weights
from affect4d.evaluation.zero_shot import class_embeddings, expression_prompts, zero_shot_probabilities
from affect4d.models import AffectVLM, SmileVLM, load_model, tokenise
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import InputOptions


@dataclass(frozen=True)
class Answer:
    """What a model says about one sequence.

    Attributes:
        probabilities: Expression → share, summing to one.
        view_weights: View → its weight in the fused embedding, summing to one.
    """

    probabilities: dict[str, float]
    view_weights: dict[str, float]


class BankPredictor:
    """A vision-language model that has looked at every sequence of a bank."""

    def __init__(self, model: AffectVLM | SmileVLM, bank: ViewBank, inputs: InputOptions) -> None:
        self._model = model.eval()
        self._embeddings = embed_sequences(model, bank, inputs)
        self._classes = class_embeddings(model, expression_prompts())
        self._view_weights = view_weights(model, bank.views, inputs)

    @classmethod
    def load(cls, folder: Path, bank: ViewBank, inputs: InputOptions) -> "BankPredictor":
        """Read a model folder.

        Raises:
            FileNotFoundError: If the folder holds no model.
            TypeError: If the model has no text tower.
        """
        model = load_model(folder)
        if not isinstance(model, AffectVLM | SmileVLM):
            raise TypeError(f"{folder} holds a {type(model).__name__}, which has no text tower to answer with.")
        return cls(model, bank, inputs)

    def answer(self, sequence: str) -> Answer:
        """Probabilities of the expressions for one sequence of the bank, and the weight of each view."""
        fused = self._embeddings.of([sequence]).fused
        shares = zero_shot_probabilities(fused, self._classes, float(self._model.temperature().detach()))[0]
        return Answer(dict(zip(EXPRESSIONS, map(float, shares), strict=True)), self._view_weights)

    def similarity(self, sequence: str, sentences: list[str]) -> Float32[np.ndarray, " sentences"]:
        """Cosine between one sequence and each sentence, −1…1."""
        with torch.inference_mode():
            texts = self._model.embed_texts(tokenise(sentences, self._model.options.towers.context_length))
        cosines: np.ndarray = texts.numpy() @ self._embeddings.of([sequence]).fused[0]
        return cosines
