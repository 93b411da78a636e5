"""Canonical scans, corrupted and rendered again → accuracy of trained models on them."""

from typing import Any

import pandas as pd

from affect4d.engine import IN_PROCESS, EngineOptions
from affect4d.experiments.settings import RobustnessOptions
from affect4d.prompts.compose import PromptOptions, ensembles
from affect4d.rendering.cameras import RenderOptions
from affect4d.store import ContentStore
from affect4d.training.options import TrainOptions
from affect4d.views.inputs import InputOptions

Document = dict[str, Any]


def corrupt_scans(
    raw_corpus: Document,
    scan_manifest: pd.DataFrame,
    view_manifest: pd.DataFrame,
    subject_split: Document,
    affect_vlm: Document,
    smile_vlm: Document,
    cross_entropy: Document,
    model_store: ContentStore,
    answer_store: ContentStore,
    options: RobustnessOptions,
    render: RenderOptions,
    inputs: InputOptions,
    prompts: PromptOptions,
    train: TrainOptions,
    engine: EngineOptions = IN_PROCESS,
) -> pd.DataFrame:
    """Predictions of every model on scans of a few test subjects, under every corruption at every strength.

    Raises:
        ValueError: If the models see dynamic images, which a few corrupted frames do not make.
    """
    if inputs.motion == "dynamic":
        raise ValueError(
            "A few frames of a sequence are corrupted, of which no dynamic image can be made as in training: "
            "train with --params inputs.motion=stacked, views or none, and test those models."
        )
    from affect4d.experiments.robustness import RobustnessTest, choose_clips, measure_robustness
    from affect4d.synthetic.generated_source import open_source

    tested = subject_split["test"]
    test = RobustnessTest(
        clips=choose_clips(view_manifest, scan_manifest, tested, options.subjects, options.seed, inputs),
        source=open_source(raw_corpus),
        render=render,
        inputs=inputs,
        models={
            "affect_vlm": model_store.path(affect_vlm["entry"]),
            "smile_vlm.zero_shot": model_store.path(smile_vlm["entry"]),
            "cross_entropy": model_store.path(cross_entropy["entry"]),
        },
        prompts=ensembles(prompts),
        device=train.device,
    )
    return measure_robustness(test, options.corruptions, answer_store, engine)


def summarise_corruptions(
    predictions: pd.DataFrame, affect_vlm: Document, smile_vlm: Document, cross_entropy: Document
) -> Document:
    """Accuracy by corruption and strength, and the mean corruption error against cross-entropy.

    Returns:
        As :func:`~affect4d.experiments.robustness.summarise_robustness`; ``entries``: which trained models those are.
    """
    from affect4d.experiments.robustness import summarise_robustness

    trained = {"affect_vlm": affect_vlm, "smile_vlm": smile_vlm, "cross_entropy": cross_entropy}
    entries = {name: record["entry"] for name, record in trained.items()}
    return {**summarise_robustness(predictions), "entries": entries}
