"""Pseudo-labels for SMILE-VLM (arXiv 2506.01203) by rules on landmarks, a vision-language model, or clusters."""
