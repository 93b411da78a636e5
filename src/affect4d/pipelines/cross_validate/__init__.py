"""Stage ``cross_validate``."""

from affect4d.pipelines.cross_validate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
