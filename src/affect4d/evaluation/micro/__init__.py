"""Micro-expressions: clips from onset over apex to offset, five classes, one subject left out at a time."""
