"""Training: a plan of batches, an objective a paper, one loop for all of them."""
