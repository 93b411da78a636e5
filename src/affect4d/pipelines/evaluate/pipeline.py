"""models, baselines → scores and predictions on unseen subjects."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.evaluate.nodes import (
    compare_on_clips,
    evaluate_affect_vlm,
    evaluate_baselines,
    evaluate_references,
    evaluate_representations,
    evaluate_smile_vlm,
    measure_granularity,
    measure_prompts,
    measure_pseudo_labels,
)

EXAMINED = {
    "view_manifest": "view_manifest",
    "subject_split": "subject_split",
    "inputs": "params:inputs",
    "view_store": "view_store",
    "answer_store": "answer_store",
}
BY_PROMPTS = {**EXAMINED, "prompts": "params:prompts", "model_store": "model_store"}


def create_pipeline() -> Pipeline:
    """Each model beside what it must beat."""
    return pipeline(
        [
            node(
                evaluate_affect_vlm,
                inputs={**BY_PROMPTS, "record": "affect_vlm_model", "train": "params:affect_vlm.train"},
                outputs=["affect_vlm_metrics", "affect_vlm_predictions"],
                name="evaluate_affect_vlm",
            ),
            node(
                measure_prompts,
                inputs={**BY_PROMPTS, "record": "affect_vlm_model", "train": "params:affect_vlm.train"},
                outputs="prompt_influence",
                name="measure_prompts",
            ),
            node(
                evaluate_smile_vlm,
                inputs={
                    **BY_PROMPTS,
                    "sequences": "sequences",
                    "record": "smile_vlm_model",
                    "size": "params:model",
                    "train": "params:smile_vlm.train",
                },
                outputs=["smile_vlm_metrics", "smile_vlm_predictions"],
                name="evaluate_smile_vlm",
            ),
            node(
                compare_on_clips,
                inputs=["smile_vlm_predictions", "raw_corpus", "params:seed"],
                outputs="micro_findings",
                name="compare_on_clips",
            ),
            node(
                evaluate_references,
                inputs={
                    **EXAMINED,
                    "record": "cross_entropy_model",
                    "model_store": "model_store",
                    "model": "params:model",
                    "train": "params:smile_vlm.train",
                },
                outputs=["reference_metrics", "reference_predictions"],
                name="evaluate_references",
            ),
            node(
                evaluate_representations,
                inputs={
                    **BY_PROMPTS,
                    "smile": "smile_vlm_model",
                    "affect": "affect_vlm_model",
                    "model": "params:model",
                    "train": "params:smile_vlm.train",
                },
                outputs=["representation_scores", "embedding_maps"],
                name="evaluate_representations",
            ),
            node(
                measure_granularity,
                inputs={
                    **BY_PROMPTS,
                    "affect": "affect_vlm_model",
                    "smile": "smile_vlm_model",
                    "cross_entropy": "cross_entropy_model",
                    "train": "params:affect_vlm.train",
                },
                outputs="level_scores",
                name="measure_granularity",
            ),
            node(
                evaluate_baselines,
                inputs={
                    **EXAMINED,
                    "scan_manifest": "scan_manifest",
                    "raw_corpus": "raw_corpus",
                    "pseudo_labels": "params:pseudo_labels",
                },
                outputs=["baseline_metrics", "baseline_predictions"],
                name="evaluate_baselines",
            ),
            node(
                measure_pseudo_labels,
                inputs=["pseudo_prompts", "view_manifest", "subject_split"],
                outputs="pseudo_prompts_purity",
                name="measure_pseudo_labels",
            ),
        ],
        tags="evaluate",
    )
