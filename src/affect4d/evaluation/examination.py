"""One way to examine any model: the same unseen sequences and frames, read by prompts, by probes or by its own head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from affect4d.evaluation.embed import classify_sequences, embed_sequences
from affect4d.evaluation.metrics import Scores, score_predictions
from affect4d.evaluation.predictions import prediction_table
from affect4d.evaluation.probe import probe_linearly, probe_neighbours
from affect4d.evaluation.prompt_influence import prompt_influence
from affect4d.evaluation.protocols import fold_of
from affect4d.evaluation.zero_shot import predict_by_prompts, prompt_embeddings
from affect4d.progress import track
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore
from affect4d.views.bank import ViewBank, load_view_bank
from affect4d.views.inputs import InputOptions

BOOTSTRAP_SEED = 0
Prompts = Mapping[str, Sequence[str]]
"""Prompts of every expression, in the order of ``EXPRESSIONS``."""


@dataclass(frozen=True)
class Examination:
    """What every model is examined on.

    Attributes:
        bank: Pictures of training and test subjects.
        sequences: Columns ``sequence``, ``subject``, ``expression``; row i is sequence i of the bank.
        split: Who is trained on, who is tested on.
        inputs: What a model sees of a view.
        quiet: Draw no progress bars.
    """

    bank: ViewBank
    sequences: pd.DataFrame
    split: SubjectSplit
    inputs: InputOptions
    quiet: bool = False

    @classmethod
    def prepare(
        cls,
        view_manifest: pd.DataFrame,
        split: Mapping[str, Any],
        inputs: InputOptions,
        store: ContentStore,
        *,
        stances: bool = False,
    ) -> "Examination":
        """Open the bank of the labelled sequences; with ``stances``, with those that only training draws from."""
        labelled = view_manifest.dropna(subset=["expression"]).reset_index(drop=True)
        labelled = labelled if stances else labelled.assign(stances=0)
        sequences = labelled[["sequence", "subject", "expression"]]
        return cls(load_view_bank(labelled, store, inputs), sequences, SubjectSplit.from_dict(split), inputs)

    def by_prompts(self, model: Any, name: str, prompts: Prompts | None = None) -> pd.DataFrame:
        """Predictions of a vision-language model through prompt ensembles: the project's own where none are given."""
        embeddings = embed_sequences(
            model, self.bank, self.inputs, sequences=self.unseen()["sequence"].tolist(), quiet=self.quiet
        )
        return predict_by_prompts(model, embeddings, self.sequences, self.split, name, prompts)

    def prompt_influence(self, model: Any, prompts: Prompts) -> pd.DataFrame:
        """What each prompt of the ensembles does; see :func:`affect4d.evaluation.prompt_influence.prompt_influence`."""
        unseen = self.unseen()
        embeddings = embed_sequences(model, self.bank, self.inputs, sequences=unseen["sequence"].tolist())
        labels = unseen["expression"].map(list(prompts).index).to_numpy()
        return prompt_influence(embeddings.fused, labels, prompts, prompt_embeddings(model, prompts))

    def by_probes(self, model: Any, name: str) -> dict[str, pd.DataFrame]:
        """Predictions of a linear probe and of nearest neighbours on a model's frozen features."""
        features = embed_sequences(model, self.bank, self.inputs).hidden
        probes = {"linear_probe": probe_linearly, "knn": probe_neighbours}
        return {
            way: probe(features, self.sequences, self.split, f"{name}.{way}")
            for way, probe in track(list(probes.items()), "fitting probes")
        }

    def by_linear_probe(self, model: Any, name: str) -> pd.DataFrame:
        """Predictions of a linear probe alone."""
        features = embed_sequences(model, self.bank, self.inputs).hidden
        return probe_linearly(features, self.sequences, self.split, name)

    def by_probe_across_views(
        self, model: Any, name: str, trained: Sequence[str], fitted: Sequence[str], asked: Sequence[str]
    ) -> pd.DataFrame:
        """Predictions of a linear probe that is fitted on some views and asked by others, averaged over each side.

        Args:
            model: Trained on ``trained``.
            name: In the prediction table.
            trained: As many views as the model takes; it sees one view at a time, that many times over.
            fitted: Views of training subjects.
            asked: Views of unseen subjects; any that the bank has.
        """
        features = {
            view: embed_sequences(
                model, self.bank.only((view,) * len(trained)), self.inputs, quiet=self.quiet
            ).mean_view()
            for view in dict.fromkeys((*fitted, *asked))
        }
        known, unknown = (np.mean([features[view] for view in views], axis=0) for views in (fitted, asked))
        unseen = self.sequences["subject"].isin(self.split.test).to_numpy()
        return probe_linearly(np.where(unseen[:, None], unknown, known), self.sequences, self.split, name)

    def by_head(self, model: Any, name: str) -> pd.DataFrame:
        """Predictions of a classifier's own head."""
        unseen = self.unseen()
        names = unseen["sequence"].tolist()
        probabilities = classify_sequences(model, self.bank, self.inputs, sequences=names, quiet=self.quiet)
        return prediction_table(unseen, probabilities, name)

    def scores(self, predictions: pd.DataFrame) -> Scores:
        """Scores of one model's predictions, with an interval over subjects."""
        return score_predictions(predictions, self.split, np.random.default_rng(BOOTSTRAP_SEED))

    def unseen(self) -> pd.DataFrame:
        """Labelled sequences of test subjects."""
        return self.sequences.iloc[fold_of(self.sequences, self.split).test]
