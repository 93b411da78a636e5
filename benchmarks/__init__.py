"""Benchmarks: every row beside its peer, measured in the same run on the same input (``make bench``)."""
