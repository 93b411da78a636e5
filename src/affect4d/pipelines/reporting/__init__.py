"""Pipeline `reporting`: summary, claims, report and model cards."""

from affect4d.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
