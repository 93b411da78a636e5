"""a bundle → a folder to hand on, with the model as ONNX."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.export.nodes import export_model


def create_pipeline() -> Pipeline:
    """One node."""
    return pipeline(
        [
            node(
                export_model,
                inputs={"options": "params:export", "bundle": "served_model", "export_store": "export_store"},
                outputs="exported_model",
                name="export_model",
            )
        ],
        tags="export",
    )
