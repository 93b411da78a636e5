"""Checkpoints: when a run is saved, how, and how it is found again."""
