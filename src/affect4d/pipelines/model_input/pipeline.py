"""Parameters → settings of each model; manifests → prompts and augmentation schedules."""

from kedro.pipeline import Pipeline, pipeline

from affect4d.pipelines import named_node
from affect4d.pipelines.model_input import nodes
from affect4d.pipelines.model_input.start import find_start

METHODS = ("affect_vlm", "smile_vlm", "cross_entropy")
PARAMETERS = [f"params:{name}" for name in ("inputs", "model", "prompts", "pseudo_labels", *METHODS)]


def create_pipeline() -> Pipeline:
    """Stages `settings`, `prompts` and `augment`."""
    start = named_node(
        find_start,
        {
            "training": "params:train",
            "inputs": "params:inputs",
            "model": "params:model",
            "render": "params:render",
            "corpus": "params:raw_corpus.name",
            "find_model": "model_finder",
            "model_store": "model_store",
        },
        "starting_points",
    )
    settings = named_node(
        nodes.collect_settings, [*PARAMETERS, "starting_points"], [f"{name}_settings" for name in METHODS]
    )
    stages = pipeline([start, settings], tags="settings") + _prompts() + _augment()
    return pipeline(stages, namespace="model_input", prefix_datasets_with_namespace=False)


def _prompts() -> Pipeline:
    steps = [
        named_node(
            nodes.write_augmented_prompts,
            ["sequences", "scan_manifest", "true_action_units", "affect_vlm_settings", "cache_store"],
            "augmented_prompts",
        ),
        named_node(
            nodes.write_pseudo_prompts,
            {
                "scan_manifest": "scan_manifest",
                "view_manifest": "view_manifest",
                "subject_split": "subject_split",
                "settings": "smile_vlm_settings",
                "view_store": "view_store",
                "cache_store": "cache_store",
                "raw_corpus": "raw_corpus",
                "blendshapes": "params:blendshapes",
                "engine": "params:engine",
            },
            "pseudo_prompts",
        ),
    ]
    return pipeline(steps, tags="prompts")


def _augment() -> Pipeline:
    steps = [
        named_node(
            nodes.schedule_supervised,
            ["view_manifest", "subject_split", "affect_vlm_settings"],
            "affect_vlm_augmentation_schedule",
        ),
        named_node(
            nodes.schedule_self_supervised,
            ["view_manifest", "pseudo_prompts", "subject_split", "smile_vlm_settings"],
            "smile_vlm_augmentation_schedule",
        ),
        named_node(
            nodes.draw_augmentation_sheet,
            ["view_manifest", "affect_vlm_augmentation_schedule", "affect_vlm_settings", "view_store"],
            "augmentation_sheet",
        ),
    ]
    return pipeline(steps, tags="augment")
