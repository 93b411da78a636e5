"""Text for faces: what a supervised model is told about a scan, and what a self-supervised one may tell itself.

* :mod:`~affect4d.prompts.vocabulary` and :mod:`~affect4d.prompts.templates` are data: words, phrases, sentence frames.
* :mod:`~affect4d.prompts.compose` fills frames with words and *given* attributes: AffectVLM's augmented prompts.
* :mod:`~affect4d.prompts.action_measurement` reads facial actions off landmarks, in shares of the eye distance.
* :mod:`~affect4d.prompts.pseudo_labels` turns them, or what a network or a clustering says, into SMILE-VLM's
  pseudo-labeled prompts, without any label.

Attributes (gender, age group) are written only where the corpus supplies them; they are never guessed from a face.
"""
