"""Pseudo-labels for SMILE-VLM (arXiv 2506.01203): what a face shows, in words, without any label.

Three sources give the same table, one row a sequence (:data:`~.action_coding.PSEUDO_LABEL_COLUMNS`): rules on landmarks
(``geometry``), a pretrained vision-language model (``zero_shot``) and clusters of movement (``cluster``).
:mod:`~affect4d.pseudo_labels.pseudo_prompts` chooses among them and writes the prompts.
"""
