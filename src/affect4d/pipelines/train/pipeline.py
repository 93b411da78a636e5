"""views, plan, prompts → AffectVLM, SMILE-VLM, and the cross-entropy model both are measured against."""

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node, Pipeline, node, pipeline

from affect4d.pipelines.train.nodes import train_affect_vlm, train_cross_entropy, train_smile_vlm


def create_pipeline() -> Pipeline:
    """One node a model, each a stage of its own; the peer has AffectVLM's plan, prompts and options."""
    return pipeline(
        [
            _training(train_affect_vlm, "affect_vlm", "augmented_prompts", stage="train_affect"),
            _training(train_smile_vlm, "smile_vlm", "pseudo_prompts", stage="train_smile"),
            _training(
                train_cross_entropy, "cross_entropy", "augmented_prompts", stage="train_reference", like="affect_vlm"
            ),
        ]
    )


def _training(function: Callable[..., Any], model: str, prompts: str, *, stage: str, like: str | None = None) -> Node:
    """A training node; ``like`` names the model whose plan and options it shares."""
    peer = like or model
    return node(
        function,
        inputs={
            "view_manifest": "view_manifest",
            "view_plan": f"{peer}_view_plan",
            "prompts": prompts,
            "view_store": "view_store",
            "model_store": "model_store",
            "inputs": "params:inputs",
            "model": "params:model",
            "train": f"params:{peer}.train",
            "objective": f"params:{model}.objective",
            "keeping": "params:train",
            "distributed": "params:distributed",
        },
        outputs=f"{model}_model",
        name=function.__name__,
        tags=stage,
    )
