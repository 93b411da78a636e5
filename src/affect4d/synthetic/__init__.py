"""Parametric faces and the synthetic 4D corpus: what a user without a licensed corpus trains on."""
