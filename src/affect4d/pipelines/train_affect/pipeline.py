"""views, plan, augmented prompts → AffectVLM."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.train_affect.nodes import train_affect_vlm


def create_pipeline() -> Pipeline:
    """One training node."""
    return pipeline(
        [
            node(
                train_affect_vlm,
                inputs={
                    "view_manifest": "view_manifest",
                    "view_plan": "affect_vlm_view_plan",
                    "prompts": "augmented_prompts",
                    "view_store": "view_store",
                    "model_store": "model_store",
                    "inputs": "params:inputs",
                    "model": "params:model",
                    "train": "params:affect_vlm.train",
                    "objective": "params:affect_vlm.objective",
                },
                outputs="affect_vlm_model",
                name="train_affect_vlm",
            )
        ],
        tags="train_affect",
    )
