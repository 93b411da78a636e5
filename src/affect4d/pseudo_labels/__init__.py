"""Where SMILE-VLM's pseudo-labels come from: one interface, three sources, and never a label.

:mod:`~affect4d.pseudo_labels.sources` is the door. What is numbers in and words out is in
:mod:`affect4d.prompts.pseudo_labels`; here are the networks that look at pictures: a pretrained vision-language model
(``zero_shot``), and SMILE-VLM itself, trained for a while, whose embeddings are clustered (``cluster``, refreshed).
"""
