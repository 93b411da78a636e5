"""metrics, predictions, pictures → summary.json, report.html, a table on screen."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.report.nodes import (
    answer_claims,
    compare_pairs,
    gather_predictions,
    measure_gaps,
    summarise,
    write_model_cards,
    write_report,
)


def create_pipeline() -> Pipeline:
    """Gather, compare, summarise, show."""
    return pipeline(
        [
            node(
                gather_predictions,
                inputs={
                    "affect_vlm": "affect_vlm_predictions",
                    "smile_vlm": "smile_vlm_predictions",
                    "reference": "reference_predictions",
                    "baseline": "baseline_predictions",
                },
                outputs="all_predictions",
                name="gather_predictions",
            ),
            node(compare_pairs, inputs="all_predictions", outputs="comparisons", name="compare_models"),
            node(measure_gaps, inputs=["all_predictions", "sequences"], outputs="fairness", name="measure_fairness"),
            node(
                answer_claims,
                inputs={
                    "evidence": "evidence",
                    "predictions": "all_predictions",
                    "seed": "params:seed",
                    "raw_corpus": "raw_corpus",
                    "subject_split": "subject_split",
                    "sequences": "sequences",
                    "view_manifest": "view_manifest",
                },
                outputs="claims",
                name="answer_claims",
            ),
            node(
                summarise,
                inputs={
                    "raw_corpus": "raw_corpus",
                    "subject_split": "subject_split",
                    "affect_vlm": "affect_vlm_metrics",
                    "smile_vlm": "smile_vlm_metrics",
                    "reference": "reference_metrics",
                    "baseline": "baseline_metrics",
                    "seconds": "stage_seconds",
                    "seed": "params:seed",
                },
                outputs=["summary", "latest_summary"],
                name="summarise",
            ),
            node(
                write_report,
                inputs={
                    "summary": "summary",
                    "comparisons": "comparisons",
                    "raw_corpus": "raw_corpus",
                    "subject_split": "subject_split",
                    "purity": "pseudo_prompts_purity",
                    "representations": "representation_scores",
                    "embedding_maps": "embedding_maps",
                    "view_manifest": "view_manifest",
                    "ingest_report": "ingest_report",
                    "view_sheet": "view_contact_sheet",
                    "augmentation_sheet": "augmentation_sheet",
                    "affect_vlm": "affect_vlm_model",
                    "smile_vlm": "smile_vlm_model",
                    "cross_entropy": "cross_entropy_model",
                    "inputs": "params:inputs",
                    "claims": "claims",
                    "fairness": "fairness",
                    "levels": "level_scores",
                    "evidence": "evidence",
                    "predictions": "all_predictions",
                    "view_store": "view_store",
                },
                outputs=["report", "latest_report", "latest_report_text"],
                name="write_report",
            ),
            node(
                write_model_cards,
                inputs=["summary", "raw_corpus"],
                outputs=["affect_vlm_card", "smile_vlm_card"],
                name="write_model_cards",
            ),
        ],
        tags="report",
    )
