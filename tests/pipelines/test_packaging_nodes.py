"""The card of a packaged model names a command that can be typed as it stands; it knows the words of training alone."""

import pandas as pd
import pytest

from affect4d.pipelines.inference.packaging import _origin, describe_training_data


def test_a_packaged_model_knows_the_words_of_training_people_only():
    written = pd.DataFrame(
        {"sequence": ["A/1", "A/1", "B/1", "C/1"], "prompt": ["a smile", "a grin", "a scowl", "a smile"]}
    )
    views = pd.DataFrame({"subject": ["A", "A", "B", "C"], "sequence": ["A/1", "A/1", "B/1", "C/1"]})
    split = {"train": ["A", "C"], "test": ["B"]}
    told = describe_training_data(written, views, {"name": "made", "synthetic": False}, split)
    assert told["sentences"] == ["a grin", "a smile"]
    assert (told["trained_on"], told["tested_subjects"], told["corpus"]) == ("2 people", 1, "made")


@pytest.mark.parametrize(
    ("face", "given"),
    [
        ("procedural", "corpus=made,seed=4"),
        ("ict_facekit", "corpus=made,ict_folder=FOLDER_OF_ICT_FACEKIT,seed=4"),
        (None, "corpus=made,seed=4"),
    ],
)
def test_the_command_names_what_a_corpus_is_made_from_and_no_folder_of_this_machine(face, given):
    raw_corpus = {"name": "made", "synthetic": face is not None}
    if face is not None:
        raw_corpus["recipe"] = {"face": face, "ict_folder": "/somebody/ICT-FaceKit"}
    tables = pd.DataFrame({"sequence": [], "prompt": []}), pd.DataFrame({"subject": [], "sequence": []})
    data = describe_training_data(*tables, raw_corpus, {"train": ["F001"], "test": []})
    told = _origin({"model": "smile_vlm", "key": "abc"}, data, 4)
    assert told["command"] == f"kedro run --pipeline=train_smile --params {given}"
