"""Pipeline `training`: one model a namespace."""

from affect4d.pipelines.training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
