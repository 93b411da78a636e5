"""A trained model and how it was made → a packaged model: one folder with all that prediction needs."""

import importlib.metadata
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.configuration_layers_and_checks import corpus_parameters
from affect4d.experiments.settings import ExperimentSettings
from affect4d.left_out import LeftOut
from affect4d.prompts.emotion_prompts import prompt_ensembles
from affect4d.rendering.options import RenderOptions
from affect4d.scans.ingest import IngestOptions
from affect4d.store import ContentStore, cache_key, cached_folder

SCORE_PATHS = {"affect_vlm": (), "smile_vlm": ("zero_shot",)}
"""Where among a model's metrics its scores by prompts are, which is how a packaged model predicts."""
TRAINED_BY = {"affect_vlm": "train_affect", "smile_vlm": "train_smile"}


def describe_training_data(
    prompts: pd.DataFrame, view_manifest: pd.DataFrame, raw_corpus: dict[str, Any], subject_split: dict[str, Any]
) -> dict[str, Any]:
    """The corpus and subjects that a model is trained on, and the sentences of their prompts, each once, in order."""
    subjects = "synthetic people" if raw_corpus["synthetic"] else "people"
    trained = view_manifest.loc[view_manifest["subject"].isin(subject_split["train"]), "sequence"]
    return {
        "corpus": raw_corpus["name"],
        "trained_on": f"{len(subject_split['train'])} {subjects}",
        "tested_subjects": len(subject_split["test"]),
        "parameters": corpus_parameters(raw_corpus),
        "sentences": sorted(set(prompts.loc[prompts["sequence"].isin(trained), "prompt"])),
    }


def package_model(
    model: dict[str, Any],
    metrics: dict[str, Any] | LeftOut,
    action_unit_head: dict[str, Any] | LeftOut,
    training_data: dict[str, Any],
    settings: ExperimentSettings,
    ingest: IngestOptions,
    render: RenderOptions,
    model_store: ContentStore,
) -> dict[str, Any]:
    """Write a packaged model, unless it is there; its record has ``model``, ``key``, ``entry`` and ``folder``."""
    name = model["model"]
    description = {
        "name": name,
        "kind": name,
        "inputs": settings.inputs.model_dump(mode="json"),
        "render": render.image_options,
        "crop_radius": ingest.crop_radius,
        "prompts": prompt_ensembles(settings.prompts),
        "origin": _origin(model, training_data, settings.train.seed),
        "scores": _scores(metrics, name, training_data),
    }
    sentences = training_data["sentences"]
    head, head_key = None, None
    if not isinstance(action_unit_head, LeftOut):
        head, head_key = Path(action_unit_head["folder"]), action_unit_head["key"]
    fill = partial(_write, Path(model["folder"]), description, sentences, head)
    given = {**description, "action_units": head_key, "sentences": sentences}
    given |= {"views": list(render.angles)}  # view weights go by their order
    entry = cached_folder(model_store, f"packaged/{name}", fill, **given)
    return {"model": name, "key": cache_key(fill, **given), "entry": entry, "folder": str(model_store.path(entry))}


def _write(trained: Path, description: dict[str, Any], sentences: list[str], head: Path | None, folder: Path) -> None:
    from affect4d.evaluation.action_unit_head import load_head
    from affect4d.inference import PackagedModel, write_packaged_model
    from affect4d.inference.packaged_weights import expected_errors
    from affect4d.models import AffectVLM, SmileVLM, load_model  # open_clip costs seconds
    from affect4d.reporting.pages import render_packaged_model_card

    model = load_model(trained)
    if not isinstance(model, AffectVLM | SmileVLM):
        raise TypeError(f"{trained} holds a {type(model).__name__}, which has no text encoder to predict with.")
    units = None if head is None else load_head(head)
    errors = None if units is None else expected_errors(units)
    packaged = PackagedModel.model_validate({**description, "options": model.options, "action_units": errors})
    card = render_packaged_model_card(packaged.model_dump())
    write_packaged_model(folder, model, packaged, sentences, card=card, action_units=units)


def _origin(model: dict[str, Any], training_data: dict[str, Any], seed: int) -> dict[str, str]:
    start = model.get("start")
    started = f",train.start_from={start['name']}" if start else ""
    command = f"kedro run --pipeline={TRAINED_BY[model['model']]} --params {training_data['parameters']},seed={seed}"
    return {
        "corpus": training_data["corpus"],
        "trained_on": training_data["trained_on"],
        "command": command + started,
        "seed": str(seed),
        "model_key": model["key"],
        "affect4d": importlib.metadata.version("affect4d"),
        **(_start(start) if start else {}),
    }


def _start(start: dict[str, Any]) -> dict[str, str]:
    """What a model started from, in words."""
    return {
        "started_from": f"{start['name']}, weights {start['digest']}",
        "initialised_afresh": ", ".join(start["fresh"]) or "nothing",
        "start_differs_in": "; ".join(start["differences"]) or "nothing",
    }


def _scores(metrics: dict[str, Any] | LeftOut, name: str, training_data: dict[str, Any]) -> dict[str, Any] | None:
    """Scores of the model's answers by prompts; None where none are, or by another protocol (micro-expressions)."""
    scores = {} if isinstance(metrics, LeftOut) else metrics
    for part in SCORE_PATHS[name]:
        scores = scores.get(part, {})
    if "accuracy" not in scores:
        return None
    return {
        "accuracy": scores["accuracy"],
        "interval": tuple(scores["interval"]),
        "sequences": scores["sequences"],
        "subjects": training_data["tested_subjects"],
        "corpus": training_data["corpus"],
    }
