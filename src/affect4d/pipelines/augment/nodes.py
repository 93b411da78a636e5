"""Views → the mixed-view augmentation plans of both ways of training."""

from typing import Any

import pandas as pd
from PIL import Image

from affect4d.store import ContentStore, code_version, content_key, table_digest
from affect4d.training.options import TrainOptions
from affect4d.training.sampling import draw_plan
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions
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
    expression_of = dict(zip(labelled["sequence"], labelled["expression"], strict=True))
    return draw_plan(labelled, options, train, inputs, expression_of, supervised=True)


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
    pseudo_label_of = dict(zip(pseudo_prompts["sequence"], pseudo_prompts["pseudo_label"], strict=True))
    known = unlabelled[unlabelled["sequence"].isin(pseudo_label_of)]
    return draw_plan(known, options, train, inputs, pseudo_label_of, supervised=False)


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
    key = content_key(views=views, plan=plan, inputs=inputs, code=code_version(__name__))
    return keep_sheet(view_store, f"augmentation-{key}", draw)


def training_rows(view_manifest: pd.DataFrame, subject_split: dict[str, Any]) -> pd.DataFrame:
    """Rows of the training subjects."""
    return view_manifest[view_manifest["subject"].isin(subject_split["train"])]
