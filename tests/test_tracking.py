"""What a run tells MLflow first."""

from affect4d.tracking import headline, tagged_models


def test_a_model_is_named_with_its_way_of_answering():
    scores = {"linear_probe": {"accuracy": 0.5, "interval": {"low": 0.4}}, "knn": {"accuracy": 0.25, "uar": 0.3}}
    assert headline("smile_vlm", scores) == {"accuracy/smile_vlm linear_probe": 0.5, "accuracy/smile_vlm knn": 0.25}
    assert headline("affect_vlm", {"accuracy": 0.75, "f1": 0.5}) == {"accuracy/affect_vlm": 0.75}


def test_a_setting_comes_last():
    scores = {"accuracy": 0.75, "settings": {"single_scan": {"accuracy": 0.5, "macro_f1": 0.4}}}
    expected = {"accuracy/affect_vlm": 0.75, "accuracy/affect_vlm single_scan": 0.5}
    assert headline("affect_vlm", scores) == expected


def test_references_and_baselines_stand_for_themselves():
    assert headline("baseline", {"chance": {"accuracy": 0.125}}) == {"accuracy/chance": 0.125}
    assert headline("reference", {"cross_entropy": {"accuracy": 1}}) == {"accuracy/cross_entropy": 1.0}


def test_packaged_models_of_a_run_are_found_by_the_present_and_the_former_tag():
    tags = {"packaged_model.affect_vlm": "k1", "bundle.smile_vlm": "k2", "model.affect_vlm": "k3"}
    assert tagged_models(tags) == {"affect_vlm": "k1", "smile_vlm": "k2"}
