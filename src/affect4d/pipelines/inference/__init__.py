"""Pipeline `inference`: packaged models, predictions, exports."""

from affect4d.pipelines.inference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
