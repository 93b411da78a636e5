"""AffectVLM, SMILE-VLM and their baseline; names are imported on first use, since options need no torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
