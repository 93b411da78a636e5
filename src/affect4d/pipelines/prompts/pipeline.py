"""manifests → augmented prompts; pseudo-labeled prompts."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.prompts.nodes import write_augmented_prompts, write_pseudo_prompts


def create_pipeline() -> Pipeline:
    """One table of prompts for each model."""
    return pipeline(
        [
            node(
                write_augmented_prompts,
                inputs=["sequences", "params:prompts", "prompt_store"],
                outputs="augmented_prompts",
                name="write_augmented_prompts",
            ),
            node(
                write_pseudo_prompts,
                inputs={
                    "scan_manifest": "scan_manifest",
                    "view_manifest": "view_manifest",
                    "subject_split": "subject_split",
                    "options": "params:pseudo_labels",
                    "inputs": "params:inputs",
                    "model": "params:model",
                    "train": "params:smile_vlm.train",
                    "augment": "params:smile_vlm.augment",
                    "objective": "params:smile_vlm.objective",
                    "view_store": "view_store",
                    "model_store": "model_store",
                    "prompt_store": "prompt_store",
                },
                outputs="pseudo_prompts",
                name="write_pseudo_prompts",
            ),
        ],
        tags="prompts",
    )
