"""The pipelines a user names; each is the whole chain up to its own result, so that it works on a fresh clone.

What is already made for the same inputs, parameters and code is not made again, so a long chain costs little.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from kedro.pipeline import Pipeline, pipeline

import affect4d.pipelines

RESULTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "fabricate": ("raw_corpus",),
        "ingest": ("scan_manifest", "ingest_report", "latest_ingest_page", "subject_split"),
        "render": ("view_manifest", "view_contact_sheet"),
        "augment": ("affect_vlm_view_plan", "smile_vlm_view_plan", "augmentation_sheet"),
        "prompts": ("augmented_prompts", "pseudo_prompts"),
        "train_affect": ("affect_vlm_metrics", "affect_vlm_bundle"),
        "train_smile": ("smile_vlm_metrics", "smile_vlm_bundle", "micro_findings"),
        "bundle": ("affect_vlm_bundle", "smile_vlm_bundle"),
        "evaluate": (
            "affect_vlm_metrics",
            "smile_vlm_metrics",
            "reference_metrics",
            "baseline_metrics",
            "prompt_influence",
            "representation_scores",
            "pseudo_prompts_purity",
        ),
        "report": ("latest_summary", "latest_report", "latest_report_text", "affect_vlm_card", "smile_vlm_card"),
    }
)
"""Name of a pipeline → the artefacts it makes, with everything they need; all of them together are the default run."""

STUDIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        f"study_{name}": (f"latest_{name}_page", f"latest_{name}_tables")
        for name in ("convergence", "ablation", "smile_ablation", "smile_regimes", "distribution", "label_efficiency")
    }
)
"""Likewise; each trains many models, and is run only when it is named."""

ON_REQUEST: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cross_validate": ("cross_validation_scores",),
        "export": ("exported_model",),
        "predict": ("latest_predictions", "latest_timelines", "latest_prediction_gallery"),
        "robustness": ("robustness",),
    }
)
"""Likewise; costly, or about scans of the user's own: run only when it is named."""


def register_pipelines() -> dict[str, Pipeline]:
    """Join the stages into the pipelines a user names."""
    whole = sum(find_stages().values(), start=Pipeline([]))
    named = {name: whole.to_outputs(*results) for name, results in {**RESULTS, **STUDIES, **ON_REQUEST}.items()}
    default = sum((named[name] for name in RESULTS), start=Pipeline([]))
    return {"__default__": default, **named}


def find_stages() -> dict[str, Pipeline]:
    """Every stage under ``pipelines/``, by name, which is also the namespace of its nodes: Kedro-Viz folds it up.

    Kedro's own ``find_pipelines`` gives only the pipeline the command line names, out of which no chain can be joined.
    """
    package = affect4d.pipelines
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg]
    made = {name: importlib.import_module(f"{package.__name__}.{name}").create_pipeline() for name in names}
    return {name: pipeline(stage, namespace=name, prefix_datasets_with_namespace=False) for name, stage in made.items()}
