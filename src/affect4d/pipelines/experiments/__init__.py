"""Pipeline `experiments`: studies, cross-validation and robustness."""

from affect4d.pipelines.experiments.pipeline import create_pipeline

__all__ = ["create_pipeline"]
