"""Pipeline `evaluation`: trained models and baselines on test subjects."""

from affect4d.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
