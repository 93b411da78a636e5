"""Inference with trained models: packaged models, and predictors from raw scans to expressions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
