"""views → folds of a protocol → every method in every fold → scores."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.cross_validate.nodes import draw_protocol, fit_folds, score_protocol

OPTIONS = "params:cross_validation"
VARIED = ("train", "augment", "objective")
CORPUS = ("sequences", "view_manifest", "scan_manifest", "view_store")
TRAINING = tuple(f"training_{name}" for name in CORPUS)
"""The corpus that is trained on where that is another one; else the same."""


def create_pipeline() -> Pipeline:
    """A pipeline of its own to the user, and no part of the default run."""
    return pipeline(
        [
            node(
                draw_protocol,
                inputs=["sequences", "training_sequences", "raw_corpus", OPTIONS],
                outputs="protocol_folds",
                name="draw_protocol",
            ),
            node(
                fit_folds,
                inputs={
                    "protocol": "protocol_folds",
                    **{name: name for name in (*CORPUS, *TRAINING, "study_store")},
                    "options": OPTIONS,
                    "engine": "params:engine",
                    **{name: f"params:{name}" for name in ("inputs", "model", "prompts", "pseudo_labels")},
                    **{f"affect_{part}": f"params:affect_vlm.{part}" for part in VARIED},
                    **{f"smile_{part}": f"params:smile_vlm.{part}" for part in VARIED},
                    "peer_objective": "params:cross_entropy.objective",
                },
                outputs="fold_predictions",
                name="fit_folds",
            ),
            node(
                score_protocol,
                ["fold_predictions", "protocol_folds", "sequences"],
                "cross_validation_scores",
                name="score_protocol",
            ),
        ],
        tags="cross_validate",
    )
