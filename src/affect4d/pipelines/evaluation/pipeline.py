"""Trained models, baselines → scores and predictions on test subjects."""

from kedro.pipeline import Node, Pipeline, pipeline

from affect4d.pipelines import named_node, node
from affect4d.pipelines.evaluation import nodes

DATA = ("view_manifest", "subject_split")
TRUTH = ("scan_manifest", "true_action_units")
STORES = ("view_store", "cache_store")


def create_pipeline() -> Pipeline:
    """Stage `evaluate`: each model, and what it must beat."""
    shared = pipeline(_comparisons(), namespace="evaluation", prefix_datasets_with_namespace=False)
    return pipeline(shared + _affect_vlm() + _smile_vlm(), tags="evaluate")


def _affect_vlm() -> Pipeline:
    results = ["metrics", "predictions", "prompt_influence"]
    evaluating = node(nodes.evaluate_affect_vlm, [*DATA, "model", "settings", *STORES], results, name="evaluate")
    return _of_method("affect_vlm", [evaluating, *_action_units()])


def _smile_vlm() -> Pipeline:
    steps = [
        *_action_units(),
        node(
            nodes.evaluate_smile_vlm,
            [*DATA, "sequences", "model", "settings", *STORES],
            ["metrics", "predictions"],
            name="evaluate",
        ),
        named_node(
            nodes.compare_on_micro_expressions,
            ["predictions", "raw_corpus", "settings", "run_info"],
            "micro_comparison",
        ),
    ]
    return _of_method("smile_vlm", steps)


def _action_units() -> list[Node]:
    fitted = [*DATA, *TRUTH, "model", "settings", "view_store", "model_store"]
    scored = [*DATA, *TRUTH, "model", "action_unit_head", "settings", *STORES]
    return [
        named_node(nodes.fit_action_units, fitted, "action_unit_head"),
        named_node(nodes.evaluate_action_units, scored, "action_unit_scores"),
    ]


def _of_method(method: str, steps: list[Node]) -> Pipeline:
    """Nodes in the namespace of a model; its artefacts carry its name in the catalog."""
    part = pipeline(steps)
    own = {"model": f"{method}_model", "settings": f"{method}_settings"}
    inputs = {name: own.get(name, name) for name in part.inputs()}
    outputs = {name: f"{method}_{name}" for name in part.all_outputs()}
    return pipeline(part, namespace=method, inputs=inputs, outputs=outputs)


def _comparisons() -> list[Node]:
    return [
        named_node(
            nodes.evaluate_references,
            [*DATA, "cross_entropy_model", "smile_vlm_settings", *STORES],
            ["reference_metrics", "reference_predictions"],
        ),
        named_node(
            nodes.evaluate_representations,
            [*DATA, "smile_vlm_model", "affect_vlm_model", "smile_vlm_settings", *STORES],
            ["representation_scores", "embedding_maps"],
        ),
        named_node(
            nodes.evaluate_baselines,
            [*DATA, *TRUTH, "blendshape_scores", "smile_vlm_settings", *STORES],
            ["baseline_metrics", "baseline_predictions"],
        ),
        named_node(
            nodes.evaluate_action_unit_baselines,
            [*DATA, *TRUTH, "blendshape_scores", "smile_vlm_settings", *STORES],
            "baseline_action_unit_scores",
        ),
        named_node(
            nodes.measure_pseudo_labels, ["pseudo_prompts", "view_manifest", "subject_split"], "pseudo_label_accuracy"
        ),
    ]
