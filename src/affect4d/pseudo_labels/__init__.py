"""Pseudo-labels for SMILE-VLM (arXiv 2506.01203): what a face shows, in words, without any label.

Three sources give the same table: rules on landmarks (``geometry``), a pretrained vision-language model (``zero_shot``)
and clusters of movement (``cluster``).
"""
