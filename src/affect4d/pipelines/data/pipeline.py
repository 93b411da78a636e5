"""Raw corpus → scan manifest → subject split → rendered views."""

from kedro.pipeline import Node, Pipeline, node, pipeline

from affect4d.pipelines.data.nodes import (
    draw_view_sheet,
    ingest_scans,
    list_protocols,
    render_views,
    split_subjects,
)
from affect4d.pipelines.data.raw_corpus import generate_raw_corpus
from affect4d.pipelines.data.write_ingest_page import write_ingest_page


def create_pipeline() -> Pipeline:
    """Stages `generate`, `ingest` and `render`."""
    return pipeline([_generate(), *_ingest(), *_render()], namespace="data", prefix_datasets_with_namespace=False)


def _generate() -> Node:
    return node(
        generate_raw_corpus,
        inputs=["params:raw_corpus", "raw_store", "params:engine"],
        outputs=["raw_corpus", "true_action_units"],
        name="generate_raw_corpus",
        tags="generate",
    )


def _ingest() -> list[Node]:
    return [
        node(
            ingest_scans,
            inputs=["raw_corpus", "params:ingest", "scan_store", "params:engine"],
            outputs=["scan_manifest", "sequences", "ingest_report", "corpus_completeness"],
            name="ingest_scans",
            tags="ingest",
        ),
        node(
            split_subjects,
            inputs=["sequences", "raw_corpus", "params:split"],
            outputs="subject_split",
            name="split_subjects",
            tags="ingest",
        ),
        node(
            list_protocols,
            inputs=["raw_corpus", "scan_manifest"],
            outputs="protocols",
            name="list_protocols",
            tags="ingest",
        ),
        node(
            write_ingest_page,
            inputs={
                "raw_corpus": "raw_corpus",
                "manifest": "scan_manifest",
                "report": "ingest_report",
                "completeness": "corpus_completeness",
                "protocols": "protocols",
                "options": "params:ingest_page",
                "scan_store": "scan_store",
                "run_info": "run_info",
            },
            outputs=["ingest_page", "ingest_summary"],
            name="write_ingest_page",
            tags="ingest",
        ),
    ]


def _render() -> list[Node]:
    return [
        node(
            render_views,
            inputs=["scan_manifest", "raw_corpus", "params:render", "view_store", "params:engine"],
            outputs=["view_manifest", "render_report"],
            name="render_views",
            tags="render",
        ),
        node(
            draw_view_sheet,
            inputs=["view_manifest", "sequences", "view_store"],
            outputs="view_contact_sheet",
            name="draw_view_sheet",
            tags="render",
        ),
    ]
