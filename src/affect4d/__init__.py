"""Affect4D: vision-language models that read facial expressions from 3D scans and 4D sequences."""

__version__ = "0.1.0"
