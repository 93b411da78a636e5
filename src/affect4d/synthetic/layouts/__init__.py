"""Layouts: a synthetic corpus in another corpus's own folders and formats."""
