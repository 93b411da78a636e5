"""Training: samples and batches, objectives, optimizer, the trainer, checkpoints, distributed runs, cached results."""
