"""The pipelines a user names, each the whole chain up to its own result, so that it works on a fresh clone."""

from collections.abc import Mapping

from kedro.pipeline import Pipeline

from affect4d.configuration_layers_and_checks import FORMER_PIPELINES
from affect4d.pipelines import data, evaluation, experiments, inference, model_input, reporting, training
from affect4d.pipelines.experiments.pipeline import STUDIES

PARTS = (data, model_input, training, evaluation, reporting, experiments, inference)
MODELS = ("affect_vlm", "smile_vlm")
RESULTS: Mapping[str, tuple[str, ...]] = {
    "generate": ("raw_corpus", "true_action_units"),
    "ingest": ("scan_manifest", "ingest_report", "ingest_page", "subject_split"),
    "render": ("view_manifest", "view_contact_sheet"),
    "augment": (*(f"{model}_augmentation_schedule" for model in MODELS), "augmentation_sheet"),
    "prompts": ("augmented_prompts", "pseudo_prompts"),
    "train_affect": ("affect_vlm_metrics", "affect_vlm_packaged_model"),
    "train_smile": ("smile_vlm_metrics", "smile_vlm_packaged_model", "smile_vlm_micro_comparison"),
    "package": tuple(f"{model}_packaged_model" for model in MODELS),
    "evaluate": (
        *(f"{model}_metrics" for model in MODELS),
        "reference_metrics",
        "baseline_metrics",
        "representation_scores",
        "pseudo_label_accuracy",
        *(f"{owner}_action_unit_scores" for owner in (*MODELS, "baseline")),
    ),
    "report": ("summary", "report", *(f"{model}_card" for model in MODELS)),
}
"""Name of a pipeline → the artefacts it makes, with everything they need; together they are the default run."""
ON_REQUEST: Mapping[str, tuple[str, ...]] = {
    **{f"study_{name}": (f"{name}_study_page",) for name in STUDIES},
    "blendshapes": ("blendshape_scores",),
    "claims": ("stored_claims", "claims_page"),
    "cross_validate": ("cross_validation_scores",),
    "evaluate_packaged": ("packaged_metrics", "packaged_comparison"),
    "export": ("exported_model",),
    "landmarks": ("landmark_table", "landmark_files", "landmark_summary"),
    "predict": ("predictions", "timelines", "prediction_gallery"),
    "robustness": ("robustness",),
}
"""Likewise; costly, or about scans of the user's own: run only when named."""


def register_pipelines() -> dict[str, Pipeline]:
    """Join the parts into the pipelines a user names."""
    whole = sum((part.create_pipeline() for part in PARTS), start=Pipeline([]))
    named = {name: whole.to_outputs(*results) for name, results in {**RESULTS, **ON_REQUEST}.items()}
    default = sum((named[name] for name in RESULTS), start=Pipeline([]))
    former = {old: named[new] for old, new in FORMER_PIPELINES.items()}
    return {"__default__": default, **named, **former}
