"""Self-contained HTML pages, model cards and the figures on them."""
