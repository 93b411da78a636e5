"""Commands that reproduce a result."""

from collections.abc import Mapping
from typing import Any


def corpus_parameters(raw_corpus: Mapping[str, Any]) -> str:
    """Corpus of a run as it is typed after ``--params``; a needed folder is named by a placeholder.

    >>> corpus_parameters({"name": "open-4dfer-ict", "recipe": {"face": "ict_facekit"}})
    'corpus=open-4dfer-ict,ict_folder=FOLDER_OF_ICT_FACEKIT'
    """
    named = f"corpus={raw_corpus['name']}"
    on_ict = raw_corpus.get("recipe", {}).get("face") == "ict_facekit"
    return f"{named},ict_folder=FOLDER_OF_ICT_FACEKIT" if on_ict else named
