"""Who looks on while a model is trained: cost, progress, guards, held-out people."""
