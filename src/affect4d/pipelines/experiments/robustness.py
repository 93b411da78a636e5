"""Robustness: canonical scans of a few test subjects, corrupted and rendered again."""

from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.experiments.settings import ExperimentSettings, RobustnessOptions
from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.prompts import prompt_ensembles
from affect4d.rendering.options import RenderOptions
from affect4d.store import ContentStore


def gather_models(
    affect_vlm: dict[str, Any], smile_vlm: dict[str, Any], cross_entropy: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Records of the three trained models, by the name that their predictions carry."""
    return {"affect_vlm": affect_vlm, "smile_vlm.zero_shot": smile_vlm, "cross_entropy": cross_entropy}


def choose_clips(
    view_manifest: pd.DataFrame,
    scan_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    options: RobustnessOptions,
    settings: ExperimentSettings,
) -> Any:
    """Sequences of a few test subjects; see :func:`affect4d.experiments.robustness.choose_clips`."""
    from affect4d.experiments import robustness

    tested = subject_split["test"]
    return robustness.choose_clips(
        view_manifest, scan_manifest, tested, options.subjects, options.seed, settings.inputs
    )


def corrupt_scans(
    clips: Any,
    raw_corpus: dict[str, Any],
    models: dict[str, dict[str, Any]],
    cache_store: ContentStore,
    options: RobustnessOptions,
    render: RenderOptions,
    settings: ExperimentSettings,
    engine: EngineOptions = IN_PROCESS,
) -> pd.DataFrame:
    """Predictions of every model on the clips, under every corruption at every strength."""
    from affect4d.experiments.robustness import RobustnessTest, measure_robustness
    from affect4d.synthetic.generated_source import open_source

    test = RobustnessTest(
        clips=clips,
        source=open_source(raw_corpus),
        render=render,
        inputs=settings.inputs,
        models={name: Path(record["folder"]) for name, record in models.items()},
        prompts=prompt_ensembles(settings.prompts),
        device=settings.train.device,
    )
    return measure_robustness(test, options.corruptions, cache_store, engine)


def summarise_robustness(predictions: pd.DataFrame, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Accuracy by corruption and strength, and the mean corruption error against cross-entropy.

    Returns:
        As :func:`affect4d.experiments.robustness.summarise_robustness`; ``entries``: the models that were evaluated.
    """
    from affect4d.experiments import robustness

    entries = {record["model"]: record["entry"] for record in models.values()}
    return {**robustness.summarise_robustness(predictions), "entries": entries}
