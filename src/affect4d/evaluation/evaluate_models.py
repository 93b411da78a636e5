"""One function per evaluation of a run: each takes data and models, and returns scores and predictions to store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from affect4d.evaluation.baselines import baseline_predictions
from affect4d.evaluation.evaluator import GRANULARITIES, Evaluator, PromptEnsembles
from affect4d.evaluation.metrics import chance_scores
from affect4d.evaluation.micro_evaluation import evaluate_clips
from affect4d.evaluation.retrieval_and_few_shot import evaluate_representation
from affect4d.evaluation.zero_shot import FREE_TEXT
from affect4d.models import build_model, load_model
from affect4d.models.options import ModelOptions
from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore, table_digest
from affect4d.views.bank import load_view_bank
from affect4d.views.input_options import InputOptions

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
    """Scores and predictions of AffectVLM by its prompts."""
    evaluator = data.evaluator()
    predictions = evaluator.by_prompts(model.load(), "affect_vlm", prompts)
    return {**evaluator.scores(predictions)}, predictions


def measure_prompt_influence(data: EvaluationData, model: SavedModel, prompts: PromptEnsembles) -> pd.DataFrame:
    """Effect of each prompt of AffectVLM's ensembles on its predictions."""
    return data.evaluator().prompt_influence(model.load(), prompts)


def evaluate_smile_vlm(data: EvaluationData, model: SavedModel, prompts: PromptEnsembles) -> Evaluated:
    """Scores and predictions of SMILE-VLM by linear probe, nearest neighbours, prompts and free text."""
    evaluator, loaded = data.evaluator(), model.load()
    tables = evaluator.by_probes(loaded, "smile_vlm")
    tables["zero_shot"] = evaluator.by_prompts(loaded, "smile_vlm.zero_shot", prompts)
    tables["free_text"] = evaluator.by_prompts(loaded, "smile_vlm.free_text", FREE_TEXT)
    return _scored(evaluator, tables)


def evaluate_micro_expressions(
    data: EvaluationData, clips: pd.DataFrame, model: SavedModel, untrained: UntrainedModel
) -> Evaluated:
    """Scores and predictions of SMILE-VLM's image encoder on micro-expressions, beside its baselines."""
    bank = load_view_bank(data.views.assign(head_poses=0), data.store, data.inputs)
    models = model.load(), untrained.build(len(bank.views), data.inputs)
    split = SubjectSplit.from_dict(data.split)
    scores, predictions = evaluate_clips(*models, bank, data.inputs, clips, split, untrained.seed)
    return {**scores}, predictions


def evaluate_references(data: EvaluationData, cross_entropy: SavedModel, untrained: UntrainedModel) -> Evaluated:
    """Scores and predictions of the supervised model of the same size, and of an untrained image encoder."""
    evaluator = data.evaluator()
    probes = evaluator.by_probes(untrained.build(len(evaluator.bank.views), data.inputs), "untrained_encoder")
    tables = {
        "cross_entropy": evaluator.by_head(cross_entropy.load(), "cross_entropy"),
        "untrained_encoder": probes["linear_probe"],
        "untrained_encoder_knn": probes["knn"],
    }
    return _scored(evaluator, tables)


def evaluate_granularity(
    data: EvaluationData, models: dict[str, SavedModel], prompts: PromptEnsembles
) -> dict[str, Any]:
    """Scores of every trained model by granularity: single scans, the apex window, whole sequences.

    The model named ``cross_entropy`` predicts by its head, the others by prompts.
    """
    window = data.evaluator()
    loaded = {name: model.load() for name, model in models.items()}
    scores: dict[str, Any] = {name: {} for name in models}
    for granularity in GRANULARITIES:
        evaluator = window.at(granularity)
        for name, model in loaded.items():
            by_head = name == "cross_entropy"
            table = evaluator.by_head(model, name) if by_head else evaluator.by_prompts(model, name, prompts)
            scores[name][granularity] = window.scores(table)
    return scores


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
    maps = pd.concat([each.map for each in found.values()], ignore_index=True)
    return {name: each.scores for name, each in found.items()}, maps


def evaluate_baselines(
    data: EvaluationData, scan_manifest: pd.DataFrame, actions: pd.DataFrame | None, rules: PseudoLabelOptions
) -> Evaluated:
    """Scores and predictions of chance, pixels, motion, landmarks and, where they are known, the true action units."""
    evaluator = data.evaluator()
    sequences, split = evaluator.sequences, evaluator.split
    predictions = baseline_predictions(evaluator.bank, data.inputs, sequences, split, scan_manifest, actions, rules)
    scores = {str(name): evaluator.scores(table) for name, table in predictions.groupby("model", sort=False)}
    return {"chance": chance_scores(evaluator.unseen()), **scores}, predictions


def _scored(evaluator: Evaluator, tables: dict[str, pd.DataFrame]) -> Evaluated:
    scores = {name: evaluator.scores(table) for name, table in tables.items()}
    return scores, pd.concat(tables.values(), ignore_index=True)
