"""Trained models at work: from views to answers."""
