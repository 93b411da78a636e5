"""Trained models, baselines → scores and predictions on test subjects."""

from kedro.pipeline import Node, Pipeline, node, pipeline

from affect4d.pipelines.evaluation.nodes import (
    compare_on_micro_expressions,
    evaluate_affect_vlm,
    evaluate_baselines,
    evaluate_references,
    evaluate_representations,
    evaluate_smile_vlm,
    measure_granularity,
    measure_pseudo_labels,
)

DATA = ("view_manifest", "subject_split")
STORES = ("view_store", "cache_store")


def create_pipeline() -> Pipeline:
    """Stage `evaluate`: each model, and what it must beat."""
    shared = pipeline(
        [*_comparisons(), _baselines(), _pseudo_labels()],
        namespace="evaluation",
        prefix_datasets_with_namespace=False,
    )
    return shared + _affect_vlm() + _smile_vlm()


def _affect_vlm() -> Pipeline:
    evaluating = node(
        evaluate_affect_vlm,
        inputs=[*DATA, "model", "settings", *STORES],
        outputs=["metrics", "predictions", "prompt_influence"],
        name="evaluate",
        tags="evaluate",
    )
    return _of_method("affect_vlm", [evaluating], ("metrics", "predictions", "prompt_influence"))


def _smile_vlm() -> Pipeline:
    evaluating = node(
        evaluate_smile_vlm,
        inputs=[*DATA, "sequences", "model", "settings", *STORES],
        outputs=["metrics", "predictions"],
        name="evaluate",
        tags="evaluate",
    )
    comparing = node(
        compare_on_micro_expressions,
        inputs=["predictions", "raw_corpus", "settings", "run_info"],
        outputs="micro_comparison",
        name="compare_on_micro_expressions",
        tags="evaluate",
    )
    return _of_method("smile_vlm", [evaluating, comparing], ("metrics", "predictions", "micro_comparison"))


def _of_method(method: str, nodes: list[Node], results: tuple[str, ...]) -> Pipeline:
    """Nodes in the namespace of a model; its artefacts carry its name in the catalog."""
    part = pipeline(nodes)
    own = {"model": f"{method}_model", "settings": f"{method}_settings"}
    inputs = {name: own.get(name, name) for name in part.inputs()}
    return pipeline(part, namespace=method, inputs=inputs, outputs={name: f"{method}_{name}" for name in results})


def _comparisons() -> list[Node]:
    return [
        node(
            evaluate_references,
            inputs=[*DATA, "cross_entropy_model", "smile_vlm_settings", *STORES],
            outputs=["reference_metrics", "reference_predictions"],
            name="evaluate_references",
            tags="evaluate",
        ),
        node(
            evaluate_representations,
            inputs=[*DATA, "smile_vlm_model", "affect_vlm_model", "smile_vlm_settings", *STORES],
            outputs=["representation_scores", "embedding_maps"],
            name="evaluate_representations",
            tags="evaluate",
        ),
        node(
            measure_granularity,
            inputs={
                "view_manifest": "view_manifest",
                "subject_split": "subject_split",
                "affect": "affect_vlm_model",
                "smile": "smile_vlm_model",
                "cross_entropy": "cross_entropy_model",
                "settings": "affect_vlm_settings",
                "view_store": "view_store",
                "cache_store": "cache_store",
            },
            outputs="granularity_scores",
            name="measure_granularity",
            tags="evaluate",
        ),
    ]


def _baselines() -> Node:
    return node(
        evaluate_baselines,
        inputs=[*DATA, "scan_manifest", "true_action_units", "smile_vlm_settings", *STORES],
        outputs=["baseline_metrics", "baseline_predictions"],
        name="evaluate_baselines",
        tags="evaluate",
    )


def _pseudo_labels() -> Node:
    return node(
        measure_pseudo_labels,
        inputs=["pseudo_prompts", "view_manifest", "subject_split"],
        outputs="pseudo_label_accuracy",
        name="measure_pseudo_labels",
        tags="evaluate",
    )
