"""A trained model and how it was made → a bundle: one folder with all that answering needs."""

import importlib.metadata
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.prompts.compose import PromptOptions, ensembles
from affect4d.rendering.cameras import RenderOptions
from affect4d.scans.ingest import IngestOptions
from affect4d.store import ContentStore, code_version, content_key
from affect4d.views.inputs import InputOptions

Document = dict[str, Any]

SCORED_BY = {"affect_vlm": (), "smile_vlm": ("zero_shot",)}
"""Where among a model's metrics its answers by prompts are, which is how a bundle answers."""
TRAINED_BY = {"affect_vlm": "train_affect", "smile_vlm": "train_smile"}


def bundle_model(
    record: Document,
    metrics: Document,
    written: pd.DataFrame,
    view_manifest: pd.DataFrame,
    raw_corpus: Document,
    subject_split: Document,
    ingest: IngestOptions,
    render: RenderOptions,
    inputs: InputOptions,
    prompts: PromptOptions,
    seed: int,
    model_store: ContentStore,
) -> Document:
    """Write a model's bundle, unless it is there already.

    Args:
        record: Of the model in the store.
        metrics: Its scores on unseen people.
        written: The prompts of every sequence; the words of those it was trained on are known.
        view_manifest: Whose each sequence is.
        raw_corpus: Whose scans.
        subject_split: Who was trained on.
        ingest: How scans were cropped.
        render: How views were drawn.
        inputs: What the model sees of them.
        prompts: Where its prompts come from.
        seed: Of the run.
        model_store: Where the model is, and where the bundle goes.

    Returns:
        The record of the bundle: ``model``, ``key``, ``entry`` (its name in the store) and ``folder``.
    """
    name = record["model"]
    told = {
        "name": name,
        "kind": name,
        "inputs": inputs.model_dump(mode="json"),
        "render": render.picture,
        "crop_radius": ingest.crop_radius,
        "prompts": ensembles(prompts),
        "origin": _origin(record, raw_corpus, subject_split, seed),
        "scores": _scores(metrics, name, raw_corpus, subject_split),
    }
    sentences = sentences_trained_on(written, view_manifest, subject_split)
    views = list(render.angles)  # their order is what a model's weights of views go by
    key = content_key(**told, views=views, sentences=sentences, code=code_version(__name__))
    entry = f"bundles/{name}-{key}"
    if not model_store.has(entry):
        _write(model_store, entry, model_store.path(record["entry"]), told, sentences)
    return {"model": name, "key": key, "entry": entry, "folder": str(model_store.path(entry))}


def sentences_trained_on(written: pd.DataFrame, view_manifest: pd.DataFrame, split: Document) -> list[str]:
    """The prompts of training people's sequences, each once, in order."""
    trained = view_manifest.loc[view_manifest["subject"].isin(split["train"]), "sequence"]
    return sorted(set(written.loc[written["sequence"].isin(trained), "prompt"]))


def _write(store: ContentStore, entry: str, trained: Path, told: Document, sentences: list[str]) -> None:
    from affect4d.inference import PackagedModel, write_packaged_model
    from affect4d.models import AffectVLM, SmileVLM, load_model  # open_clip costs seconds
    from affect4d.reporting.bundle_card import render_bundle_card

    model = load_model(trained)
    if not isinstance(model, AffectVLM | SmileVLM):
        raise TypeError(f"{trained} holds a {type(model).__name__}, which has no text tower to answer with.")
    bundle = PackagedModel.model_validate({**told, "options": model.options})
    with store.write(entry) as folder:
        write_packaged_model(folder, model, bundle, sentences, card=render_bundle_card(bundle.model_dump()))


def _origin(record: Document, raw_corpus: Document, split: Document, seed: int) -> dict[str, str]:
    from affect4d.reporting.commands import corpus_parameters

    trained, given = TRAINED_BY[record["model"]], corpus_parameters(raw_corpus)
    people = "synthetic people" if raw_corpus["synthetic"] else "people"
    return {
        "corpus": raw_corpus["name"],
        "trained_on": f"{len(split['train'])} {people}",
        "command": f"kedro run --pipeline={trained} --params {given},seed={seed}",
        "seed": str(seed),
        "model_key": record["key"],
        "affect4d": importlib.metadata.version("affect4d"),
    }


def _scores(metrics: Document, name: str, raw_corpus: Document, split: Document) -> Document | None:
    """What is known of the model's answers by prompts; None where it was judged by others, as on micro-expressions."""
    scores = metrics
    for way in SCORED_BY[name]:
        scores = scores.get(way, {})
    if "accuracy" not in scores:
        return None
    return {
        "accuracy": scores["accuracy"],
        "interval": tuple(scores["interval"]),
        "sequences": scores["sequences"],
        "subjects": len(split["test"]),
        "corpus": raw_corpus["name"],
    }
