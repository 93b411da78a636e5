"""Studies, cross-validation and robustness: pipelines that a user names; none is part of the default run."""

from kedro.pipeline import Node, Pipeline, node, pipeline

from affect4d.pipelines.experiments.cross_validation import draw_protocol, fit_folds, score_protocol
from affect4d.pipelines.experiments.robustness import (
    choose_clips,
    corrupt_scans,
    gather_models,
    summarise_robustness,
)
from affect4d.pipelines.experiments.studies import (
    compare_variants,
    describe_study,
    gather_experiment_data,
    run_trials,
    write_study_page,
)

STUDIES = ("convergence", "ablation", "smile_ablation", "smile_regimes", "distribution", "label_efficiency")
CORPUS = ("view_manifest", "sequences", "scan_manifest", "view_store")
MODELS = ("affect_vlm_model", "smile_vlm_model", "cross_entropy_model")
SETTINGS = {"affect_settings": "affect_vlm_settings", "smile_settings": "smile_vlm_settings"}


def create_pipeline() -> Pipeline:
    """Stages `studies`, `cross_validate` and `robustness`."""
    gathering = node(
        gather_experiment_data, [*CORPUS], "experiment_data", name="gather_experiment_data", tags="studies"
    )
    studies = [step for name in STUDIES for step in _study(name)]
    nodes = [gathering, *studies, *_cross_validation(), *_robustness()]
    return pipeline(nodes, namespace="experiments", prefix_datasets_with_namespace=False)


def _study(name: str) -> list[Node]:
    predictions, curves, provenance = (f"{name}_study_{part}" for part in ("predictions", "curves", "provenance"))
    options = f"params:studies.{name}"
    return [
        node(
            run_trials,
            inputs={
                "data": "experiment_data",
                "subject_split": "subject_split",
                "study_store": "study_store",
                "options": options,
                **SETTINGS,
                "engine": "params:engine",
            },
            outputs=[predictions, curves],
            name=f"run_{name}_trials",
            tags="studies",
        ),
        node(
            describe_study,
            inputs=[predictions, "experiment_data", "raw_corpus", "subject_split", options, "run_info"],
            outputs=provenance,
            name=f"describe_{name}",
            tags="studies",
        ),
        node(
            compare_variants,
            inputs=[predictions, curves, provenance, options],
            outputs=f"{name}_study",
            name=f"compare_{name}",
            tags="studies",
        ),
        node(
            write_study_page,
            inputs=[f"{name}_study", curves, options, "run_info"],
            outputs=[f"{name}_study_page", f"{name}_study_tables"],
            name=f"write_{name}_page",
            tags="studies",
        ),
    ]


def _cross_validation() -> list[Node]:
    """The corpus that is trained on is another one in cross-dataset protocols, else the same."""
    options = "params:cross_validation"
    return [
        node(
            gather_experiment_data,
            inputs=[f"training_{name}" for name in CORPUS],
            outputs="training_experiment_data",
            name="gather_training_data",
            tags="cross_validate",
        ),
        node(
            draw_protocol,
            inputs=["sequences", "training_sequences", "raw_corpus", options],
            outputs="protocol_folds",
            name="draw_protocol",
            tags="cross_validate",
        ),
        node(
            fit_folds,
            inputs={
                "protocol": "protocol_folds",
                "data": "experiment_data",
                "training_data": "training_experiment_data",
                "study_store": "study_store",
                "options": options,
                **SETTINGS,
                "engine": "params:engine",
            },
            outputs="fold_predictions",
            name="fit_folds",
            tags="cross_validate",
        ),
        node(
            score_protocol,
            inputs=["fold_predictions", "protocol_folds", "sequences", "run_info"],
            outputs="cross_validation_scores",
            name="score_protocol",
            tags="cross_validate",
        ),
    ]


def _robustness() -> list[Node]:
    return [
        node(gather_models, [*MODELS], "robustness_models", name="gather_models", tags="robustness"),
        node(
            choose_clips,
            inputs=["view_manifest", "scan_manifest", "subject_split", "params:robustness", "affect_vlm_settings"],
            outputs="robustness_clips",
            name="choose_clips",
            tags="robustness",
        ),
        node(
            corrupt_scans,
            inputs={
                "clips": "robustness_clips",
                "raw_corpus": "raw_corpus",
                "models": "robustness_models",
                "cache_store": "cache_store",
                "options": "params:robustness",
                "render": "params:render",
                "settings": "affect_vlm_settings",
                "engine": "params:engine",
            },
            outputs="robustness_predictions",
            name="corrupt_scans",
            tags="robustness",
        ),
        node(
            summarise_robustness,
            inputs=["robustness_predictions", "robustness_models"],
            outputs="robustness",
            name="summarise_robustness",
            tags="robustness",
        ),
    ]
