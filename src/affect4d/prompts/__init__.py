"""Text prompts of a face: vocabulary, sentence templates, and their composition for labelled sequences.

Attributes (gender, age group) are written only where the corpus supplies them; they are never guessed from a face.
"""
