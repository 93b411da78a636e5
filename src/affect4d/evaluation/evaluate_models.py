"""Evaluation of any model on the same test sequences, and one function per evaluation of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from affect4d.evaluation.action_unit_head import fit_head, load_head, save_head
from affect4d.evaluation.action_unit_scores import evaluate_heads
from affect4d.evaluation.baselines import baseline_predictions, landmark_table
from affect4d.evaluation.free_text import FREE_TEXT, FREE_TEXT_BY_KIND
from affect4d.evaluation.frozen_features import (
    embedding_map,
    few_shot_scores,
    probe_linearly,
    probe_neighbours,
    retrieve_both_ways,
)
from affect4d.evaluation.metrics import Scores, SettingScores, chance_scores, score_predictions
from affect4d.evaluation.micro_expression_features_and_evaluation import evaluate_clips
from affect4d.evaluation.prediction_tables_and_leak_checks import SETTINGS, Setting, labelled_rows, prediction_table
from affect4d.evaluation.sequence_embeddings_and_probabilities import (
    classify_sequences,
    embed_sequences,
    window_rows,
)
from affect4d.evaluation.zero_shot import predict_by_prompts, prompt_embeddings, prompt_influence
from affect4d.models import build_model, load_model
from affect4d.models.options import ModelOptions
from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore, table_digest
from affect4d.views.bank import ViewBank, load_view_bank
from affect4d.views.input_options import InputOptions

BOOTSTRAP_SEED = 0
PromptEnsembles = Mapping[str, Sequence[str]]
"""Prompts of every expression, in the order of ``EXPRESSIONS``."""
FREE_TEXT_SETS: Mapping[str, PromptEnsembles] = {
    "free_text": FREE_TEXT,
    **{f"free_text_{kind}": texts for kind, texts in FREE_TEXT_BY_KIND.items()},
}
"""Sentences that nothing trains on: all of them, those about the face, those about situations."""


@dataclass(frozen=True)
class Evaluator:
    """Images, labels and split that every model is evaluated on; row i of ``sequences`` is sequence i of the bank."""

    bank: ViewBank
    sequences: pd.DataFrame
    split: SubjectSplit
    inputs: InputOptions
    quiet: bool = False
    setting: Setting = "sequence"

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

    def at(self, setting: Setting) -> "Evaluator":
        """The same sequences and images in another setting than ``"sequence"``; the apex is the window's middle."""
        if setting == "sequence":
            return self
        windows = [window_rows(self.bank, name) for name in self.bank.sequences]
        apex = torch.zeros_like(self.bank.in_window)
        apex[[rows[len(rows) // 2] for rows in windows]] = True
        own = torch.arange(len(self.bank)) if setting == "single_scan" else self.bank.neutral
        return replace(self, bank=replace(self.bank, in_window=apex, neutral=own), setting=setting)

    def by_prompts(self, model: Any, name: str, prompts: PromptEnsembles | None = None) -> pd.DataFrame:
        """Predictions of a vision-language model by prompt ensembles; by the project's own where None."""
        return self.by_prompt_sets(model, {name: prompts})[name]

    def by_prompt_sets(self, model: Any, prompts: Mapping[str, PromptEnsembles | None]) -> dict[str, pd.DataFrame]:
        """:meth:`by_prompts` for several prompt ensembles by the name of their predictions."""
        embeddings = embed_sequences(
            model, self.bank, self.inputs, sequences=self.unseen()["sequence"].tolist(), quiet=self.quiet
        )
        return {
            name: predict_by_prompts(model, embeddings, self.sequences, self.split, name, texts)
            for name, texts in prompts.items()
        }

    def by_probes(self, model: Any, name: str) -> dict[str, pd.DataFrame]:
        """Predictions of a linear probe and of nearest neighbours on a model's frozen features."""
        features = embed_sequences(model, self.bank, self.inputs).hidden
        probes = {"linear_probe": probe_linearly, "knn": probe_neighbours}
        return {
            kind: probe(features, self.sequences, self.split, f"{name}.{kind}")
            for kind, probe in tqdm(probes.items(), "fitting probes", disable=None, dynamic_ncols=True)
        }

    def by_linear_probe(self, model: Any, name: str) -> pd.DataFrame:
        """Predictions of a linear probe alone."""
        features = embed_sequences(model, self.bank, self.inputs).hidden
        return probe_linearly(features, self.sequences, self.split, name)

    def by_probe_across_views(
        self, model: Any, name: str, trained: Sequence[str], fitted: Sequence[str], tested: Sequence[str]
    ) -> pd.DataFrame:
        """Predictions of a probe fitted on some views and tested on others, one at a time; averaged over each side."""
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


Evaluated = tuple[dict[str, Any], pd.DataFrame]
"""Scores, and predictions on the sequences of test subjects."""
ChooseDevice = Callable[[], torch.device]


@dataclass(frozen=True)
class EvaluationData:
    """Views, subject split and model inputs that an evaluation is made on."""

    views: pd.DataFrame
    split: dict[str, Any]
    inputs: InputOptions
    store: ContentStore

    def evaluator(self) -> Evaluator:
        """Evaluator of the labelled sequences."""
        return Evaluator.prepare(self.views, self.split, self.inputs, self.store)

    def bank(self) -> ViewBank:
        """Bank of all sequences, labelled or not."""
        return load_view_bank(self.views.assign(head_poses=0), self.store, self.inputs)

    def key_parts(self) -> dict[str, Any]:
        """Everything of this that a cached evaluation depends on."""
        views = table_digest(self.views[["sequence", "subject", "expression", "checksum"]])
        return {"views": views, "split": self.split["digest"], "inputs": self.inputs}


@dataclass(frozen=True)
class SavedModel:
    """A trained model in a folder, loaded when an evaluation needs it."""

    folder: Path
    device: ChooseDevice

    def load(self) -> Any:
        """The model on its device."""
        return load_model(self.folder, self.device())


@dataclass(frozen=True)
class UntrainedModel:
    """SMILE-VLM with the weights its training began from."""

    size: ModelOptions
    seed: int
    device: ChooseDevice

    def build(self, rendered_views: int, inputs: InputOptions) -> Any:
        """The model on its device."""
        views, channels = inputs.input_shape(rendered_views)
        size = self.size.model_copy(update={"views": views, "channels": channels})
        return build_model("smile_vlm", size, self.seed).to(self.device())


def evaluate_affect_vlm(data: EvaluationData, model: SavedModel, prompts: PromptEnsembles) -> Evaluated:
    """Scores and predictions of AffectVLM by its prompts; beside them, under their names, those by free text."""
    loaded = model.load()
    sets = {"affect_vlm": prompts, **{f"affect_vlm.{name}": texts for name, texts in FREE_TEXT_SETS.items()}}
    scores, predictions = in_every_setting(data.evaluator(), lambda at: at.by_prompt_sets(loaded, sets))
    return {**scores.pop("affect_vlm"), **{_last(name): found for name, found in scores.items()}}, predictions


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def measure_prompt_influence(data: EvaluationData, model: SavedModel, prompts: PromptEnsembles) -> pd.DataFrame:
    """Effect of each prompt of AffectVLM's ensembles on its predictions."""
    evaluator, loaded = data.evaluator(), model.load()
    unseen = evaluator.unseen()
    embeddings = embed_sequences(loaded, evaluator.bank, data.inputs, sequences=unseen["sequence"].tolist())
    labels = unseen["expression"].map(list(prompts).index).to_numpy()
    return prompt_influence(embeddings.fused, labels, prompts, prompt_embeddings(loaded, prompts))


def evaluate_smile_vlm(data: EvaluationData, model: SavedModel, prompts: PromptEnsembles) -> Evaluated:
    """Scores and predictions of SMILE-VLM by linear probe, nearest neighbours, prompts and free text."""
    loaded = model.load()

    sets = {f"smile_vlm.{name}": texts for name, texts in {"zero_shot": prompts, **FREE_TEXT_SETS}.items()}

    def predict(at: Evaluator) -> dict[str, pd.DataFrame]:
        by_text = at.by_prompt_sets(loaded, sets)
        return {**at.by_probes(loaded, "smile_vlm"), **{_last(name): table for name, table in by_text.items()}}

    return in_every_setting(data.evaluator(), predict)


def evaluate_micro_expressions(
    data: EvaluationData, clips: pd.DataFrame, model: SavedModel, untrained: UntrainedModel
) -> Evaluated:
    """Scores and predictions of SMILE-VLM's image encoder on micro-expressions, beside its baselines."""
    bank = data.bank()
    models = model.load(), untrained.build(len(bank.views), data.inputs)
    split = SubjectSplit.from_dict(data.split)
    scores, predictions = evaluate_clips(*models, bank, data.inputs, clips, split)
    return {**scores}, predictions


def evaluate_references(data: EvaluationData, cross_entropy: SavedModel, untrained: UntrainedModel) -> Evaluated:
    """Scores and predictions of the supervised model of the same size, and of an untrained image encoder."""
    evaluator = data.evaluator()
    supervised, encoder = cross_entropy.load(), untrained.build(len(evaluator.bank.views), data.inputs)

    def predict(at: Evaluator) -> dict[str, pd.DataFrame]:
        probes = at.by_probes(encoder, "untrained_encoder")
        return {
            "cross_entropy": at.by_head(supervised, "cross_entropy"),
            "untrained_encoder": probes["linear_probe"],
            "untrained_encoder_knn": probes["knn"],
        }

    return in_every_setting(evaluator, predict)


def evaluate_representation(
    evaluator: Evaluator, model: Any, name: str, prompts: PromptEnsembles | None = None
) -> Evaluated:
    """Scores (``few_shot``, ``retrieval``) and t-SNE map of a frozen model; no retrieval without prompts."""
    embeddings = embed_sequences(model, evaluator.bank, evaluator.inputs, quiet=evaluator.quiet)
    sequences, split = evaluator.sequences, evaluator.split
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    scores: dict[str, Any] = {"few_shot": few_shot_scores(embeddings.hidden, sequences, split, generator)}
    unseen = evaluator.unseen()
    shown = embeddings.of(unseen["sequence"].tolist())
    if prompts is not None:
        expressions = unseen["expression"].tolist()
        scores["retrieval"] = {
            source: retrieve_both_ways(shown.fused, expressions, prompt_embeddings(model, texts))
            for source, texts in (("prompts", prompts), ("free_text", FREE_TEXT))
        }
    return scores, embedding_map(shown.hidden, unseen, name)


def evaluate_representations(
    data: EvaluationData, smile: SavedModel, affect: SavedModel, untrained: UntrainedModel, prompts: PromptEnsembles
) -> Evaluated:
    """Few-shot accuracy, retrieval and t-SNE of SMILE-VLM, its untrained encoder, and AffectVLM, which saw labels."""
    evaluator = data.evaluator()
    models: dict[str, tuple[Any, PromptEnsembles | None]] = {
        "smile_vlm": (smile.load(), prompts),
        "untrained_encoder": (untrained.build(len(evaluator.bank.views), data.inputs), None),
        "affect_vlm": (affect.load(), prompts),
    }
    found = {name: evaluate_representation(evaluator, model, name, texts) for name, (model, texts) in models.items()}
    maps = pd.concat([table for _, table in found.values()], ignore_index=True)
    return {name: scores for name, (scores, _) in found.items()}, maps


def evaluate_baselines(
    data: EvaluationData,
    scan_manifest: pd.DataFrame,
    actions: pd.DataFrame | None,
    rules: PseudoLabelOptions,
    blendshapes: pd.DataFrame | None = None,
) -> Evaluated:
    """Scores and predictions of chance and of every baseline whose inputs exist."""
    evaluator = data.evaluator()

    def predict(at: Evaluator) -> dict[str, pd.DataFrame]:
        given = at.sequences, at.split, scan_manifest, actions, rules, blendshapes
        tables = baseline_predictions(at.bank, data.inputs, *given, setting=at.setting)
        return {str(name): table for name, table in tables.groupby("model", sort=False)}

    scores, predictions = in_every_setting(evaluator, predict)
    return {"chance": chance_scores(evaluator.unseen()), **scores}, predictions


def fit_action_unit_head(data: EvaluationData, model: SavedModel, truth: pd.DataFrame, folder: Path) -> None:
    """Fit the action units of a frozen model on training subjects, and write its head to a folder."""
    subjects = data.views.set_index("sequence")["subject"]
    train = {str(name): owner for name, owner in subjects.items() if owner in data.split["train"]}
    save_head(fit_head(model.load(), data.bank(), data.inputs, truth, train), folder)


def evaluate_action_units(
    data: EvaluationData,
    truth: pd.DataFrame,
    models: Mapping[str, tuple[SavedModel, Path]],
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    """Scores by setting and name of models, each with the folder of its head, and of regressions on measurements."""
    heads = {name: (model.load(), load_head(folder)) for name, (model, folder) in models.items()}
    split = SubjectSplit.from_dict(data.split)
    return evaluate_heads(heads, data.bank(), data.inputs, truth, data.views[["sequence", "subject"]], split, tables)


def action_unit_measurements(scan_manifest: pd.DataFrame, blendshapes: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """Measurements by (sequence, frame) that action units are regressed on: landmarks and blendshape scores."""
    tables = {}
    if scan_manifest["landmarks"].notna().any():
        tables["landmark_ridge"] = landmark_table(scan_manifest)
    if blendshapes is not None and blendshapes.notna().all(axis=1).any():
        tables["blendshape_ridge"] = blendshapes.set_index(["sequence", "frame"])
    return tables


def in_every_setting(evaluator: Evaluator, predict: Callable[[Evaluator], Mapping[str, pd.DataFrame]]) -> Evaluated:
    """Scores by name; ``settings`` in them are those of every setting, the rest is of ``"sequence"``.

    ``predict`` makes prediction tables by name, and fits what is fitted, in the setting of the evaluator that it is
    given. The table of all predictions has a column ``setting``.
    """
    tables = {setting: predict(evaluator.at(setting)) for setting in SETTINGS}
    scores: dict[str, Any] = {name: {**evaluator.scores(table)} for name, table in tables["sequence"].items()}
    for name, scored in scores.items():
        scored["settings"] = {
            setting: _setting_scores(evaluator.scores(found[name]))
            for setting, found in tables.items()
            if name in found
        }
    rows = [table.assign(setting=setting) for setting, found in tables.items() for table in found.values()]
    return scores, pd.concat(rows, ignore_index=True)


def _setting_scores(scores: Scores) -> SettingScores:
    return {
        "accuracy": scores["accuracy"],
        "interval": scores["interval"],
        "macro_f1": scores["macro_f1"],
        "ece": scores["ece"],
    }
