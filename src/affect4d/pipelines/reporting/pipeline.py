"""Metrics, predictions, images → summary, claims table, report, model cards."""

from kedro.pipeline import Node, Pipeline, node, pipeline

from affect4d.pipelines import named_node
from affect4d.pipelines.reporting import nodes

METHODS = ("affect_vlm", "smile_vlm", "cross_entropy")
EVALUATED = ("affect_vlm", "smile_vlm", "reference", "baseline")


def create_pipeline() -> Pipeline:
    """Stage `report`."""
    steps = [*_analysis(), *_claims(), *_sections(), *_documents()]
    return pipeline(steps, namespace="reporting", prefix_datasets_with_namespace=False, tags="report")


def _analysis() -> list[Node]:
    predictions, metrics = ([f"{name}_{kind}" for name in EVALUATED] for kind in ("predictions", "metrics"))
    return [
        named_node(nodes.gather_predictions, predictions, "all_predictions"),
        named_node(nodes.compare_models, "all_predictions", "comparisons"),
        named_node(nodes.measure_fairness, ["all_predictions", "sequences"], "fairness"),
        named_node(
            nodes.summarise,
            ["raw_corpus", "subject_split", *metrics, "stage_seconds", "affect_vlm_settings", "run_info"],
            ["summary", "results"],
        ),
    ]


def _claims() -> list[Node]:
    """Claims of a report, and by themselves, of results on disk alone: nothing is trained for them."""
    present = ("raw_corpus", "subject_split", "sequences", "view_manifest", "run_info")
    given = {**{name: name for name in present}, "options": "params:claims"}
    return [
        named_node(
            nodes.gather_evidence, ["evidence", "smile_vlm_micro_comparison", "raw_corpus"], "gathered_evidence"
        ),
        named_node(nodes.answer_claims, {"evidence": "gathered_evidence", **given}, "claims"),
        named_node(nodes.gather_stored_evidence, ["evidence", "raw_corpus"], "stored_evidence"),
        node(
            nodes.answer_claims, {"evidence": "stored_evidence", **given}, "stored_claims", name="answer_stored_claims"
        ),
        named_node(nodes.write_claims_page, ["stored_claims", "stored_evidence", "run_info"], "claims_page"),
    ]


def _sections() -> list[Node]:
    data = [
        "raw_corpus", "subject_split", "view_manifest", "ingest_report", "view_contact_sheet", "augmentation_sheet",
    ]  # fmt: skip
    models = [f"{method}_{artefact}" for artefact in ("model", "history") for method in METHODS]
    evaluation = [
        "comparisons", "pseudo_label_accuracy", "representation_scores", "embedding_maps",
        "action_units", "fairness", "failures",
    ]  # fmt: skip
    return [
        named_node(nodes.describe_data, data, "data_section"),
        named_node(nodes.describe_models, [*models, "view_manifest", "affect_vlm_settings"], "model_section"),
        named_node(nodes.show_failures, ["all_predictions", "view_manifest", "raw_corpus", "view_store"], "failures"),
        named_node(
            nodes.gather_action_units,
            [f"{owner}_action_unit_scores" for owner in ("affect_vlm", "smile_vlm", "baseline")],
            "action_units",
        ),
        named_node(nodes.describe_evaluation, evaluation, "evaluation_section"),
    ]


def _documents() -> list[Node]:
    sections = [f"{name}_section" for name in ("data", "model", "evaluation")]
    return [
        named_node(
            nodes.write_report,
            ["summary", *sections, "claims", "gathered_evidence", "raw_corpus", "run_info"],
            ["report", "report_text"],
        ),
        named_node(
            nodes.write_model_cards,
            ["summary", "raw_corpus", "affect_vlm_settings"],
            ["affect_vlm_card", "smile_vlm_card"],
        ),
    ]
