"""Views → the mixed-view augmentation plans of both ways of training."""

from typing import Any

import pandas as pd
from PIL import Image

from affect4d.content import ContentStore, code_version, content_key, table_digest
from affect4d.training.held_out import held_out_plan, held_out_subjects
from affect4d.training.options import TrainOptions
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions, plan_mixed_views
from affect4d.views.moments import find_moments
from affect4d.views.sheets import keep_sheet

SHEET_SAMPLES = 5
"""Rows of the plan that the augmentation sheet shows."""


def plan_affect_views(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    options: MixedViewOptions,
    train: TrainOptions,
    inputs: InputOptions,
) -> pd.DataFrame:
    """The supervised plan: class-balanced batches, views mixed among scans of one expression."""
    labelled = training_rows(view_manifest, subject_split).dropna(subset=["expression"])
    groups = dict(zip(labelled["sequence"], labelled["expression"], strict=True))
    return _plan(labelled, options, train, inputs, groups)


def plan_smile_views(
    view_manifest: pd.DataFrame,
    pseudo_prompts: pd.DataFrame,
    subject_split: dict[str, Any],
    options: MixedViewOptions,
    train: TrainOptions,
    inputs: InputOptions,
) -> pd.DataFrame:
    """The self-supervised plan: views mixed inside one sequence, because anything wider would need a label.

    Sequences that could not be put into words (no landmarks in them, say) are left out.
    """
    unlabelled = training_rows(view_manifest.drop(columns="expression"), subject_split)
    return _plan(unlabelled[unlabelled["sequence"].isin(pseudo_prompts["sequence"])], options, train, inputs, None)


def draw_augmentation_sheet(
    view_manifest: pd.DataFrame, view_plan: pd.DataFrame, inputs: InputOptions, view_store: ContentStore
) -> Image.Image:
    """A few rows of the plan, before and after."""
    shown = view_plan.head(SHEET_SAMPLES)

    def draw() -> Image.Image:
        from affect4d.views.bank import load_view_bank  # torch costs seconds
        from affect4d.views.contact_sheet import augmentation_sheet

        return augmentation_sheet(load_view_bank(view_manifest, view_store, inputs), shown, inputs, SHEET_SAMPLES)

    views, plan = table_digest(view_manifest[["sequence", "checksum"]]), table_digest(shown)
    key = content_key(views=views, plan=plan, inputs=inputs, code=code_version("views"))
    return keep_sheet(view_store, f"augmentation-{key}", draw)


def training_rows(view_manifest: pd.DataFrame, subject_split: dict[str, Any]) -> pd.DataFrame:
    """Rows of the training subjects."""
    return view_manifest[view_manifest["subject"].isin(subject_split["train"])]


def _plan(
    view_manifest: pd.DataFrame,
    options: MixedViewOptions,
    train: TrainOptions,
    inputs: InputOptions,
    groups: dict[str, str] | None,
) -> pd.DataFrame:
    """The plan of the subjects trained on and, where some are held out to choose the best epoch by, of those."""
    views = list(view_manifest["views"].iloc[0])
    held_out = view_manifest["subject"].isin(held_out_subjects(view_manifest["subject"], train.validation, train.seed))
    plan = plan_mixed_views(
        find_moments(view_manifest[~held_out], inputs.frames),
        options,
        epochs=train.epochs,
        batch_size=train.batch_size,
        samples_per_sequence=train.samples_per_sequence,
        seed=train.seed,
        views=views,
        groups=groups,
    )
    if not held_out.any():
        return plan
    unseen_frames = find_moments(view_manifest[held_out], inputs.frames)
    unseen = held_out_plan(unseen_frames, train.batch_size, train.seed, views)
    return pd.concat([plan, unseen], ignore_index=True)
