"""trained models, how they were made, how well they do → bundles that answer."""

from kedro.pipeline import Node, Pipeline, node, pipeline

from affect4d.pipelines.bundle.nodes import bundle_model


def create_pipeline() -> Pipeline:
    """One bundle for each model that answers by prompts."""
    return pipeline([_bundling("affect_vlm", "augmented_prompts"), _bundling("smile_vlm", "pseudo_prompts")])


def _bundling(model: str, prompts: str) -> Node:
    return node(
        bundle_model,
        inputs={
            "record": f"{model}_model",
            "metrics": f"{model}_metrics",
            "written": prompts,
            "view_manifest": "view_manifest",
            "raw_corpus": "raw_corpus",
            "subject_split": "subject_split",
            "ingest": "params:ingest",
            "render": "params:render",
            "inputs": "params:inputs",
            "prompts": "params:prompts",
            "seed": "params:seed",
            "model_store": "model_store",
        },
        outputs=f"{model}_bundle",
        name=f"bundle_{model}",
        tags="bundle",
    )
