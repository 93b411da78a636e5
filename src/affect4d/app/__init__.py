"""App (``make app``, on this machine only): a 3D face, both models' predictions and attributions, typed sentences."""

WATCH = "AFFECT4D_WATCH"
"""Environment variable: the folder of live mode. Whoever starts the app names it; no visitor can."""
