"""nothing → a raw 4D corpus on disk, in BU-4DFE's own file formats."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.fabricate.nodes import fabricate_raw_corpus


def create_pipeline() -> Pipeline:
    """One node."""
    return pipeline(
        [
            node(
                fabricate_raw_corpus,
                inputs=["params:raw_corpus", "raw_store", "params:engine"],
                outputs="raw_corpus",
                name="fabricate_raw_corpus",
            )
        ],
        tags="fabricate",
    )
