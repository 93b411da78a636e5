"""manifest, scans → augmented prompts; pseudo-labeled prompts."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.prompts.nodes import write_augmented_prompts, write_geometric_prompts


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
                write_geometric_prompts,
                inputs=["scan_manifest", "subject_split", "params:pseudo_prompts", "prompt_store"],
                outputs="pseudo_prompts",
                name="write_pseudo_prompts",
            ),
        ],
        tags="prompts",
    )
