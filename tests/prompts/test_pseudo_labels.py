"""Pseudo-labels from geometry: right on faces moved by hand, blind to labels, robust to what corpora lack."""

import numpy as np
import open_clip
import pandas as pd
import pytest

from affect4d.prompts.action_coding import ACTION_EFFECTS, EMOTION_ACTIONS, action_scores, emotion_scores
from affect4d.prompts.action_measurement import MEASUREMENTS
from affect4d.prompts.pseudo_labels import (
    NOT_TOGETHER,
    STILL,
    PseudoPromptOptions,
    balancing_offsets,
    fit_thresholds,
    measure_sequences,
    named_actions,
    pseudo_labels,
    write_pseudo_prompts,
)
from affect4d.prompts.vocabulary import ACTION_PHRASES
from affect4d.scans.expression import EXPRESSIONS

UP, DOWN = (0, 4, 0), (0, -4, 0)
INNER_BROWS_UP, OUTER_BROWS_UP = ([19, 20, 21, 22], (0, 5, 0)), ([16, 17, 18, 23, 24, 25], (0, 5, 0))
BROWS_TOGETHER = ([18, 19, 20, 21, 22, 23], (2.5, -3, 0))
BROWS_UP_AND_TOGETHER = ([19, 20, 21, 22], (2, 3, 0))
LIDS_UP, LOWER_LIDS_UP = ([1, 2, 3], (0, 2, 0)), ([5, 6, 7], (0, 2, 0))
JAW_DOWN = ([56, 57, 58, 59, 65, 66, 67, 73, 74, 75], (0, -9, 0))
LIP_CORNERS, UPPER_LIP, LOWER_LIP = [48, 60], [49, 50, 51, 61, 62], [56, 57, 58]
MOVES = {
    "anger": (BROWS_TOGETHER, ([1, 2, 3], (0, 1, 0)), LOWER_LIDS_UP, ([50, 51], (0, -2, 0)), (LOWER_LIP, (0, 2, 0))),
    "disgust": (([38, 39, 40], UP), (UPPER_LIP, UP), ([19, 20, 21], (0, -1, 0)), (LIP_CORNERS, (0, -1, 0))),
    "fear": (
        BROWS_UP_AND_TOGETHER,
        OUTER_BROWS_UP,
        LIDS_UP,
        (LIP_CORNERS, (-5, -1, -3)),
        ([*LOWER_LIP, 65, 66, 67, 75], DOWN),
    ),
    "happiness": ((LIP_CORNERS, (-6, 5, -4)), LOWER_LIDS_UP, ([39], (-2, 0, 0)), (UPPER_LIP, (0, 1, 0))),
    "sadness": (BROWS_UP_AND_TOGETHER, (LIP_CORNERS, DOWN), ([*LOWER_LIP, 66, 74, 75], (0, 1, 0))),
    "surprise": (INNER_BROWS_UP, OUTER_BROWS_UP, LIDS_UP, JAW_DOWN),
}


@pytest.fixture
def corpus(perform):
    """A scan manifest without labels, and the truth: 8 subjects, 6 expressions, 7 frames, 0.4 mm landmark error."""
    rng = np.random.default_rng(0)
    rows, truth = [], {}
    for subject in range(8):
        for number, expression in enumerate(rng.permutation(list(MOVES))):
            name = f"F{subject:03d}/{number}"
            track = perform(*MOVES[expression], strength=rng.uniform(0.7, 1.2)) * rng.uniform(0.9, 1.1)
            track = track + rng.normal(0, 0.25, track.shape)
            truth[name] = expression
            rows += [(name, f"F{subject:03d}", frame, points.ravel().tolist()) for frame, points in enumerate(track)]
    return pd.DataFrame(rows, columns=["sequence", "subject", "frame", "landmarks"]), pd.Series(truth)


SUBJECTS = tuple(f"F{subject:03d}" for subject in range(6))


def labels_of(table):
    return table.drop_duplicates("sequence").set_index("sequence")["pseudo_label"]


def test_typical_faces_get_their_emotion_word(corpus):
    scans, truth = corpus
    labels = labels_of(write_pseudo_prompts(scans, SUBJECTS, PseudoPromptOptions()))
    worded = labels[labels.isin(EXPRESSIONS)]
    assert (worded == truth[worded.index]).mean() > 0.95
    assert len(worded) > 0.9 * len(truth)


def test_balanced_assignment_lets_no_emotion_swallow_the_others(corpus):
    scans, truth = corpus
    mostly_happy = scans[scans["sequence"].map(truth).isin(["happiness", "surprise", "fear"])]
    scores = measure_sequences(mostly_happy)
    offsets = fit_thresholds(mostly_happy).emotion_offset
    free = fit_thresholds(mostly_happy, balanced=False)
    assert set(free.emotion_offset.values()) == {0.0}
    assert sum(offsets.values()) == pytest.approx(0.0, abs=1e-9)
    crowded = emotion_scores(free.scores(scores)).mean().idxmax()
    assert offsets[crowded] < 0


def test_sinkhorn_fills_the_columns_evenly():
    scores = np.random.default_rng(0).normal(size=(60, 4)) + np.array([2.0, 0.0, 0.0, -1.0])
    offsets = balancing_offsets(scores, temperature=0.5, steps=500)
    shares = np.exp((scores + offsets) / 0.5)
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares.sum(axis=0), 15.0, atol=1e-6)


def test_a_table_with_labels_is_refused(corpus):
    scans, truth = corpus
    labelled = scans.assign(expression=scans["sequence"].map(truth))
    for call in (fit_thresholds, lambda table: write_pseudo_prompts(table, SUBJECTS, PseudoPromptOptions())):
        with pytest.raises(ValueError, match="without labels"):
            call(labelled)


def test_thresholds_come_from_training_subjects_alone(corpus):
    scans, _ = corpus
    table = write_pseudo_prompts(scans, SUBJECTS, PseudoPromptOptions())
    train = scans[scans["subject"].isin(SUBJECTS)]
    alone = write_pseudo_prompts(train, SUBJECTS, PseudoPromptOptions())
    both = table[table["sequence"].isin(train["sequence"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(both, alone)
    assert set(table["sequence"]) == set(scans["sequence"])


def test_order_of_rows_changes_nothing(corpus):
    scans, _ = corpus
    shuffled = scans.sample(frac=1.0, random_state=np.random.default_rng(1))
    options = PseudoPromptOptions()
    one, other = (write_pseudo_prompts(table, SUBJECTS, options) for table in (scans, shuffled))
    order = ["sequence", "prompt"]
    pd.testing.assert_frame_equal(
        one.sort_values(order, ignore_index=True), other.sort_values(order, ignore_index=True)
    )


def test_a_table_of_prompts_has_several_a_sequence_and_none_twice(corpus):
    scans, _ = corpus
    table = write_pseudo_prompts(scans, SUBJECTS, PseudoPromptOptions(prompts_per_sequence=8))
    assert list(table.columns) == ["sequence", "prompt", "pseudo_label", "confidence", "source"]
    assert (table.groupby("sequence")["prompt"].nunique() == table.groupby("sequence").size()).all()
    assert (table.groupby("sequence").size() >= 4).all()
    assert table["confidence"].between(0, 1).all()
    assert set(table["source"]) == {"geometry"}
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    assert max(len(tokenizer.encode(prompt)) + 2 for prompt in table["prompt"].unique()) <= 32


def test_the_prompts_of_a_smile_speak_of_lip_corners(corpus):
    scans, _ = corpus
    table = write_pseudo_prompts(scans, SUBJECTS, PseudoPromptOptions(prompts_per_sequence=16))
    happy = table[table["pseudo_label"] == "happiness"].groupby("sequence")["prompt"].apply(" ".join)
    assert happy.str.contains("corners pulled up|corners drawn up").mean() > 0.8


def test_a_face_that_does_not_move_is_still(corpus, perform):
    scans, _ = corpus
    still = pd.DataFrame(
        [("M001/0", "M001", frame, points.ravel().tolist()) for frame, points in enumerate(perform())],
        columns=scans.columns,
    )
    table = write_pseudo_prompts(pd.concat([scans, still]), SUBJECTS, PseudoPromptOptions())
    assert set(table.query("sequence == 'M001/0'")["pseudo_label"]) == {STILL}


def test_an_uncertain_pattern_is_named_by_its_actions(corpus):
    scans, _ = corpus
    measured = measure_sequences(scans)
    labels = pseudo_labels(measured, fit_thresholds(scans), PseudoPromptOptions(confidence=1.0))
    assert (labels["emotion"] == "").all()
    actions = labels["pseudo_label"].str.split("+").explode()
    assert set(actions) <= {*ACTION_EFFECTS, STILL}


def test_without_landmarks_the_error_names_the_remedy(corpus):
    scans, _ = corpus
    with pytest.raises(ValueError, match="landmark files"):
        write_pseudo_prompts(scans.assign(landmarks=None), SUBJECTS, PseudoPromptOptions())


def test_unknown_training_subjects_are_named_as_the_cause(corpus):
    scans, _ = corpus
    with pytest.raises(ValueError, match="subject split"):
        write_pseudo_prompts(scans, ("nobody",), PseudoPromptOptions())


def test_sequences_that_cannot_be_measured_are_listed_and_the_others_kept(corpus):
    scans, _ = corpus
    broken = scans.copy()
    broken.loc[(broken["sequence"] == "F000/0") & (broken["frame"] == 0), "landmarks"] = None
    broken.at[broken.index[9], "landmarks"] = [float("nan")] * 249
    table = write_pseudo_prompts(broken, SUBJECTS, PseudoPromptOptions())
    assert table.attrs["unmeasured"] == ["F000/0"]
    assert table["sequence"].nunique() == scans["sequence"].nunique() - 1


@pytest.mark.parametrize("action", ACTION_EFFECTS)
def test_an_action_is_read_off_its_own_effects(action):
    effects = pd.DataFrame([{**dict.fromkeys(MEASUREMENTS, 0.0), **ACTION_EFFECTS[action]}])
    scores = action_scores(effects).iloc[0]
    assert scores.idxmax() == action
    assert scores[action] > 0.6


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_prototype_is_nearest_to_itself(expression):
    moved = dict.fromkeys(MEASUREMENTS, 0.0)
    for action, weight in EMOTION_ACTIONS[expression].items():
        for name, effect in ACTION_EFFECTS[action].items():
            moved[name] += weight * effect
    scores = emotion_scores(pd.DataFrame([moved])).iloc[0]
    assert scores.idxmax() == expression
    assert scores[expression] == pytest.approx(1.0)


def test_opposites_are_not_named_together():
    scores = pd.Series({"AU12": 0.9, "AU15": 0.8, "AU6": 0.7, "AU7": 0.6, "AU2": 0.1})
    assert named_actions(scores, PseudoPromptOptions()) == ("AU12", "AU6")
    assert all(pair <= set(ACTION_EFFECTS) for pair in NOT_TOGETHER)


def test_every_action_that_can_be_read_can_be_said():
    assert set(ACTION_EFFECTS) <= set(ACTION_PHRASES)
