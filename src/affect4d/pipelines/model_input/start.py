"""The trained model that training starts from: found, compared with what this run trains, and kept by its digest."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from affect4d.configuration_layers_and_checks import flatten
from affect4d.inference.packaged_model_description import PackagedModel, read_description
from affect4d.models.options import ModelOptions
from affect4d.rendering.options import RenderOptions
from affect4d.scans.expression import EXPRESSIONS
from affect4d.store import ContentStore, cached_folder, content_key, file_digest
from affect4d.training.options import CheckpointOptions, StartingPoint
from affect4d.views.input_options import InputOptions

LOGGER = logging.getLogger(__name__)


def find_start(
    training: CheckpointOptions,
    inputs: InputOptions,
    model: ModelOptions,
    render: RenderOptions,
    corpus: str,
    find_model: Callable[[str], Path],
    model_store: ContentStore,
) -> list[StartingPoint]:
    """The model that ``train.start_from`` names, or nothing.

    Raises:
        StartMismatchError: If its image encoder cannot be taken over.
    """
    if training.start_from is None:
        return []
    from affect4d.training.starting_weights import check_start  # torch costs seconds

    packaged = find_model(training.start_from)
    description = read_description(packaged)
    check_start(training.start_from, description.options, description.inputs, model.encoder, inputs)
    digests = [file_digest(file) for file in sorted(packaged.glob("*.safetensors"))]
    digest = content_key(weights=digests, options=description.options)
    entry = cached_folder(model_store, "starts", partial(_write_model, packaged), digest=digest)
    start = StartingPoint(
        name=f"FOLDER_OF_{description.name.upper()}" if Path(training.start_from).exists() else training.start_from,
        digest=digest,
        folder=model_store.path(entry),
        views=description.views,
        channels=description.inputs.channel_names,
        learning_rate_factor=training.start_rate,
        differences=differences(description, inputs, model, render, corpus),
    )
    LOGGER.info("Trainings start from %s, at %s of the learning rate.", training.start_from, training.start_rate)
    for difference in start.differences:
        LOGGER.warning("The start differs in %s.", difference)
    return [start]


def differences(
    start: PackagedModel, inputs: InputOptions, model: ModelOptions, render: RenderOptions, corpus: str
) -> tuple[str, ...]:
    """Where a start differs from what this run trains, one sentence each."""

    def options(inputs: InputOptions, model: ModelOptions, render: RenderOptions) -> dict[str, Any]:
        own = {"dim": model.dim, "fusion": model.fusion, "encoder.text": model.encoder.text}
        return flatten({"inputs": inputs.model_dump(), "model": own, "render": render.image_options})

    theirs = {**options(start.inputs, start.options, start.render), "expressions": start.expressions}
    ours = {**options(inputs, model, render), "expressions": EXPRESSIONS}
    found = [
        f"{name}: {_shown(theirs.get(name))} there, {_shown(ours.get(name))} here"
        for name in dict.fromkeys([*theirs, *ours])
        if theirs.get(name) != ours.get(name)
    ]
    shared = set(start.origin.get("corpus", "").split("+")) & set(corpus.split("+"))
    if shared:
        names = ", ".join(sorted(shared))
        found.append(f"test subjects: it was trained on {names}, too, and may have seen those that are tested here")
    return tuple(found)


def _shown(value: Any) -> str:
    return "none" if value is None else " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _write_model(packaged: Path, folder: Path) -> None:
    """Write a packaged model's weights as a trained model's; parts that only training has are not among them."""
    from affect4d.inference.packaged_weights import TRAINING_ONLY, read_packaged_model
    from affect4d.models import save_model

    model = read_packaged_model(packaged).model
    learnt = {name: value for name, value in model.state_dict().items() if not name.startswith(TRAINING_ONLY)}
    save_model(model, folder, learnt)
