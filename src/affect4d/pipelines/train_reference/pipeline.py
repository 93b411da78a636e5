"""views, plan, labels → the supervised cross-entropy model both papers' models are measured against."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.train_reference.nodes import train_cross_entropy


def create_pipeline() -> Pipeline:
    """Same tower, data, batches and optimiser as AffectVLM; only the objective differs."""
    return pipeline(
        [
            node(
                train_cross_entropy,
                inputs={
                    "view_manifest": "view_manifest",
                    "view_plan": "affect_vlm_view_plan",
                    "prompts": "augmented_prompts",
                    "view_store": "view_store",
                    "model_store": "model_store",
                    "inputs": "params:inputs",
                    "model": "params:model",
                    "train": "params:affect_vlm.train",
                    "objective": "params:cross_entropy.objective",
                },
                outputs="cross_entropy_model",
                name="train_cross_entropy",
            )
        ],
        tags="train_reference",
    )
