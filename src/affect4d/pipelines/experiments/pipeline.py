"""Studies, cross-validation and robustness: pipelines that a user names; none is part of the default run."""

from kedro.pipeline import Node, Pipeline, pipeline

from affect4d.pipelines import named_node, node
from affect4d.pipelines.experiments import nodes

STUDIES = (
    "convergence",
    "ablation",
    "smile_ablation",
    "smile_regimes",
    "supervision",
    "distribution",
    "label_efficiency",
    "fine_tuning",
    "adaptation",
    "scale",
)
CORPUS = ("view_manifest", "sequences", "scan_manifest", "view_store")
MODELS = ["affect_vlm_model", "smile_vlm_model", "cross_entropy_model"]
SETTINGS = ("affect_vlm_settings", "smile_vlm_settings")


def create_pipeline() -> Pipeline:
    """Stages `studies`, `cross_validate` and `robustness`."""
    stages = _studies() + _cross_validation() + _robustness()
    return pipeline(stages, namespace="experiments", prefix_datasets_with_namespace=False)


def _studies() -> Pipeline:
    gathering = named_node(nodes.gather_experiment_data, [*CORPUS], "experiment_data")
    return pipeline([gathering, *(step for name in STUDIES for step in _study(name))], tags="studies")


def _study(name: str) -> list[Node]:
    predictions, curves, provenance = (f"{name}_study_{part}" for part in ("predictions", "curves", "provenance"))
    options, contrasts = f"params:studies.{name}", f"{name}_study_contrasts"
    return [
        node(
            nodes.fix_contrasts,
            ["experiment_data", "raw_corpus", "subject_split", "study_store", options, "run_info"],
            contrasts,
            name=f"fix_{name}_contrasts",
        ),
        node(
            nodes.run_trials,
            ["experiment_data", contrasts, "subject_split", "study_store", options, *SETTINGS, "params:engine"],
            [predictions, curves],
            name=f"run_{name}_trials",
        ),
        node(
            nodes.describe_study,
            [predictions, "experiment_data", contrasts, "raw_corpus", "subject_split", options, "run_info"],
            provenance,
            name=f"describe_{name}",
        ),
        node(
            nodes.compare_variants,
            [predictions, curves, provenance, options],
            f"{name}_study",
            name=f"compare_{name}",
        ),
        node(
            nodes.write_study_page,
            [f"{name}_study", curves, options, "run_info"],
            [f"{name}_study_page", f"{name}_study_tables"],
            name=f"write_{name}_page",
        ),
    ]


def _cross_validation() -> Pipeline:
    """The corpus that is trained on is another one in cross-dataset protocols, else the same."""
    options = "params:cross_validation"
    steps = [
        node(
            nodes.gather_experiment_data,
            [f"training_{name}" for name in CORPUS],
            "training_experiment_data",
            name="gather_training_data",
        ),
        named_node(nodes.draw_protocol, ["sequences", "training_sequences", "raw_corpus", options], "protocol_folds"),
        named_node(
            nodes.fit_folds,
            {
                "protocol": "protocol_folds",
                "data": "experiment_data",
                "training_data": "training_experiment_data",
                "study_store": "study_store",
                "options": options,
                "affect_settings": "affect_vlm_settings",
                "smile_settings": "smile_vlm_settings",
                "engine": "params:engine",
            },
            "fold_predictions",
        ),
        named_node(
            nodes.score_protocol,
            ["fold_predictions", "protocol_folds", "sequences", "run_info"],
            "cross_validation_scores",
        ),
    ]
    return pipeline(steps, tags="cross_validate")


def _robustness() -> Pipeline:
    steps = [
        named_node(nodes.gather_models, MODELS, "robustness_models"),
        named_node(
            nodes.choose_clips,
            ["view_manifest", "scan_manifest", "subject_split", "params:robustness", "affect_vlm_settings"],
            "robustness_clips",
        ),
        named_node(
            nodes.corrupt_scans,
            {
                "clips": "robustness_clips",
                "raw_corpus": "raw_corpus",
                "models": "robustness_models",
                "cache_store": "cache_store",
                "options": "params:robustness",
                "render": "params:render",
                "settings": "affect_vlm_settings",
                "engine": "params:engine",
            },
            "robustness_predictions",
        ),
        named_node(nodes.summarise_robustness, ["robustness_predictions", "robustness_models"], "robustness"),
    ]
    return pipeline(steps, tags="robustness")
