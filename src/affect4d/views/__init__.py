"""Model input from rendered views: derived channels, the bank in memory, mixed-view augmentation, contact sheets."""
