"""App: a face in 3D, the predictions of both models, their attributions, and similarities with typed sentences.

``make app`` or ``python -m affect4d.app`` serves it on this machine only.
"""
