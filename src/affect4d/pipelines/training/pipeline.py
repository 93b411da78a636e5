"""Views, augmentation schedule, prompts → AffectVLM, SMILE-VLM and the cross-entropy baseline."""

from kedro.pipeline import Pipeline, pipeline

from affect4d.pipelines import node
from affect4d.pipelines.training.nodes import train_model

STAGES = {"affect_vlm": "train_affect", "smile_vlm": "train_smile", "cross_entropy": "train_reference"}
PROMPTS = {"affect_vlm": "augmented_prompts", "smile_vlm": "pseudo_prompts", "cross_entropy": "augmented_prompts"}
SCHEDULED_AS = {"cross_entropy": "affect_vlm"}
"""A model without an augmentation schedule of its own → the model whose schedule it takes."""
SHARED = ("view_manifest", "view_store", "model_store")


def create_pipeline() -> Pipeline:
    """The same template for every method, each in its own namespace."""
    return sum((_of_method(method) for method in STAGES), start=Pipeline([]))


def _of_method(method: str) -> Pipeline:
    training = node(
        train_model,
        {
            "view_manifest": "view_manifest",
            "schedule": "augmentation_schedule",
            "prompts": "prompts",
            "settings": "settings",
            "view_store": "view_store",
            "model_store": "model_store",
            "checkpoints": "params:train",
            "distributed": "params:distributed",
        },
        ["model", "history"],
        name="train",
        tags=STAGES[method],
    )
    own = {
        "prompts": PROMPTS[method],
        "settings": f"{method}_settings",
        "augmentation_schedule": f"{SCHEDULED_AS.get(method, method)}_augmentation_schedule",
    }
    return pipeline(
        [training],
        namespace=method,
        inputs={**own, **{name: name for name in SHARED}},
        outputs={name: f"{method}_{name}" for name in ("model", "history")},
        parameters={"train", "distributed"},
    )
