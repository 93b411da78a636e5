"""Stage `export`: see ``pipeline.py`` for its node and ``nodes.py`` for what it does."""

from affect4d.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
