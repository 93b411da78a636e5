"""Pictures on their way to a model: derived channels, the bank in memory, mixed-view augmentation, contact sheets."""
