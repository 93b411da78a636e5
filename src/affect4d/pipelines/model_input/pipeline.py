"""Parameters → settings of each model; manifests → prompts and augmentation schedules."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.model_input.nodes import (
    draw_augmentation_sheet,
    schedule_self_supervised,
    schedule_supervised,
    write_augmented_prompts,
    write_pseudo_prompts,
)
from affect4d.pipelines.model_input.settings import collect_self_supervised_settings, collect_supervised_settings

METHODS = ("affect_vlm", "smile_vlm", "cross_entropy")
PARAMETERS = [f"params:{name}" for name in ("inputs", "model", "prompts", "pseudo_labels", *METHODS)]


def create_pipeline() -> Pipeline:
    """Stages `settings`, `prompts` and `augment`."""
    nodes = [
        node(
            collect_supervised_settings,
            inputs=PARAMETERS,
            outputs=["affect_vlm_settings", "cross_entropy_settings"],
            name="collect_supervised_settings",
            tags="settings",
        ),
        node(
            collect_self_supervised_settings,
            inputs=PARAMETERS,
            outputs="smile_vlm_settings",
            name="collect_self_supervised_settings",
            tags="settings",
        ),
        node(
            write_augmented_prompts,
            inputs=["sequences", "affect_vlm_settings", "cache_store"],
            outputs="augmented_prompts",
            name="write_augmented_prompts",
            tags="prompts",
        ),
        node(
            write_pseudo_prompts,
            inputs={
                "scan_manifest": "scan_manifest",
                "view_manifest": "view_manifest",
                "subject_split": "subject_split",
                "settings": "smile_vlm_settings",
                "view_store": "view_store",
                "cache_store": "cache_store",
            },
            outputs="pseudo_prompts",
            name="write_pseudo_prompts",
            tags="prompts",
        ),
        node(
            schedule_supervised,
            inputs=["view_manifest", "subject_split", "affect_vlm_settings"],
            outputs="affect_vlm_augmentation_schedule",
            name="schedule_supervised",
            tags="augment",
        ),
        node(
            schedule_self_supervised,
            inputs=["view_manifest", "pseudo_prompts", "subject_split", "smile_vlm_settings"],
            outputs="smile_vlm_augmentation_schedule",
            name="schedule_self_supervised",
            tags="augment",
        ),
        node(
            draw_augmentation_sheet,
            inputs=["view_manifest", "affect_vlm_augmentation_schedule", "affect_vlm_settings", "view_store"],
            outputs="augmentation_sheet",
            name="draw_augmentation_sheet",
            tags="augment",
        ),
    ]
    return pipeline(nodes, namespace="model_input", prefix_datasets_with_namespace=False)
