"""Trained models → packaged models; raw scans → predictions, landmarks; a packaged model → files for other software."""

from kedro.pipeline import Pipeline, pipeline

from affect4d.pipelines import named_node, node
from affect4d.pipelines.inference.nodes import (
    compare_packaged_model,
    draw_gallery,
    evaluate_packaged_model,
    export_model,
    find_scan_landmarks,
    predict_scans,
)
from affect4d.pipelines.inference.packaging import describe_training_data, package_model

PROMPTS = {"affect_vlm": "augmented_prompts", "smile_vlm": "pseudo_prompts"}
"""Prompts of each model that predicts by prompts."""
IMAGES = ("params:ingest", "params:render")
SHARED = ("view_manifest", "raw_corpus", "subject_split", "model_store")


def create_pipeline() -> Pipeline:
    """Stages `package`, `evaluate_packaged`, `predict`, `landmarks` and `export`."""
    predicting = pipeline(
        _evaluate() + _predict() + _landmarks() + _export(), namespace="inference", prefix_datasets_with_namespace=False
    )
    return sum((_package(method) for method in PROMPTS), start=predicting)


def _package(method: str) -> Pipeline:
    nodes = [
        named_node(
            describe_training_data, ["prompts", "view_manifest", "raw_corpus", "subject_split"], "training_data"
        ),
        node(
            package_model,
            ["model", "metrics", "action_unit_head", "training_data", "settings", *IMAGES, "model_store"],
            "packaged_model",
            name="package",
        ),
    ]
    own = {name: f"{method}_{name}" for name in ("model", "metrics", "action_unit_head", "settings")}
    return pipeline(
        nodes,
        namespace=method,
        tags="package",
        inputs={"prompts": PROMPTS[method], **own, **{name: name for name in SHARED}},
        outputs={name: f"{method}_{name}" for name in ("training_data", "packaged_model")},
        parameters={"ingest", "render"},
    )


def _evaluate() -> Pipeline:
    evaluating = named_node(
        evaluate_packaged_model,
        ["served_model", "view_manifest", "subject_split", *IMAGES, "view_store"],
        ["packaged_metrics", "packaged_predictions"],
    )
    comparing = named_node(
        compare_packaged_model, ["packaged_predictions", "evaluated_baselines"], "packaged_comparison"
    )
    return pipeline([evaluating, comparing], tags="evaluate_packaged")


def _predict() -> Pipeline:
    nodes = [
        named_node(
            predict_scans,
            ["params:predict", "served_model", "params:engine"],
            ["predictions", "timelines", "prediction_images", "prediction_summary"],
        ),
        named_node(
            draw_gallery,
            ["predictions", "timelines", "prediction_images", "params:predict", "served_model", "run_info"],
            "prediction_gallery",
        ),
    ]
    return pipeline(nodes, tags="predict")


def _landmarks() -> Pipeline:
    finding = named_node(
        find_scan_landmarks,
        ["params:landmarks", "params:engine"],
        ["landmark_table", "landmark_files", "landmark_summary"],
    )
    return pipeline([finding], tags="landmarks")


def _export() -> Pipeline:
    exporting = named_node(export_model, ["params:export", "served_model", "export_store"], "exported_model")
    return pipeline([exporting], tags="export")
