"""Stage `cross_validate`: see ``pipeline.py`` for its nodes and ``nodes.py`` for what each does."""

from affect4d.pipelines.cross_validate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
