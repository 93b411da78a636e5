"""Pseudo-labels: what a face shows, said in words, without any label. SMILE-VLM (arXiv 2506.01203) trains against them.

Three sources give the same table of findings, one row a sequence (:data:`~.naming.FINDING_COLUMNS`):

* :mod:`~affect4d.prompts.pseudo_labels.geometry`: rules on landmarks (:mod:`~.rules`, :mod:`~.naming`);
* :mod:`~affect4d.prompts.pseudo_labels.zero_shot`: a pretrained vision-language model's opinion of the pictures;
* :mod:`~affect4d.prompts.pseudo_labels.clusters`: what the members of a cluster have in common.

:mod:`~affect4d.prompts.pseudo_labels.sentences` puts findings into prompts. All of it is numbers in, words out; what
needs a network, and the choice among the sources, is in :mod:`affect4d.pseudo_labels`.
"""
