"""Evaluates any model on the same test sequences and frames: by prompts, by probes or by its own head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from affect4d.evaluation.leakage import labelled_rows
from affect4d.evaluation.metrics import Scores, score_predictions
from affect4d.evaluation.predictions import prediction_table
from affect4d.evaluation.probing import probe_linearly, probe_neighbours
from affect4d.evaluation.sequence_embeddings import classify_sequences, embed_sequences
from affect4d.evaluation.zero_shot import predict_by_prompts, prompt_embeddings, prompt_influence
from affect4d.progress import track
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore
from affect4d.views.bank import ViewBank, load_view_bank
from affect4d.views.input_options import InputOptions

BOOTSTRAP_SEED = 0
EXCLUDED = -1
"""Sequence index of a bank row that is excluded from an evaluation of single scans."""

Granularity = Literal["scan", "window", "sequence"]
GRANULARITIES: tuple[Granularity, ...] = ("scan", "window", "sequence")
"""One prediction per scan of the apex window, per window (the headline figures), or per whole sequence."""

PromptEnsembles = Mapping[str, Sequence[str]]
"""Prompts of every expression, in the order of ``EXPRESSIONS``."""


@dataclass(frozen=True)
class Evaluator:
    """Images, labels and split that every model is evaluated on; row i of ``sequences`` is sequence i of the bank."""

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
        head_poses: bool = False,
    ) -> "Evaluator":
        """Open the bank of the labelled sequences; with ``head_poses``, including the poses that only training uses."""
        labelled = view_manifest.dropna(subset=["expression"]).reset_index(drop=True)
        labelled = labelled if head_poses else labelled.assign(head_poses=0)
        sequences = labelled[["sequence", "subject", "expression"]]
        return cls(load_view_bank(labelled, store, inputs), sequences, SubjectSplit.from_dict(split), inputs)

    def at(self, granularity: Granularity) -> "Evaluator":
        """The same evaluator at another granularity; ``self`` is at ``"window"``.

        Scores of different granularities do not compare: a face before its movement shows nothing yet, and a single
        scan has no others to average with.
        """
        if granularity == "window":
            return self
        if granularity == "sequence":
            everywhere = torch.ones_like(self.bank.in_window)
            return replace(self, bank=replace(self.bank, in_window=everywhere))
        return replace(self, bank=self._scan_bank(), sequences=self._scan_rows())

    def _scan_bank(self) -> ViewBank:
        """The bank in which every scan of a window is a sequence of its own; images are shared."""
        places = torch.full_like(self.bank.sequence, EXCLUDED)
        places[self.bank.in_window] = torch.arange(int(self.bank.in_window.sum()))
        return replace(self.bank, sequence=places, sequences=tuple(self._scan_names()))

    def _scan_names(self) -> list[str]:
        rows = torch.nonzero(self.bank.in_window).flatten().tolist()
        return [f"{self.bank.sequences[int(self.bank.sequence[row])]}#{int(self.bank.frame[row])}" for row in rows]

    def _scan_rows(self) -> pd.DataFrame:
        """One row per scan of a window: its name, and subject and expression of its sequence."""
        names = self._scan_names()
        rows = self.sequences.set_index("sequence").loc[[name.rsplit("#", 1)[0] for name in names]]
        return rows.reset_index(drop=True).assign(sequence=names)[["sequence", "subject", "expression"]]

    def by_prompts(self, model: Any, name: str, prompts: PromptEnsembles | None = None) -> pd.DataFrame:
        """Predictions of a vision-language model by prompt ensembles; by the project's own where None."""
        embeddings = embed_sequences(
            model, self.bank, self.inputs, sequences=self.unseen()["sequence"].tolist(), quiet=self.quiet
        )
        return predict_by_prompts(model, embeddings, self.sequences, self.split, name, prompts)

    def prompt_influence(self, model: Any, prompts: PromptEnsembles) -> pd.DataFrame:
        """Effect of each prompt; see :func:`affect4d.evaluation.zero_shot.prompt_influence`."""
        unseen = self.unseen()
        embeddings = embed_sequences(model, self.bank, self.inputs, sequences=unseen["sequence"].tolist())
        labels = unseen["expression"].map(list(prompts).index).to_numpy()
        return prompt_influence(embeddings.fused, labels, prompts, prompt_embeddings(model, prompts))

    def by_probes(self, model: Any, name: str) -> dict[str, pd.DataFrame]:
        """Predictions of a linear probe and of nearest neighbours on a model's frozen features."""
        features = embed_sequences(model, self.bank, self.inputs).hidden
        probes = {"linear_probe": probe_linearly, "knn": probe_neighbours}
        return {
            kind: probe(features, self.sequences, self.split, f"{name}.{kind}")
            for kind, probe in track(list(probes.items()), "fitting probes")
        }

    def by_linear_probe(self, model: Any, name: str) -> pd.DataFrame:
        """Predictions of a linear probe alone."""
        features = embed_sequences(model, self.bank, self.inputs).hidden
        return probe_linearly(features, self.sequences, self.split, name)

    def by_probe_across_views(
        self, model: Any, name: str, trained: Sequence[str], fitted: Sequence[str], tested: Sequence[str]
    ) -> pd.DataFrame:
        """Predictions of a linear probe fitted on some views and tested on others, averaged over each side.

        The model sees one view at a time, repeated as often as it was ``trained`` on views.
        """
        features = {
            view: embed_sequences(
                model, self.bank.only((view,) * len(trained)), self.inputs, quiet=self.quiet
            ).mean_view()
            for view in dict.fromkeys((*fitted, *tested))
        }
        known, unknown = (np.mean([features[view] for view in views], axis=0) for views in (fitted, tested))
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
        return self.sequences.iloc[labelled_rows(self.sequences, self.split).test]
