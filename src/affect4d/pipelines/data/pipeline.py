"""Raw corpus → scan manifest → subject split → rendered views; scan manifest → blendshape scores."""

from kedro.pipeline import Pipeline, pipeline

from affect4d.pipelines import named_node
from affect4d.pipelines.data import nodes
from affect4d.pipelines.data.raw_corpus import generate_raw_corpus


def create_pipeline() -> Pipeline:
    """Stages `generate`, `ingest`, `render` and `blendshapes`."""
    stages = _generate() + _ingest() + _render() + _score()
    return pipeline(stages, namespace="data", prefix_datasets_with_namespace=False)


def _generate() -> Pipeline:
    generating = named_node(
        generate_raw_corpus, ["params:raw_corpus", "raw_store", "params:engine"], ["raw_corpus", "true_action_units"]
    )
    return pipeline([generating], tags="generate")


def _ingest() -> Pipeline:
    steps = [
        named_node(
            nodes.ingest_scans,
            ["raw_corpus", "params:ingest", "scan_store", "params:engine"],
            ["scan_manifest", "sequences", "ingest_report", "corpus_completeness"],
        ),
        named_node(nodes.split_subjects, ["sequences", "raw_corpus", "params:split"], "subject_split"),
        named_node(nodes.list_protocols, ["raw_corpus", "scan_manifest"], "protocols"),
        named_node(
            nodes.write_ingest_page,
            {
                "raw_corpus": "raw_corpus",
                "manifest": "scan_manifest",
                "report": "ingest_report",
                "completeness": "corpus_completeness",
                "protocols": "protocols",
                "options": "params:ingest_page",
                "scan_store": "scan_store",
                "run_info": "run_info",
            },
            ["ingest_page", "ingest_summary"],
        ),
    ]
    return pipeline(steps, tags="ingest")


def _render() -> Pipeline:
    steps = [
        named_node(
            nodes.render_views,
            ["scan_manifest", "raw_corpus", "params:render", "view_store", "params:engine"],
            ["view_manifest", "render_report"],
        ),
        named_node(nodes.draw_view_sheet, ["view_manifest", "sequences", "view_store"], "view_contact_sheet"),
    ]
    return pipeline(steps, tags="render")


def _score() -> Pipeline:
    scoring = named_node(
        nodes.score_blendshapes,
        ["scan_manifest", "raw_corpus", "params:blendshapes", "cache_store", "params:engine"],
        "blendshape_scores",
    )
    return pipeline([scoring], tags="blendshapes")
