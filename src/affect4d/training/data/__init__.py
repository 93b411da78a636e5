"""Plan and prompts → batches: drawn ahead of training, made while the model works."""
