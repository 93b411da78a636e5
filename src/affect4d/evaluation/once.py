"""An examination that is held once: the same model, data, options and code give the answers that are there already."""

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from affect4d.store import ContentStore, code_version, content_key

Answers = tuple[dict[str, Any], pd.DataFrame]
"""Scores, and predictions on the sequences of unseen subjects."""


def examine_once(name: str, store: ContentStore, hold: Callable[[], Answers], **given: Any) -> Answers:
    """Hold an examination, unless it was held before.

    Args:
        name: What is examined; the folder its answers are kept in.
        store: Where answers are kept.
        hold: Holds it.
        given: Everything the answers depend on, the code of this package left out.
    """
    entry = f"{name}/{content_key(given=given, code=code_version(__name__))}"
    if not store.has(entry):
        scores, predictions = hold()
        with store.write(entry) as folder:
            folder.mkdir()
            predictions.to_parquet(folder / "predictions.parquet")
            (folder / "scores.json").write_text(json.dumps(scores))
    folder = store.path(entry)
    return json.loads((folder / "scores.json").read_text()), pd.read_parquet(folder / "predictions.parquet")
