"""Settings of each model, prompts, augmentation schedules, and a contact sheet of augmented views."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
from PIL import Image
from pydantic import BaseModel

from affect4d.experiments.settings import ExperimentSettings, Objectives
from affect4d.experiments.variants import MethodName
from affect4d.left_out import MissingInputError
from affect4d.models.options import ModelOptions, with_installed_text_encoder
from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.prompts.action_unit_captions import with_captions, wordings_digest
from affect4d.prompts.emotion_prompts import PromptOptions, compose_prompts, custom_prompts
from affect4d.pseudo_labels.options import LABELS, UNLABELLED, PseudoLabelOptions
from affect4d.rendering.options import BlendshapeOptions
from affect4d.scans.action_unit_truth import action_unit_truth, strengths_at_peak
from affect4d.store import ContentStore, cached, code_version, local_digest, table_digest
from affect4d.training.options import AffectOptions, CrossEntropyOptions, SmileOptions, StartingPoint, TrainOptions
from affect4d.training.sample_table_and_validation_split import draw_plan
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.input_options import InputOptions

SHEET_SAMPLES = 5  # rows of the augmentation schedule that the contact sheet shows


class AffectMethod(BaseModel, frozen=True, extra="forbid"):
    """Parameters `affect_vlm`."""

    augment: MixedViewOptions = MixedViewOptions()
    train: TrainOptions = TrainOptions()
    objective: AffectOptions = AffectOptions()


class SmileMethod(BaseModel, frozen=True, extra="forbid"):
    """Parameters `smile_vlm`."""

    augment: MixedViewOptions = MixedViewOptions()
    train: TrainOptions = TrainOptions()
    objective: SmileOptions = SmileOptions()


class CrossEntropyMethod(BaseModel, frozen=True, extra="forbid"):
    """Parameters `cross_entropy`; schedule and training are AffectVLM's."""

    objective: CrossEntropyOptions = CrossEntropyOptions()


def collect_settings(
    inputs: InputOptions,
    model: ModelOptions,
    prompts: PromptOptions,
    pseudo_labels: PseudoLabelOptions,
    affect_vlm: AffectMethod,
    smile_vlm: SmileMethod,
    cross_entropy: CrossEntropyMethod,
    starting_points: Sequence[StartingPoint] = (),
) -> tuple[ExperimentSettings, ExperimentSettings, ExperimentSettings]:
    """All settings of AffectVLM, SMILE-VLM and cross-entropy (AffectVLM's but for the method), with every loss."""
    model = with_installed_text_encoder(model)
    objectives = Objectives(
        affect_vlm=affect_vlm.objective, smile_vlm=smile_vlm.objective, cross_entropy=cross_entropy.objective
    )

    def settings(method: MethodName, options: AffectMethod | SmileMethod) -> ExperimentSettings:
        return ExperimentSettings(
            method=method,
            inputs=inputs,
            model=model,
            prompts=prompts,
            pseudo_labels=pseudo_labels,
            train=options.train,
            augment=options.augment,
            objectives=objectives,
            start=next(iter(starting_points), None),
        )

    affect, smile = settings("affect_vlm", affect_vlm), settings("smile_vlm", smile_vlm)
    return affect, smile, affect.model_copy(update={"method": "cross_entropy"})


def write_augmented_prompts(
    sequences: pd.DataFrame,
    scan_manifest: pd.DataFrame,
    true_action_units: pd.DataFrame,
    settings: ExperimentSettings,
    cache_store: ContentStore,
) -> pd.DataFrame:
    """Templates filled with synonyms of the expression and the attributes that the corpus supplies, and captions."""
    labelled = sequences.dropna(subset=["expression"]).reset_index(drop=True)
    if labelled.empty:
        raise MissingInputError(
            "No sequence is labelled with one of the six expressions, which AffectVLM and cross-entropy need: "
            "label the scans (docs/data.md), or train without labels (kedro run --pipeline=train_smile)."
        )
    options = settings.prompts
    strengths = _strengths(true_action_units, scan_manifest)
    given = {"sequences": table_digest(labelled), "options": options, "own": custom_prompts(options)}
    given |= {"strengths": table_digest(strengths.reset_index()), "wordings": wordings_digest()}
    return cached(cache_store, "augmented", partial(_prompts_and_captions, labelled, strengths, options), **given)


def _prompts_and_captions(sequences: pd.DataFrame, strengths: pd.DataFrame, options: PromptOptions) -> pd.DataFrame:
    return with_captions(compose_prompts(sequences, options), strengths, options)


def _strengths(true_action_units: pd.DataFrame, scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Strengths of action units by sequence; without rows where the corpus does not code them."""
    try:
        return strengths_at_peak(action_unit_truth(true_action_units, scan_manifest))
    except MissingInputError:
        return pd.DataFrame()


def write_pseudo_prompts(
    scan_manifest: pd.DataFrame,
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    settings: ExperimentSettings,
    view_store: ContentStore,
    cache_store: ContentStore,
    raw_corpus: dict[str, Any],
    blendshapes: BlendshapeOptions,
    engine: EngineOptions = IN_PROCESS,
) -> pd.DataFrame:
    """Prompts made without labels, by the source that the settings name."""
    from affect4d.pseudo_labels.pseudo_prompts import write_pseudo_prompts  # scikit-learn costs seconds

    def similarities() -> tuple[pd.DataFrame, float]:
        from affect4d.evaluation.zero_shot import prompt_similarities  # torch costs seconds

        views = view_manifest.drop(columns=list(LABELS), errors="ignore")
        return prompt_similarities(views, view_store, options.zero_shot, settings.inputs.frames)

    def blendshape_scores() -> pd.DataFrame:
        from affect4d.rendering.blendshape_scores import cached_scores
        from affect4d.synthetic.generated_scan_source import open_source

        return cached_scores(scan_manifest, open_source(raw_corpus), blendshapes, cache_store, engine)

    options = settings.pseudo_labels
    scans, trained = scan_manifest[list(UNLABELLED)], subject_split["train"]
    given: dict[str, Any] = {"scans": table_digest(scans), "subjects": trained, "options": options}
    given |= {"wordings": wordings_digest()}
    if options.source == "zero_shot":
        given |= {"views": table_digest(view_manifest[["sequence", "checksum"]]), "frames": settings.inputs.frames}
        given |= {"weights": local_digest(options.zero_shot.name, options.zero_shot.pretrained)}
        given |= {"similarity": code_version("affect4d.evaluation.zero_shot")}
    if options.source == "blendshapes":
        given |= {"scores": table_digest(blendshape_scores())}
    write = partial(write_pseudo_prompts, scans, trained, options, similarities, blendshape_scores)
    return cached(cache_store, "pseudo", write, **given)


def schedule_supervised(
    view_manifest: pd.DataFrame, subject_split: dict[str, Any], settings: ExperimentSettings
) -> pd.DataFrame:
    """AffectVLM's augmentation schedule: class-balanced batches, views mixed among scans of one expression."""
    labelled = _of_training(view_manifest, subject_split).dropna(subset=["expression"])
    expression_of = dict(zip(labelled["sequence"], labelled["expression"], strict=True))
    return draw_plan(labelled, settings.augment, settings.train, settings.inputs, expression_of, supervised=True)


def schedule_self_supervised(
    view_manifest: pd.DataFrame,
    pseudo_prompts: pd.DataFrame,
    subject_split: dict[str, Any],
    settings: ExperimentSettings,
) -> pd.DataFrame:
    """SMILE-VLM's augmentation schedule of pseudo-labelled sequences; views are mixed within one: no label is known."""
    unlabelled = _of_training(view_manifest.drop(columns="expression"), subject_split)
    pseudo_label_of = dict(zip(pseudo_prompts["sequence"], pseudo_prompts["pseudo_label"], strict=True))
    known = unlabelled[unlabelled["sequence"].isin(pseudo_label_of)]
    return draw_plan(known, settings.augment, settings.train, settings.inputs, pseudo_label_of, supervised=False)


def draw_augmentation_sheet(
    view_manifest: pd.DataFrame, schedule: pd.DataFrame, settings: ExperimentSettings, view_store: ContentStore
) -> Image.Image:
    """Contact sheet: a few rows of the augmentation schedule, before and after."""
    from affect4d.views.contact_sheets import schedule_sheet

    shown = schedule.head(SHEET_SAMPLES)
    make = partial(schedule_sheet, view_manifest, view_store, shown, settings.inputs, SHEET_SAMPLES)
    given = {"views": table_digest(view_manifest[["sequence", "checksum"]]), "schedule": table_digest(shown)}
    return cached(view_store, "sheets", make, **given, inputs=settings.inputs)


def _of_training(view_manifest: pd.DataFrame, subject_split: dict[str, Any]) -> pd.DataFrame:
    return view_manifest[view_manifest["subject"].isin(subject_split["train"])]
