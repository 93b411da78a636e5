import json

import pytest

from affect4d.evaluation.metrics import chance_scores, score_predictions
from affect4d.evaluation.summary import display_name, result_rows, results_table, write_summary

KEYS = [
    "corpus",
    "protocol",
    "split_hash",
    "seed",
    "subjects",
    "models",
    "baselines",
    "left_out",
    "seconds",
    "versions",
]


@pytest.fixture
def summary(predictions, split, generator):
    scores = score_predictions(predictions, split, generator)
    return write_summary(
        corpus="synthetic",
        protocol="subject-independent hold-out",
        split=split,
        seed=0,
        models={"affect_vlm": scores, "smile_vlm": {"linear_probe": scores, "knn": scores, "zero_shot": scores}},
        baselines={"chance": chance_scores(predictions), "pixel_knn": scores},
        seconds={"ingest": 1.23456},
        versions={"affect4d": "0.1.0"},
    )


def test_a_summary_has_the_promised_keys_and_survives_json(summary, split):
    assert list(summary) == KEYS
    assert summary["subjects"] == {"train": 6, "test": 4}
    assert summary["split_hash"] == split.digest
    assert json.loads(json.dumps(summary)) == summary


def test_every_score_is_a_share(summary):
    names = dict(result_rows(summary))
    assert list(names) == [
        "affect_vlm",
        "smile_vlm.linear_probe",
        "smile_vlm.knn",
        "smile_vlm.zero_shot",
        "chance",
        "pixel_knn",
    ]
    for scores in names.values():
        assert all(0 <= scores[key] <= 1 for key in ("accuracy", "macro_f1", "uar"))
        assert 0 <= scores["interval"][0] <= scores["interval"][1] <= 1


def test_per_cent_in_place_of_shares_is_refused(summary, split):
    wrong = {**summary["baselines"]["chance"], "accuracy": 16.7}
    with pytest.raises(ValueError, match=r"accuracy of chance is 16\.7"):
        write_summary(
            corpus="c",
            protocol="p",
            split=split,
            seed=0,
            models={},
            baselines={"chance": wrong},
            seconds={},
            versions={},
        )


def test_the_results_table_has_every_row_in_per_cent(summary):
    table = results_table(summary).set_index("model")
    assert {"AffectVLM", "SMILE-VLM, zero-shot", "Chance"} <= set(table.index)
    assert table.loc["Chance", "accuracy %"] == "16.7"
    assert table.loc["Chance", "95 % interval"] == "–"


def test_the_results_table_has_the_other_settings_where_they_are_known(summary):
    part = {"accuracy": 0.25, "interval": [0.1, 0.3], "macro_f1": 0.2}
    summary["models"]["affect_vlm"]["settings"] = {"sequence": part, "apex_neutral": part}
    table = results_table(summary).set_index("model")
    assert table.loc["AffectVLM", ["apex + neutral %", "single scan %"]].tolist() == ["25.0", "–"]
    assert table.loc["Chance", ["apex + neutral %", "single scan %"]].tolist() == ["–", "–"]


def test_words_are_shown_as_they_are_and_names_with_blanks():
    assert display_name("− L_MV") == "− L_MV"
    assert display_name("my_model.knn") == "my model, knn"
