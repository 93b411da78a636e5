"""Models and baselines → scores and predictions per sequence, on subjects never seen in training."""

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from affect4d.experiments.settings import ExperimentSettings
from affect4d.left_out import LeftOut, MissingInputError
from affect4d.pretrained_files import FACE_API_WEIGHTS
from affect4d.prompts.emotion_prompts import prompt_ensembles
from affect4d.scans.action_unit_truth import action_unit_truth
from affect4d.store import ContentStore, cache_key, cached, cached_folder, table_digest

if TYPE_CHECKING:
    from affect4d.evaluation.evaluate_models import EvaluationData, SavedModel, UntrainedModel

SIDES = {"train": "training", "test": "test"}
UNLABELLED = "None is labelled with one of the six expressions: label the scans (docs/data.md)."

LOGGER = logging.getLogger(__name__)
ModelRecord = dict[str, Any]
"""Record of a trained model: ``key`` and ``folder``."""


def evaluate_affect_vlm(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    model: ModelRecord,
    settings: ExperimentSettings,
    view_store: ContentStore,
    cache_store: ContentStore,
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Scores and predictions of AffectVLM by its prompts, and the effect of each prompt on them."""
    from affect4d.evaluation import evaluate_models as models

    data = _labelled_data(view_manifest, subject_split, settings, view_store)
    texts, saved = prompt_ensembles(settings.prompts), _saved(model, settings)
    given = {**data.key_parts(), "model": model["key"], "prompts": texts}
    scores, predictions = cached(
        cache_store, "affect_vlm", partial(models.evaluate_affect_vlm, data, saved, texts), **given
    )
    measure = partial(models.measure_prompt_influence, data, saved, texts)
    return scores, predictions, cached(cache_store, "prompt_influence", measure, **given)


def evaluate_smile_vlm(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    sequences: pd.DataFrame,
    model: ModelRecord,
    settings: ExperimentSettings,
    view_store: ContentStore,
    cache_store: ContentStore,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Scores and predictions of SMILE-VLM; labels enter here. Micro-expressions have a protocol of their own."""
    from affect4d.evaluation import evaluate_models as models
    from affect4d.evaluation.micro_expression_features_and_evaluation import has_clips, labelled_clips

    saved = _saved(model, settings)
    if has_clips(sequences):
        clips = labelled_clips(sequences)
        views = view_manifest[view_manifest["sequence"].isin(clips["sequence"])].reset_index(drop=True)
        data = models.EvaluationData(views, subject_split, settings.inputs, view_store)
        evaluate = partial(models.evaluate_micro_expressions, data, clips, saved, _untrained(settings))
        given = {**data.key_parts(), "clips": table_digest(clips), "size": settings.model, "seed": settings.train.seed}
        return cached(cache_store, "micro", evaluate, **given, model=model["key"])
    data = _labelled_data(view_manifest, subject_split, settings, view_store)
    texts = prompt_ensembles(settings.prompts)
    evaluate = partial(models.evaluate_smile_vlm, data, saved, texts)
    return cached(cache_store, "smile_vlm", evaluate, **data.key_parts(), model=model["key"], prompts=texts)


def compare_on_micro_expressions(
    predictions: pd.DataFrame, raw_corpus: dict[str, Any], settings: ExperimentSettings, run_info: dict[str, Any]
) -> list[dict[str, Any]]:
    """SMILE-VLM beside every baseline on micro-expressions (claim 9); empty where the corpus has none."""
    from affect4d.evaluation.micro_expression_features_and_evaluation import MICRO_PROTOCOLS
    from affect4d.experiments.claims import micro_transfer_findings

    if not predictions["model"].str.endswith(tuple(MICRO_PROTOCOLS)).any():
        return []
    rows = micro_transfer_findings(predictions, f"train_smile on {raw_corpus['name']}, seed {settings.train.seed}")
    return [{**row, "made": run_info["made"][:10]} for row in rows]


def evaluate_references(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    cross_entropy: ModelRecord,
    settings: ExperimentSettings,
    view_store: ContentStore,
    cache_store: ContentStore,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Scores and predictions of the supervised model of the same size, and of an untrained image encoder."""
    from affect4d.evaluation import evaluate_models as models

    data = _labelled_data(view_manifest, subject_split, settings, view_store)
    evaluate = partial(models.evaluate_references, data, _saved(cross_entropy, settings), _untrained(settings))
    given = {**data.key_parts(), "model": cross_entropy["key"], "size": settings.model, "seed": settings.train.seed}
    return cached(cache_store, "references", evaluate, **given)


def evaluate_representations(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    smile: ModelRecord,
    affect: ModelRecord,
    settings: ExperimentSettings,
    view_store: ContentStore,
    cache_store: ContentStore,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Few-shot accuracy, retrieval and t-SNE of SMILE-VLM, its untrained encoder, and AffectVLM, which saw labels."""
    from affect4d.evaluation import evaluate_models as models

    data = _labelled_data(view_manifest, subject_split, settings, view_store)
    texts = prompt_ensembles(settings.prompts)
    saved = {"smile": _saved(smile, settings), "affect": _saved(affect, settings)}
    evaluate = partial(models.evaluate_representations, data, **saved, untrained=_untrained(settings), prompts=texts)
    given = {**data.key_parts(), "models": [smile["key"], affect["key"]], "prompts": texts}
    given |= {"size": settings.model, "seed": settings.train.seed}
    return cached(cache_store, "representations", evaluate, **given)


def evaluate_baselines(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    scan_manifest: pd.DataFrame,
    true_action_units: pd.DataFrame,
    blendshape_scores: pd.DataFrame | LeftOut,
    settings: ExperimentSettings,
    view_store: ContentStore,
    cache_store: ContentStore,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Scores and predictions of chance and of every baseline whose inputs exist."""
    from affect4d.evaluation import evaluate_models as models
    from affect4d.evaluation.face_api_expression_reader import reader_version

    data = _labelled_data(view_manifest, subject_split, settings, view_store)
    actions = true_action_units if len(true_action_units) else None
    blendshapes = None if isinstance(blendshape_scores, LeftOut) else blendshape_scores
    evaluate = partial(
        models.evaluate_baselines, data, scan_manifest, actions, settings.pseudo_labels, blendshapes=blendshapes
    )
    scans = table_digest(scan_manifest[["sequence", "subject", "frame", "landmarks"]])
    truth, scored = (None if table is None else table_digest(table) for table in (actions, blendshapes))
    given = {**data.key_parts(), "scans": scans, "actions": truth, "rules": settings.pseudo_labels}
    if not reader_version():
        LOGGER.info("The baseline face_api is left out. %s", FACE_API_WEIGHTS.remedy)
    given |= {"face_api": reader_version(), "blendshapes": scored}
    return cached(cache_store, "baselines", evaluate, **given)


def fit_action_units(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    scan_manifest: pd.DataFrame,
    true_action_units: pd.DataFrame,
    model: ModelRecord,
    settings: ExperimentSettings,
    view_store: ContentStore,
    model_store: ContentStore,
) -> dict[str, Any]:
    """Fit a model's action units on training subjects; the record has ``key``, ``entry`` and ``folder`` of the head."""
    from affect4d.evaluation import evaluate_models as models

    truth = action_unit_truth(true_action_units, scan_manifest)
    data, given = _action_unit_data(view_manifest, subject_split, truth, settings, view_store)
    fit = partial(models.fit_action_unit_head, data, _saved(model, settings), truth)
    given |= {"model": model["key"]}
    entry = cached_folder(model_store, f"action_units/{settings.method}", fit, **given)
    return {"key": cache_key(fit, **given), "entry": entry, "folder": str(model_store.path(entry))}


def evaluate_action_units(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    scan_manifest: pd.DataFrame,
    true_action_units: pd.DataFrame,
    model: ModelRecord,
    action_unit_head: ModelRecord,
    settings: ExperimentSettings,
    view_store: ContentStore,
    cache_store: ContentStore,
) -> dict[str, Any]:
    """Scores of a model's action units on test subjects, by setting and name."""
    from affect4d.evaluation import evaluate_models as models

    truth = action_unit_truth(true_action_units, scan_manifest)
    data, given = _action_unit_data(view_manifest, subject_split, truth, settings, view_store)
    heads = {str(settings.method): (_saved(model, settings), Path(action_unit_head["folder"]))}
    evaluate = partial(models.evaluate_action_units, data, truth, heads, {})
    given |= {"head": action_unit_head["key"]}
    return cached(cache_store, "action_units", evaluate, **given, method=settings.method)


def evaluate_action_unit_baselines(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    scan_manifest: pd.DataFrame,
    true_action_units: pd.DataFrame,
    blendshape_scores: pd.DataFrame | LeftOut,
    settings: ExperimentSettings,
    view_store: ContentStore,
    cache_store: ContentStore,
) -> dict[str, Any]:
    """Scores of ridge regression on landmarks and on blendshape scores, where they are there; as of a model."""
    from affect4d.evaluation import evaluate_models as models

    truth = action_unit_truth(true_action_units, scan_manifest)
    data, given = _action_unit_data(view_manifest, subject_split, truth, settings, view_store)
    blendshapes = None if isinstance(blendshape_scores, LeftOut) else blendshape_scores
    tables = models.action_unit_measurements(scan_manifest, blendshapes)
    evaluate = partial(models.evaluate_action_units, data, truth, {}, tables)
    given |= {"tables": {name: table_digest(_named_columns(table)) for name, table in tables.items()}}
    return cached(cache_store, "action_unit_baselines", evaluate, **given)


def _action_unit_data(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    truth: pd.DataFrame,
    settings: ExperimentSettings,
    view_store: ContentStore,
) -> tuple["EvaluationData", dict[str, Any]]:
    """What action units are fitted and scored on, and everything of it that a cached result depends on."""
    from affect4d.evaluation.evaluate_models import EvaluationData

    data = EvaluationData(view_manifest, subject_split, settings.inputs, view_store)
    return data, {**data.key_parts(), "truth": table_digest(truth.reset_index())}


def _named_columns(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns=str).reset_index()


def measure_pseudo_labels(
    pseudo_prompts: pd.DataFrame, view_manifest: pd.DataFrame, subject_split: dict[str, Any]
) -> dict[str, Any]:
    """Coverage and accuracy of the pseudo-labels, on either side of the split."""
    from affect4d.evaluation.metrics import score_pseudo_labels

    if view_manifest["expression"].isna().all():
        raise MissingInputError(f"The accuracy of pseudo-labels is not measured. {UNLABELLED}")
    sides = {side: view_manifest[view_manifest["subject"].isin(subject_split[side])] for side in ("train", "test")}
    return {side: {**score_pseudo_labels(pseudo_prompts, rows)} for side, rows in sides.items()}


def _labelled_data(
    view_manifest: pd.DataFrame, subject_split: dict[str, Any], settings: ExperimentSettings, view_store: ContentStore
) -> "EvaluationData":
    """What a model is evaluated on; MissingInputError if training or test subjects have no labelled sequence."""
    from affect4d.evaluation.evaluate_models import EvaluationData

    labelled = view_manifest.loc[view_manifest["expression"].notna(), "subject"]
    for side in ("train", "test"):
        if not labelled.isin(subject_split[side]).any():
            raise MissingInputError(f"No sequence of a {SIDES[side]} subject can be scored. {UNLABELLED}")
    return EvaluationData(view_manifest, subject_split, settings.inputs, view_store)


def _saved(model: ModelRecord, settings: ExperimentSettings) -> "SavedModel":
    """A recorded model, to be loaded on the device that this run trains on."""
    from affect4d.evaluation.evaluate_models import SavedModel
    from affect4d.training.device import choose_device

    return SavedModel(Path(model["folder"]), partial(choose_device, settings.train.device))


def _untrained(settings: ExperimentSettings) -> "UntrainedModel":
    """SMILE-VLM with its initial weights, to be built on the device that this run trains on."""
    from affect4d.evaluation.evaluate_models import UntrainedModel
    from affect4d.training.device import choose_device

    return UntrainedModel(settings.model, settings.train.seed, partial(choose_device, settings.train.device))
