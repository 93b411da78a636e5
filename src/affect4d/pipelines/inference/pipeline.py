"""Trained models → packaged models; raw scans → predictions; a packaged model → files for other software."""

from kedro.pipeline import Node, Pipeline, node, pipeline

from affect4d.pipelines.inference.nodes import draw_gallery, export_model, predict_scans
from affect4d.pipelines.inference.packaging import describe_training_data, package_model

PROMPTS = {"affect_vlm": "augmented_prompts", "smile_vlm": "pseudo_prompts"}
"""Prompts of each model that predicts by prompts."""


def create_pipeline() -> Pipeline:
    """Stages `package`, `predict` and `export`."""
    predicting = pipeline([*_predict(), _export()], namespace="inference", prefix_datasets_with_namespace=False)
    return sum((_package(method) for method in PROMPTS), start=predicting)


def _package(method: str) -> Pipeline:
    return pipeline(
        [
            node(
                describe_training_data,
                inputs=["prompts", "view_manifest", "raw_corpus", "subject_split"],
                outputs="training_data",
                name="describe_training_data",
                tags="package",
            ),
            node(
                package_model,
                inputs={
                    "model": "model",
                    "metrics": "metrics",
                    "training_data": "training_data",
                    "settings": "settings",
                    "ingest": "params:ingest",
                    "render": "params:render",
                    "model_store": "model_store",
                },
                outputs="packaged_model",
                name="package",
                tags="package",
            ),
        ],
        namespace=method,
        inputs={
            "prompts": PROMPTS[method],
            **{name: name for name in ("view_manifest", "raw_corpus", "subject_split", "model_store")},
            **{name: f"{method}_{name}" for name in ("model", "metrics", "settings")},
        },
        outputs={name: f"{method}_{name}" for name in ("training_data", "packaged_model")},
        parameters={"ingest", "render"},
    )


def _predict() -> list[Node]:
    return [
        node(
            predict_scans,
            inputs=["params:predict", "served_model", "params:engine"],
            outputs=["predictions", "timelines", "prediction_images", "prediction_summary"],
            name="predict_scans",
            tags="predict",
        ),
        node(
            draw_gallery,
            inputs={
                "predictions": "predictions",
                "timelines": "timelines",
                "images": "prediction_images",
                "options": "params:predict",
                "packaged_model": "served_model",
                "run_info": "run_info",
            },
            outputs="prediction_gallery",
            name="draw_gallery",
            tags="predict",
        ),
    ]


def _export() -> Node:
    return node(
        export_model,
        inputs=["params:export", "served_model", "export_store"],
        outputs="exported_model",
        name="export_model",
        tags="export",
    )
