"""What a model is worth: predictions on unseen subjects, scores, baselines, and the report that shows them."""
