"""Models and baselines → scores and predictions per sequence, on subjects never seen in training."""

from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.content import ContentStore
from affect4d.models.options import ModelOptions
from affect4d.training.options import TrainOptions
from affect4d.views.inputs import InputOptions

Evaluated = tuple[dict[str, Any], pd.DataFrame]


def evaluate_affect_vlm(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    view_store: ContentStore,
    model_store: ContentStore,
) -> Evaluated:
    """AffectVLM, read by its prompts."""
    from affect4d.evaluation.examination import Examination
    from affect4d.models import load_model

    examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
    predictions = examination.by_prompts(load_model(model_store.path(record["entry"])), "affect_vlm")
    return {**examination.scores(predictions)}, predictions


def evaluate_smile_vlm(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    view_store: ContentStore,
    model_store: ContentStore,
) -> Evaluated:
    """SMILE-VLM, by linear probe, nearest neighbours and zero-shot; labels enter here, after training."""
    from affect4d.evaluation.examination import Examination
    from affect4d.models import load_model

    examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
    model = load_model(model_store.path(record["entry"]))
    ways = examination.by_probes(model, "smile_vlm")
    ways["zero_shot"] = examination.by_prompts(model, "smile_vlm.zero_shot")
    return {way: examination.scores(table) for way, table in ways.items()}, pd.concat(ways.values(), ignore_index=True)


def evaluate_references(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    model: ModelOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
) -> Evaluated:
    """The supervised model of the same size, and the self-supervised one's tower before any training."""
    from affect4d.evaluation.examination import Examination
    from affect4d.models import build_model, load_model

    examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
    trained = load_model(model_store.path(record["entry"]))
    views, channels = inputs.input_shape(len(examination.bank.views))
    size = model.model_copy(update={"views": views, "channels": channels})
    probes = examination.by_probes(build_model("smile_vlm", size, train.seed), "random_tower")
    tables = {
        "cross_entropy": examination.by_head(trained, "cross_entropy"),
        "random_tower": probes["linear_probe"],
        "random_tower_knn": probes["knn"],
    }
    scores = {name: examination.scores(table) for name, table in tables.items()}
    return scores, pd.concat(tables.values(), ignore_index=True)


def evaluate_baselines(
    view_manifest: pd.DataFrame,
    scan_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    raw_corpus: dict[str, Any],
    inputs: InputOptions,
    view_store: ContentStore,
) -> Evaluated:
    """What a model has to beat: chance, pixels, motion, landmarks; where the truth is known, the true actions."""
    from affect4d.evaluation.baselines import baseline_predictions
    from affect4d.evaluation.examination import Examination
    from affect4d.evaluation.metrics import chance_scores

    examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
    truth = Path(raw_corpus["root"]) / "actions.parquet"
    actions = pd.read_parquet(truth) if truth.exists() else None
    bank, sequences, split = examination.bank, examination.sequences, examination.split
    predictions = baseline_predictions(bank, inputs, sequences, split, scan_manifest, actions)
    unseen = sequences[sequences["subject"].isin(split.test)]
    scores = {str(name): examination.scores(table) for name, table in predictions.groupby("model", sort=False)}
    return {"chance": chance_scores(unseen), **scores}, predictions


def measure_pseudo_labels(
    pseudo_prompts: pd.DataFrame, view_manifest: pd.DataFrame, subject_split: dict[str, Any]
) -> dict[str, Any]:
    """How often the pseudo-labels, made without labels, name the expression that is there; on either side."""
    from affect4d.evaluation.purity import pseudo_label_purity

    sides = {side: view_manifest[view_manifest["subject"].isin(subject_split[side])] for side in ("train", "test")}
    return {side: {**pseudo_label_purity(pseudo_prompts, rows)} for side, rows in sides.items()}
