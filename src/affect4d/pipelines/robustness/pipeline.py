"""scans, models → predictions under corruption → curves and mean corruption errors."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.robustness.nodes import corrupt_scans, summarise_corruptions

MODELS = ("affect_vlm", "smile_vlm", "cross_entropy")


def create_pipeline() -> Pipeline:
    """A pipeline of its own to the user, and no part of the default run."""
    names = ("raw_corpus", "scan_manifest", "view_manifest", "subject_split", "model_store", "answer_store")
    return pipeline(
        [
            node(
                corrupt_scans,
                inputs={
                    **{name: name for name in names},
                    **{model: f"{model}_model" for model in MODELS},
                    "options": "params:robustness",
                    "train": "params:affect_vlm.train",
                    **{name: f"params:{name}" for name in ("render", "inputs", "prompts", "engine")},
                },
                outputs="robustness_predictions",
                name="corrupt_scans",
            ),
            node(
                summarise_corruptions,
                inputs=["robustness_predictions", *(f"{model}_model" for model in MODELS)],
                outputs="robustness",
                name="summarise_corruptions",
            ),
        ],
        tags="robustness",
    )
