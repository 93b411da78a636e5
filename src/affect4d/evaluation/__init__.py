"""What a model is worth: predictions on unseen subjects, scores, baselines, tests between models."""
