"""App (``make app``, on this machine only): a 3D face, both models' predictions and attributions, typed sentences."""
