"""Stages `train_affect`, `train_smile`, `train_reference`: see ``pipeline.py`` and ``nodes.py``."""

from affect4d.pipelines.train.pipeline import create_pipeline

__all__ = ["create_pipeline"]
