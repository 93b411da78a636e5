"""views, plan, pseudo-labeled prompts → SMILE-VLM; no label takes part."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.train_smile.nodes import train_smile_vlm


def create_pipeline() -> Pipeline:
    """One training node."""
    return pipeline(
        [
            node(
                train_smile_vlm,
                inputs={
                    "view_manifest": "view_manifest",
                    "view_plan": "smile_vlm_view_plan",
                    "prompts": "pseudo_prompts",
                    "view_store": "view_store",
                    "model_store": "model_store",
                    "inputs": "params:inputs",
                    "model": "params:model",
                    "train": "params:smile_vlm.train",
                    "objective": "params:smile_vlm.objective",
                },
                outputs="smile_vlm_model",
                name="train_smile_vlm",
            )
        ],
        tags="train_smile",
    )
