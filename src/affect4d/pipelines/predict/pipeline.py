"""raw scans, a bundle → predictions, timelines, a page of faces."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.predict.nodes import draw_gallery, predict_scans


def create_pipeline() -> Pipeline:
    """Predict; then show."""
    return pipeline(
        [
            node(
                predict_scans,
                inputs={"options": "params:predict", "bundle": "served_model", "engine": "params:engine"},
                outputs=[
                    "predictions",
                    "latest_predictions",
                    "timelines",
                    "latest_timelines",
                    "prediction_pictures",
                ],
                name="predict_scans",
            ),
            node(
                draw_gallery,
                inputs={
                    "predictions": "predictions",
                    "timelines": "timelines",
                    "pictures": "prediction_pictures",
                    "options": "params:predict",
                    "bundle": "served_model",
                },
                outputs=["prediction_gallery", "latest_prediction_gallery"],
                name="draw_gallery",
            ),
        ],
        tags="predict",
    )
