"""The app: a face in 3D, what both models say about it, where they look, and how near your own sentences come.

``make app`` or ``python -m affect4d.app`` serves it on this machine only. ``main`` is the page, top to bottom; the
other modules are its parts: samples, models, answers, and what is drawn of them.
"""
