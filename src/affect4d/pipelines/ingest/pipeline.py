"""raw folders → validated manifest, canonical scans, ingest report, subject split."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.ingest.nodes import ingest_scans, split_subjects


def create_pipeline() -> Pipeline:
    """Check the scans, then split their subjects."""
    return pipeline(
        [
            node(
                ingest_scans,
                inputs=["raw_corpus", "params:ingest", "scan_store"],
                outputs=["scan_manifest", "sequences", "ingest_report"],
                name="ingest_scans",
            ),
            node(
                split_subjects,
                inputs=["sequences", "params:split"],
                outputs="subject_split",
                name="split_subjects",
            ),
        ],
        tags="ingest",
    )
