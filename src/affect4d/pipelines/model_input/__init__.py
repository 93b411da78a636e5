"""Pipeline `model_input`: settings, prompts, augmentation schedules."""

from affect4d.pipelines.model_input.pipeline import create_pipeline

__all__ = ["create_pipeline"]
