"""Pipeline `data`: raw scans, ingest, subject split, rendered views."""

from affect4d.pipelines.data.pipeline import create_pipeline

__all__ = ["create_pipeline"]
