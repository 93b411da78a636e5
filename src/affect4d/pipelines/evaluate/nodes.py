"""Models and baselines → scores and predictions per sequence, on subjects never seen in training."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from affect4d.models.options import ModelOptions
from affect4d.prompts.compose import PromptOptions, ensembles
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.store import ContentStore, cached, table_digest
from affect4d.training.options import TrainOptions
from affect4d.views.inputs import InputOptions

if TYPE_CHECKING:
    from affect4d.evaluation.evaluate_models import SavedModel, UntrainedModel

Evaluated = tuple[dict[str, Any], pd.DataFrame]


def evaluate_affect_vlm(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """Scores and predictions of AffectVLM by its prompts."""
    from affect4d.evaluation import evaluate_models as models

    data, texts = models.EvaluationData(view_manifest, subject_split, inputs, view_store), ensembles(prompts)
    evaluate = partial(models.evaluate_affect_vlm, data, saved_model(record, model_store, train), texts)
    return cached(answer_store, "affect_vlm", evaluate, **data.key_parts(), model=record["key"], prompts=texts)


def measure_prompts(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> pd.DataFrame:
    """Effect of each prompt of AffectVLM's ensembles on its predictions."""
    from affect4d.evaluation import evaluate_models as models

    data, texts = models.EvaluationData(view_manifest, subject_split, inputs, view_store), ensembles(prompts)
    measure = partial(models.measure_prompt_influence, data, saved_model(record, model_store, train), texts)
    return cached(answer_store, "prompt_influence", measure, **data.key_parts(), model=record["key"], prompts=texts)


def evaluate_smile_vlm(
    view_manifest: pd.DataFrame,
    sequences: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    size: ModelOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """Scores and predictions of SMILE-VLM; labels enter here, after training.

    A corpus of micro-expressions has a protocol of its own; see :mod:`affect4d.evaluation.micro_evaluation`.
    """
    from affect4d.evaluation import evaluate_models as models
    from affect4d.evaluation.micro_features import has_clips, labelled_clips

    model = saved_model(record, model_store, train)
    if has_clips(sequences):
        clips = labelled_clips(sequences)
        views = view_manifest[view_manifest["sequence"].isin(clips["sequence"])].reset_index(drop=True)
        data = models.EvaluationData(views, subject_split, inputs, view_store)
        evaluate = partial(models.evaluate_micro_expressions, data, clips, model, untrained_model(size, train))
        given = {**data.key_parts(), "clips": table_digest(clips), "size": size, "seed": train.seed}
        return cached(answer_store, "micro", evaluate, **given, model=record["key"])
    data, texts = models.EvaluationData(view_manifest, subject_split, inputs, view_store), ensembles(prompts)
    evaluate = partial(models.evaluate_smile_vlm, data, model, texts)
    return cached(answer_store, "smile_vlm", evaluate, **data.key_parts(), model=record["key"], prompts=texts)


def compare_on_clips(predictions: pd.DataFrame, raw_corpus: dict[str, Any], seed: int) -> list[Mapping[str, Any]]:
    """SMILE-VLM beside every baseline on micro-expressions (claim 9); empty where the corpus has none."""
    from affect4d.evaluation.micro_evaluation import MICRO_PROTOCOLS
    from affect4d.experiments.evidence import micro_transfer_findings

    if not predictions["model"].str.endswith(tuple(MICRO_PROTOCOLS)).any():
        return []
    return micro_transfer_findings(predictions, f"train_smile on {raw_corpus['name']}, seed {seed}")


def evaluate_references(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    model: ModelOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """Scores and predictions of the supervised model of the same size, and of an untrained image encoder."""
    from affect4d.evaluation import evaluate_models as models

    data = models.EvaluationData(view_manifest, subject_split, inputs, view_store)
    trained, untrained = saved_model(record, model_store, train), untrained_model(model, train)
    evaluate = partial(models.evaluate_references, data, trained, untrained)
    given = {**data.key_parts(), "model": record["key"], "size": model, "seed": train.seed}
    return cached(answer_store, "references", evaluate, **given)


def measure_granularity(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    affect: dict[str, Any],
    smile: dict[str, Any],
    cross_entropy: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> dict[str, Any]:
    """Scores of every trained model on single scans, on the window round the apex, and on whole sequences."""
    from affect4d.evaluation import evaluate_models as models

    data, texts = models.EvaluationData(view_manifest, subject_split, inputs, view_store), ensembles(prompts)
    records = {"affect_vlm": affect, "smile_vlm.zero_shot": smile, "cross_entropy": cross_entropy}
    trained = {name: saved_model(record, model_store, train) for name, record in records.items()}
    measure = partial(models.evaluate_granularity, data, trained, texts)
    given = {**data.key_parts(), "models": [record["key"] for record in records.values()], "prompts": texts}
    return cached(answer_store, "granularity", measure, **given)


def evaluate_representations(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    smile: dict[str, Any],
    affect: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    model: ModelOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """Few-shot accuracy, retrieval and t-SNE of SMILE-VLM, its untrained encoder, and AffectVLM, which saw labels."""
    from affect4d.evaluation import evaluate_models as models

    data, texts = models.EvaluationData(view_manifest, subject_split, inputs, view_store), ensembles(prompts)
    saved = {"smile": saved_model(smile, model_store, train), "affect": saved_model(affect, model_store, train)}
    untrained = untrained_model(model, train)
    evaluate = partial(models.evaluate_representations, data, **saved, untrained=untrained, prompts=texts)
    given = {**data.key_parts(), "models": [smile["key"], affect["key"]], "size": model, "seed": train.seed}
    return cached(answer_store, "representations", evaluate, **given, prompts=texts)


def evaluate_baselines(
    view_manifest: pd.DataFrame,
    scan_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    raw_corpus: dict[str, Any],
    inputs: InputOptions,
    pseudo_labels: PseudoLabelOptions,
    view_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """Scores and predictions of chance, pixels, motion, landmarks and, where they are known, the true action units."""
    from affect4d.evaluation import evaluate_models as models

    actions = true_actions(raw_corpus)
    data = models.EvaluationData(view_manifest, subject_split, inputs, view_store)
    evaluate = partial(models.evaluate_baselines, data, scan_manifest, actions, pseudo_labels)
    scans = table_digest(scan_manifest[["sequence", "subject", "frame", "landmarks"]])
    truth = None if actions is None else table_digest(actions)
    given = {**data.key_parts(), "scans": scans, "actions": truth, "rules": pseudo_labels}
    return cached(answer_store, "baselines", evaluate, **given)


def measure_pseudo_labels(
    pseudo_prompts: pd.DataFrame, view_manifest: pd.DataFrame, subject_split: dict[str, Any]
) -> dict[str, Any]:
    """Coverage and accuracy of the pseudo-labels, on either side of the split."""
    from affect4d.evaluation.metrics import score_pseudo_labels

    sides = {side: view_manifest[view_manifest["subject"].isin(subject_split[side])] for side in ("train", "test")}
    return {side: {**score_pseudo_labels(pseudo_prompts, rows)} for side, rows in sides.items()}


def saved_model(record: dict[str, Any], store: ContentStore, train: TrainOptions) -> "SavedModel":
    """A recorded model, to be loaded on the device that this run trains on."""
    from affect4d.evaluation.evaluate_models import SavedModel
    from affect4d.training.device import choose_device

    return SavedModel(store, record["entry"], partial(choose_device, train.device))


def untrained_model(size: ModelOptions, train: TrainOptions) -> "UntrainedModel":
    """SMILE-VLM with the weights its training began from, to be built on the device that this run trains on."""
    from affect4d.evaluation.evaluate_models import UntrainedModel
    from affect4d.training.device import choose_device

    return UntrainedModel(size, train.seed, partial(choose_device, train.device))


def true_actions(raw_corpus: dict[str, Any]) -> pd.DataFrame | None:
    """The action weights a synthetic corpus was made with; None for any other."""
    truth = Path(raw_corpus["root"]) / "actions.parquet"
    return pd.read_parquet(truth) if truth.exists() else None
