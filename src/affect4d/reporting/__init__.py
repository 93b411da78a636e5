"""What people read of a run: pages, model cards and the figures on them."""
