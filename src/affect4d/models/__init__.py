"""AffectVLM, SMILE-VLM and their cross-entropy baseline: encoders, view fusion and heads.

Names are imported on first use: options are checked long before torch and open_clip are needed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
