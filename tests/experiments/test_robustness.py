from types import SimpleNamespace

import pandas as pd
import pytest

from affect4d.experiments import robustness
from affect4d.experiments.robustness import CorruptedClip, Corruption, measure_robustness, summarise_robustness
from affect4d.models.vision_language_models import WEIGHTS_FILE
from affect4d.rendering.options import RenderOptions
from affect4d.store import ContentStore, content_key
from affect4d.views.input_options import InputOptions


def answers(rights):
    """Predictions in which each model names so many of ten sequences right, by corruption and strength."""
    rows = [
        (corruption, strength, model, f"A/{place}", "A", "fear", "fear" if place < right else "anger")
        for (corruption, strength, model), right in rights.items()
        for place in range(10)
    ]
    columns = ["corruption", "strength", "model", "sequence", "subject", "expression", "predicted"]
    return pd.DataFrame(rows, columns=columns)


RIGHTS = {
    ("none", 0, "affect_vlm"): 9, ("none", 0, "cross_entropy"): 8,
    ("holes", 1, "affect_vlm"): 8, ("holes", 1, "cross_entropy"): 6,
    ("holes", 2, "affect_vlm"): 6, ("holes", 2, "cross_entropy"): 2,
    ("noise", 1, "affect_vlm"): 5, ("noise", 1, "cross_entropy"): 5,
    ("noise", 2, "affect_vlm"): 1, ("noise", 2, "cross_entropy"): 5,
}  # fmt: skip


def test_the_mean_corruption_error_is_that_of_the_definition():
    found = summarise_robustness(answers(RIGHTS))
    assert found["corruptions"] == ["holes", "noise"]
    # errors: holes 0.2 + 0.4 against 0.4 + 0.8; noise 0.5 + 0.9 against 0.5 + 0.5
    assert found["models"]["affect_vlm"]["mce"] == pytest.approx((0.6 / 1.2 + 1.4 / 1.0) / 2)
    assert found["models"]["cross_entropy"]["mce"] == 1
    assert found["models"]["affect_vlm"]["clean"] == 0.9
    assert found["models"]["affect_vlm"]["mean"]["holes"] == pytest.approx(0.7)
    assert found["curves"]["noise"]["affect_vlm"] == [0.9, 0.5, 0.1]


def test_pose_stability_is_the_share_of_answers_that_change_right_or_wrong():
    rows = answers(
        {
            **{key: right for key, right in RIGHTS.items() if key[2] == "affect_vlm"},
            ("yaw", -1, "affect_vlm"): 9,
            ("yaw", 1, "affect_vlm"): 6,
            ("z", 1, "affect_vlm"): 10,
        }
    )
    found = summarise_robustness(rows)
    assert found["corruptions"] == ["holes", "noise"]
    # of ten answers, none and three change with the yaw; one changes, from wrong to right, with the displacement
    expected = {"yaw": 0.15, "z": 0.1, "rotation": 0.15, "displacement": 0.1}
    assert found["pose_stability"] == {"affect_vlm": pytest.approx(expected)}
    assert summarise_robustness(answers(RIGHTS))["pose_stability"] == {}


def test_every_change_of_pose_is_made_both_ways(monkeypatch, tmp_path):
    monkeypatch.setattr(robustness, "_key", lambda corruption, test: {"corruption": str(corruption)})
    monkeypatch.setattr(
        robustness, "_predict", lambda one, test: pd.DataFrame({"name": [one.name], "sign": [one.strength]})
    )
    table = measure_robustness(None, ("pose",), ContentStore(tmp_path))
    assert table["name"].tolist() == [
        "none",
        *(name for name in ("pitch", "yaw", "roll", "x", "y", "z") for _ in range(2)),
    ]
    assert table["sign"].tolist() == [0, *([-1, 1] * 6)]


def test_intervals_draw_people_anew_not_sequences():
    """Of two people one is always read right, the other never: a draw of people may hold either alone."""
    split = answers({("none", 0, "affect_vlm"): 5, ("holes", 1, "affect_vlm"): 5})
    split["subject"] = ["A" if place < 5 else "B" for place in [*range(10), *range(10)]]
    intervals = summarise_robustness(split)["models"]["affect_vlm"]["intervals"]
    assert intervals == {"none": (0.0, 1.0), "holes": (0.0, 1.0)}


def test_without_the_peer_there_is_no_mean_corruption_error():
    alone = {key: right for key, right in RIGHTS.items() if key[2] == "affect_vlm"}
    assert summarise_robustness(answers(alone))["models"]["affect_vlm"]["mce"] is None


def test_an_unknown_damage_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"No such corruption: rain; there are light, dropped_views"):
        measure_robustness(None, ("rain",), ContentStore(tmp_path))


def test_a_cell_is_examined_once(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(robustness, "_key", lambda corruption, test: {"corruption": str(corruption)})
    monkeypatch.setattr(
        robustness,
        "_predict",
        lambda corruption, test: made.append(corruption) or pd.DataFrame({"corruption": [corruption.name]}),
    )
    for _ in range(2):
        table = measure_robustness(None, ("holes",), ContentStore(tmp_path))
    assert made == [Corruption("none", 0), *(Corruption("holes", strength) for strength in range(1, 6))]
    assert list(table["corruption"]) == ["none", *["holes"] * 5]


def test_one_damage_of_one_clip_is_the_same_whoever_draws_it():
    clip = CorruptedClip("A/fear", "A", "fear", {}, ())
    draws = [robustness._generator(clip, Corruption("holes", strength)).random() for strength in (1, 5)]
    assert draws[0] == draws[1]
    assert (
        robustness._generator(CorruptedClip("B/fear", "B", "fear", {}, ()), Corruption("holes", 1)).random() != draws[0]
    )


def test_another_models_answers_are_not_taken_for_its_own(tmp_path):
    """A training that is started over writes its folder anew: the name stays, the weights do not."""
    folder = tmp_path / "affect_vlm"
    folder.mkdir()
    test = SimpleNamespace(
        clips=(), render=RenderOptions(), inputs=InputOptions(), models={"affect_vlm": folder}, prompts={}
    )
    keys = set()
    for weights in (b"first", b"second"):
        (folder / WEIGHTS_FILE).write_bytes(weights)
        keys.add(content_key(**robustness._key(Corruption("holes", 1), test)))
    assert len(keys) == 2
