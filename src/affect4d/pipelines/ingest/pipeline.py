"""raw folders → validated manifest, canonical scans, ingest report and its page, subject split."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.ingest.nodes import ingest_scans, split_subjects
from affect4d.pipelines.ingest.page import write_ingest_page


def create_pipeline() -> Pipeline:
    """Check the scans, tell how that went, split their subjects."""
    return pipeline(
        [
            node(
                ingest_scans,
                inputs=["raw_corpus", "params:ingest", "scan_store", "params:engine"],
                outputs=["scan_manifest", "sequences", "ingest_report", "corpus_completeness"],
                name="ingest_scans",
            ),
            node(
                split_subjects,
                inputs=["sequences", "raw_corpus", "params:split"],
                outputs="subject_split",
                name="split_subjects",
            ),
            node(
                write_ingest_page,
                inputs={
                    "raw_corpus": "raw_corpus",
                    "manifest": "scan_manifest",
                    "report": "ingest_report",
                    "completeness": "corpus_completeness",
                    "options": "params:ingest_page",
                    "scan_store": "scan_store",
                },
                outputs=["ingest_page", "latest_ingest_page"],
                name="write_ingest_page",
            ),
        ],
        tags="ingest",
    )
