import numpy as np
import pandas as pd
import pytest
import torch

from affect4d.evaluation.metrics import count_classes, unweighted_f1
from affect4d.evaluation.micro_expression_features_and_evaluation import (
    MOTION_FACTOR,
    class_targets,
    clip_inputs,
    compare_clips,
    encoder_classifier,
    encoder_features,
    evaluate_clips,
    flow_features,
    has_clips,
    labelled_clips,
    leave_one_out,
    linear_classifier,
    score_clips,
)
from affect4d.experiments.claims import Finding, micro_transfer_findings
from affect4d.models import build_model
from affect4d.models.options import EncoderOptions, ModelOptions
from affect4d.scans.expression import MICRO_EXPRESSIONS
from affect4d.scans.splits import SubjectSplit
from affect4d.views.bank import ViewBank
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented
from affect4d.views.input_options import InputOptions

SIZE, FRAMES = 48, 9
INPUTS = InputOptions(channels=("grey",), size=32)
PLACES = {"positive": (8, 8), "negative": (8, 32), "surprise": (32, 8), "repression": (32, 32), "others": (20, 20)}


def table(labels, people=6):
    """Clips of some people, the labels in turn; onset 1, apex 4, offset 7."""
    rows = [
        {"sequence": f"S{person}_{place}", "subject": f"S{person}", "label": label, "expression": None}
        for person in range(people)
        for place, label in enumerate(labels)
    ]
    return pd.DataFrame(rows).assign(onset=1.0, apex=4.0, offset=7.0)


def bank_of(sequences, seed=0, shift=3):
    """Skin with spots; where a class has its place, the skin moves sideways up to the apex and back."""
    rng = np.random.default_rng(seed)
    count = len(sequences)
    skin = np.clip(rng.normal(128, 40, (count, SIZE + 16, SIZE + 16)), 1, 255)
    skin = (skin + np.roll(skin, 1, 1) + np.roll(skin, 1, 2) + np.roll(skin, (1, 1), (1, 2))) / 4
    pictures = np.repeat(skin[:, None, 8:-8, 8:-8], FRAMES, axis=1)
    for row, label in enumerate(sequences["label"]):
        for name in label.split("+"):
            if name in PLACES:
                y, x = PLACES[name]
                for frame in range(1, 8):
                    moved = round(shift * (1 - abs(frame - 4) / 3))
                    patch = skin[row, 8 + y : 16 + y, 8 + x - moved : 16 + x - moved]
                    pictures[row, frame, y : y + 8, x : x + 8] = patch
    pictures += rng.normal(0, 2, pictures.shape)
    flat = torch.from_numpy(np.clip(pictures, 1, 255).astype(np.uint8)).reshape(-1, 1, 1, SIZE, SIZE)
    rows = count * FRAMES
    return ViewBank(
        images=flat,
        neutral=torch.arange(rows) // FRAMES * FRAMES,
        sequence=torch.arange(rows) // FRAMES,
        frame=torch.arange(rows) % FRAMES,
        in_window=torch.ones(rows, dtype=torch.bool),
        sequences=tuple(sequences["sequence"]),
        views=("front",),
    )


def test_clips_are_what_shows_a_micro_expression_and_says_when():
    sequences = table(["positive", "negative+surprise", "talk", "neutral", "others"], people=1)
    sequences.loc[4, "apex"] = np.nan
    assert labelled_clips(sequences)["label"].tolist() == ["positive", "negative+surprise"]
    assert has_clips(sequences)
    assert not has_clips(sequences.assign(expression="happiness"))
    assert not has_clips(table(["blink"]))


def test_an_encoder_sees_averaged_images_and_amplified_movement_from_the_onset():
    sequences = table(["positive"], people=1)
    bank = bank_of(sequences)
    onset, apex = clip_inputs(bank, sequences.iloc[0], INPUTS, torch.device("cpu"))
    frames = assemble_unaugmented(bank, torch.arange(FRAMES), InputOptions(channels=("grey",), size=32, motion="none"))
    levels = [frames[place - 1 : place + 2].mean(dim=0) for place in (1, 4)]
    assert (onset[0, 1] == 0).all()
    torch.testing.assert_close(onset[0, 0], levels[0][0, 0])
    torch.testing.assert_close(apex[0, 0], levels[1][0, 0])
    gain = MOTION_FACTOR * INPUTS.motion_gain
    torch.testing.assert_close(apex[0, 1], gain * (levels[1] - levels[0])[0, 0])


def test_motion_may_enter_as_further_views_or_not_at_all():
    sequences = table(["positive"], people=1)
    bank, still = bank_of(sequences), torch.device("cpu")
    stacked = clip_inputs(bank, sequences.iloc[0], INPUTS, still)[1]
    as_views = clip_inputs(bank, sequences.iloc[0], INPUTS.model_copy(update={"motion": "views"}), still)[1]
    none = clip_inputs(bank, sequences.iloc[0], INPUTS.model_copy(update={"motion": "none"}), still)[1]
    assert stacked.shape == (1, 2, 32, 32)
    torch.testing.assert_close(as_views, stacked.transpose(0, 1))
    torch.testing.assert_close(none, stacked[:, :1])


def test_targets_are_ones_where_a_class_is():
    assert class_targets(pd.Series(["negative+surprise"])).tolist() == [[0, 1, 1, 0, 0]]


def test_optical_flow_sees_which_way_skin_moves():
    sequences = table(["positive"], people=1)
    flow = flow_features(bank_of(sequences, shift=2), sequences)[0].reshape(3, 8, 8)
    sideways = flow[1]
    y, x = (place * 8 // SIZE for place in PLACES["positive"])
    assert np.abs(sideways).argmax() // 8 in (y, y + 1)
    assert np.abs(sideways[y : y + 2, x : x + 2]).max() > 5 * np.median(np.abs(sideways))


@pytest.mark.parametrize("head", [linear_classifier, encoder_classifier])
def test_heads_find_what_is_there_and_only_then(head):
    labels = [*MICRO_EXPRESSIONS, "negative+surprise"]
    sequences = table(labels, people=10)
    features = flow_features(bank_of(sequences), sequences)
    judged = leave_one_out(head, features, sequences, {"S0", "S1", "S2"}, "way")
    assert set(judged["subject"]) == {"S0", "S1", "S2"}
    assert score_clips(judged, np.random.default_rng(0))["uf1"] > 0.6
    noise = np.random.default_rng(0).normal(size=features.shape).astype(np.float32)
    assert (
        score_clips(leave_one_out(head, noise, sequences, {"S0", "S1"}, "way"), np.random.default_rng(0))["uf1"] < 0.5
    )


def test_who_is_judged_is_never_fitted_on():
    sequences, fitted = table(["positive", "negative"], people=4), []

    def head(known, told, asked):
        fitted.append((known[:, 0].tolist(), asked[:, 0].tolist()))
        return np.tile([0.9, 0.1, 0, 0, 0], (len(asked), 1)).astype(np.float32)

    features = np.arange(8, dtype=np.float32).reshape(8, 1)
    judged = leave_one_out(head, features, sequences, {"S1", "S3"}, "way")
    assert fitted == [([0, 1, 4, 5, 6, 7], [2, 3]), ([0, 1, 2, 3, 4, 5], [6, 7])]
    assert judged["predicted"].tolist() == ["positive"] * 4


def test_single_label_leaves_out_clips_of_several_and_names_one():
    sequences = table(["positive", "negative+surprise", "others"], people=3)
    features = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    judged = leave_one_out(encoder_classifier, features, sequences, {"S0"}, "way", one_class=True)
    assert judged["label"].tolist() == ["positive", "others"]
    assert not judged["predicted"].str.contains("+", regex=False).any()


def test_scores_are_those_of_summed_counts():
    judged = pd.DataFrame(
        {
            "subject": ["a", "a", "b", "b"],
            "label": ["positive", "negative+surprise", "positive", "surprise"],
            "predicted": ["positive", "surprise", "negative", "surprise+negative"],
        }
    )
    scores = score_clips(judged, np.random.default_rng(0))
    assert scores["per_class"]["positive"] == pytest.approx(2 / 3)  # tp 1, fp 0, fn 1
    assert scores["per_class"]["negative"] == 0  # tp 0, fp 2, fn 1
    assert scores["per_class"]["surprise"] == 1  # tp 2
    assert scores["uf1"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert scores["uar"] == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert scores["exact"] == 0.25
    assert scores["interval"][0] <= scores["uf1"] <= scores["interval"][1]


def judged(people, right, seed=0):
    """Clips of some people, each named right with a probability."""
    rng = np.random.default_rng(seed)
    clips = table(MICRO_EXPRESSIONS, people)
    others = clips["label"].map(lambda label: rng.choice([name for name in MICRO_EXPRESSIONS if name != label]))
    return clips.assign(predicted=clips["label"].where(rng.random(len(clips)) < right, others))


def test_a_comparison_of_clips_is_one_of_summed_counts():
    one, other = judged(12, 0.9), judged(12, 0.3, seed=1)
    found = compare_clips(one, other.sample(frac=1, random_state=0), np.random.default_rng(0))
    scores = [
        unweighted_f1(count_classes(each["label"], each["predicted"], MICRO_EXPRESSIONS)) for each in (one, other)
    ]
    assert found.scores == pytest.approx(scores)
    assert found.difference == pytest.approx(scores[0] - scores[1])
    assert found.interval[0] > 0
    assert found.p < 0.01
    assert found.subjects == 12


def test_a_comparison_with_oneself_finds_nothing():
    found = compare_clips(judged(6, 0.5), judged(6, 0.5), np.random.default_rng(0))
    assert (found.difference, found.interval, found.p) == (0, (0, 0), 1)


def test_p_of_a_comparison_is_seldom_small_where_nothing_differs():
    values = [
        compare_clips(judged(8, 0.5, seed), judged(8, 0.5, 100 + seed), np.random.default_rng(seed), 199).p
        for seed in range(60)
    ]
    assert np.mean(np.array(values) < 0.05) < 0.15
    assert np.mean(values) > 0.4


def test_other_clips_are_no_pairs():
    with pytest.raises(ValueError, match="not about the same clips"):
        compare_clips(judged(3, 0.5), judged(2, 0.5), np.random.default_rng(0))


def test_every_baseline_is_a_finding():
    tables = [
        judged(4, 0.8, seed).assign(model=f"{way}.single_label") for seed, way in enumerate(("smile_vlm", "difference"))
    ]
    (found,) = micro_transfer_findings(pd.concat(tables), "this run")
    assert (found["first"], found["second"], found["unit"]) == (
        "smile_vlm.single_label",
        "difference.single_label",
        "UF1",
    )
    assert Finding(**found).subjects == 4


def test_nobody_to_judge_is_said():
    with pytest.raises(ValueError, match="one of them unseen"):
        leave_one_out(linear_classifier, np.zeros((2, 1), np.float32), table(["positive"], people=2), {"other"}, "way")


def test_an_encoder_is_examined_beside_what_it_must_beat():
    sequences = table(["positive", "negative", "surprise"], people=4)
    options = ModelOptions(
        views=1,
        channels=2,
        dim=16,
        encoder=EncoderOptions(text="compact", image_width=16, text_width=16, text_layers=1),
    )
    encoders = [build_model("smile_vlm", options, seed) for seed in (0, 1)]
    bank = bank_of(sequences)
    assert encoder_features(encoders[0], bank, INPUTS, sequences).shape == (12, 16 + 48 * 4 * 4)
    split = SubjectSplit(train=("S0", "S1"), test=("S2", "S3"), seed=0)
    scores, predictions = evaluate_clips(*encoders, bank, INPUTS, sequences, split)
    ways = ("smile_vlm", "untrained_encoder", "difference", "optical_flow")
    assert list(scores) == [f"{way}.{protocol}" for way in ways for protocol in ("multi_label", "single_label")]
    assert set(predictions["subject"]) == {"S2", "S3"}
    assert set(predictions["model"]) == set(scores)
