"""Text for both models: augmented prompts from labels, pseudo-labeled prompts without any."""

from typing import Any

import pandas as pd

from affect4d.models.options import ModelOptions
from affect4d.prompts.compose import PromptOptions, compose_prompts, own_prompts
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.store import ContentStore, code_version, content_key, local_digest, table_digest
from affect4d.training.options import SmileOptions, TrainOptions
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions


def write_augmented_prompts(
    sequences: pd.DataFrame, options: PromptOptions, prompt_store: ContentStore
) -> pd.DataFrame:
    """Templates filled with the expression's many words and the attributes the corpus itself gives."""
    labelled = sequences.dropna(subset=["expression"]).reset_index(drop=True)
    given = {"sequences": table_digest(labelled), "options": options, "own": own_prompts(options)}
    key = content_key(**given, code=code_version("affect4d.prompts.compose"))
    return prompt_store.table(f"augmented-{key}", lambda: compose_prompts(labelled, options))


def write_pseudo_prompts(
    scan_manifest: pd.DataFrame,
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    options: PseudoLabelOptions,
    inputs: InputOptions,
    model: ModelOptions,
    train: TrainOptions,
    augment: MixedViewOptions,
    objective: SmileOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    prompt_store: ContentStore,
) -> pd.DataFrame:
    """Prompts made without labels, by the source of the options: the tables it is handed have no label column."""

    def make() -> pd.DataFrame:
        from affect4d.pseudo_labels.refresh import Refreshing  # torch costs seconds
        from affect4d.pseudo_labels.sources import Unlabelled, write_pseudo_prompts

        epochs = train.model_copy(update={"epochs": options.cluster.epochs})
        refreshing = Refreshing(inputs, model, epochs, augment, objective, model_store)
        taught = subject_split["train"]
        data = Unlabelled.of(scan_manifest, view_manifest, view_store, taught, refreshing, inputs.frames)
        return write_pseudo_prompts(data, options)

    scans = table_digest(scan_manifest[["sequence", "subject", "frame", "landmarks"]])
    given: dict[str, Any] = {"scans": scans, "subjects": subject_split["train"], "options": options}
    if looks_at_pictures(options):
        given |= {"views": table_digest(view_manifest[["sequence", "checksum"]])}
        given |= {"training": [inputs, model, train, augment, objective]}
        named = (options.zero_shot, model.towers)
        given |= {"weights": [local_digest(one.name, one.pretrained) for one in named]}
    code = code_version("affect4d.pseudo_labels.sources")
    return prompt_store.table(f"pseudo-{content_key(**given, code=code)}", make)


def looks_at_pictures(options: PseudoLabelOptions) -> bool:
    """Whether a source needs more than landmarks."""
    return options.source == "zero_shot" or (options.source == "cluster" and options.cluster.refreshes > 0)
