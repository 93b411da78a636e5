"""Views → the mixed-view augmentation plans of both ways of training."""

from typing import Any

import pandas as pd
from PIL import Image

from affect4d.content import ContentStore
from affect4d.training.options import TrainOptions
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions, plan_mixed_views


def plan_affect_views(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    options: MixedViewOptions,
    train: TrainOptions,
    inputs: InputOptions,
    view_store: ContentStore,
) -> pd.DataFrame:
    """The supervised plan: class-balanced batches, views mixed among scans of one expression."""
    labelled = training_rows(view_manifest, subject_split).dropna(subset=["expression"])
    groups = dict(zip(labelled["sequence"], labelled["expression"], strict=True))
    return _plan(view_manifest, sorted(groups), options, train, inputs, view_store, groups)


def plan_smile_views(
    view_manifest: pd.DataFrame,
    pseudo_prompts: pd.DataFrame,
    subject_split: dict[str, Any],
    options: MixedViewOptions,
    train: TrainOptions,
    inputs: InputOptions,
    view_store: ContentStore,
) -> pd.DataFrame:
    """The self-supervised plan: views mixed inside one sequence, because anything wider would need a label.

    Sequences that could not be put into words (no landmarks in them, say) are left out.
    """
    unlabelled = view_manifest.drop(columns="expression")
    sequences = sorted(set(training_rows(unlabelled, subject_split)["sequence"]) & set(pseudo_prompts["sequence"]))
    return _plan(unlabelled, sequences, options, train, inputs, view_store, None)


def draw_augmentation_sheet(
    view_manifest: pd.DataFrame, view_plan: pd.DataFrame, inputs: InputOptions, view_store: ContentStore
) -> Image.Image:
    """A few rows of the plan, before and after."""
    from affect4d.views.bank import load_view_bank
    from affect4d.views.contact_sheet import augmentation_sheet

    return augmentation_sheet(load_view_bank(view_manifest, view_store, inputs), view_plan, inputs)


def training_rows(view_manifest: pd.DataFrame, subject_split: dict[str, Any]) -> pd.DataFrame:
    """Rows of the training subjects."""
    return view_manifest[view_manifest["subject"].isin(subject_split["train"])]


def _plan(
    view_manifest: pd.DataFrame,
    sequences: list[str],
    options: MixedViewOptions,
    train: TrainOptions,
    inputs: InputOptions,
    view_store: ContentStore,
    groups: dict[str, str] | None,
) -> pd.DataFrame:
    from affect4d.views.bank import load_view_bank

    bank = load_view_bank(view_manifest, view_store, inputs)
    index = bank.index()
    return plan_mixed_views(
        index[index["sequence"].isin(sequences)],
        options,
        epochs=train.epochs,
        batch_size=train.batch_size,
        samples_per_sequence=train.samples_per_sequence,
        seed=train.seed,
        views=bank.views,
        groups=groups,
    )
