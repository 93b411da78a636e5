"""views → studies: the same training, varied one thing at a time, compared."""

from kedro.pipeline import Node, Pipeline, node, pipeline

from affect4d.pipelines.studies.nodes import compare_variants, run_trials, write_study_page

STUDIES = ("convergence", "ablation", "smile_ablation", "smile_regimes", "distribution", "label_efficiency")
VARIED = ("train", "augment", "objective")
"""Parts of a method's parameters; each is taken by itself, so that it is validated as in every other pipeline."""


def create_pipeline() -> Pipeline:
    """Every study; each is a pipeline of its own to the user, and none is part of the default run."""
    return pipeline([each for name in STUDIES for each in _study(name)], tags="studies")


def _study(name: str) -> list[Node]:
    predictions, curves, provenance = (f"{name}_study_{part}" for part in ("predictions", "curves", "account"))
    options = f"params:studies.{name}"
    return [
        node(
            run_trials,
            inputs={
                "view_manifest": "view_manifest",
                "sequences": "sequences",
                "scan_manifest": "scan_manifest",
                "subject_split": "subject_split",
                "raw_corpus": "raw_corpus",
                "view_store": "view_store",
                "study_store": "study_store",
                "options": options,
                "engine": "params:engine",
                "inputs": "params:inputs",
                "model": "params:model",
                "prompts": "params:prompts",
                "pseudo_labels": "params:pseudo_labels",
                **{f"affect_{part}": f"params:affect_vlm.{part}" for part in VARIED},
                **{f"smile_{part}": f"params:smile_vlm.{part}" for part in VARIED},
                "peer_objective": "params:cross_entropy.objective",
            },
            outputs=[predictions, curves, provenance],
            name=f"run_{name}_trials",
        ),
        node(
            compare_variants,
            inputs=[predictions, curves, provenance, options],
            outputs=f"{name}_study",
            name=f"compare_{name}",
        ),
        node(
            write_study_page,
            inputs=[f"{name}_study", curves, options],
            outputs=[f"latest_{name}_page", f"latest_{name}_tables"],
            name=f"write_{name}_page",
        ),
    ]
