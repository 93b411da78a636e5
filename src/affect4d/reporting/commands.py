"""What to type to get a result again."""

from collections.abc import Mapping
from typing import Any


def corpus_parameters(raw_corpus: Mapping[str, Any]) -> str:
    """The corpus as it is typed after ``--params``; where a folder is needed to make it, a word stands for its path.

    >>> corpus_parameters({"name": "open-4dfer-ict", "recipe": {"face": "ict_facekit"}})
    'corpus=open-4dfer-ict,ict_folder=FOLDER_OF_ICT_FACEKIT'

    Args:
        raw_corpus: What its fabrication said of it: ``name`` and, of a synthetic one, ``recipe``.
    """
    named = f"corpus={raw_corpus['name']}"
    on_ict = raw_corpus.get("recipe", {}).get("face") == "ict_facekit"
    return f"{named},ict_folder=FOLDER_OF_ICT_FACEKIT" if on_ict else named
