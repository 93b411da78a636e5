import numpy as np
import open_clip
import pandas as pd
import pytest

from affect4d.pseudo_labels.action_units_and_emotion_prototypes import (
    ACTION_UNIT_EFFECTS,
    BLENDSHAPE_EFFECTS,
    EMOTION_ACTION_UNITS,
    PSEUDO_LABEL_COLUMNS,
    STILL,
)
from affect4d.pseudo_labels.landmark_movement import MEASUREMENTS
from affect4d.pseudo_labels.landmark_pseudo_labels import (
    UnmeasurableError,
    balancing_offsets,
    fit_rules,
    label_by_geometry,
    measure_blendshapes,
    measure_sequences,
    measured_by_blendshapes,
    measured_by_rules,
    rule_probabilities,
)
from affect4d.pseudo_labels.options import GeometryOptions, PseudoLabelOptions
from affect4d.pseudo_labels.pseudo_prompts import write_sentences
from affect4d.scans.alignment.face_landmarker import BLENDSHAPES
from affect4d.scans.expression import EXPRESSIONS

PATTERNS = np.array(
    [
        [
            sum(
                weight * ACTION_UNIT_EFFECTS[unit].get(name, 0.0)
                for unit, weight in EMOTION_ACTION_UNITS[emotion].items()
            )
            for name in MEASUREMENTS
        ]
        for emotion in EXPRESSIONS
    ]
)
TALK = np.array([name in ("jaw_drop", "lip_parting", "lower_lip_lowering", "lip_protrusion") for name in MEASUREMENTS])
SUBJECTS = tuple(f"F{subject:03d}" for subject in range(6))


OPTIONS = PseudoLabelOptions()


def findings(scans, options=OPTIONS, subjects=SUBJECTS):
    return label_by_geometry(scans, subjects, options).set_index("sequence")


def test_typical_faces_get_their_emotion_word(corpus):
    scans, truth = corpus
    labels = findings(scans)["pseudo_label"]
    worded = labels[labels.isin(EXPRESSIONS)]
    assert (worded == truth[worded.index]).mean() > 0.95
    assert len(worded) > 0.9 * len(truth)


def test_findings_say_what_every_source_says(corpus):
    table = label_by_geometry(corpus[0], SUBJECTS, OPTIONS)
    assert set(table.columns) == set(PSEUDO_LABEL_COLUMNS)
    assert table["confidence"].between(0, 1).all()


@pytest.mark.parametrize("column", ["expression", "label"])
def test_a_table_with_labels_is_refused(corpus, column):
    scans, truth = corpus
    with pytest.raises(ValueError, match=f"without labels.*{column}"):
        findings(scans.assign(**{column: scans["sequence"].map(truth)}))


def test_rules_learn_from_training_subjects_alone(corpus):
    scans, _ = corpus
    train = scans[scans["subject"].isin(SUBJECTS)]
    whole = findings(scans)
    pd.testing.assert_frame_equal(whole.loc[train["sequence"].unique()], findings(train))
    assert set(whole.index) == set(scans["sequence"])


def test_order_of_rows_changes_nothing(corpus):
    scans, _ = corpus
    shuffled = scans.sample(frac=1.0, random_state=np.random.default_rng(1))
    pd.testing.assert_frame_equal(findings(scans).sort_index(), findings(shuffled).sort_index())


def test_a_table_of_prompts_has_several_a_sequence_and_none_twice(corpus):
    table = write_sentences(label_by_geometry(corpus[0], SUBJECTS, OPTIONS), OPTIONS)
    assert list(table.columns) == ["sequence", "prompt", "pseudo_label", "confidence", "source"]
    assert (table.groupby("sequence")["prompt"].nunique() == table.groupby("sequence").size()).all()
    assert (table.groupby("sequence").size() >= 4).all()
    assert set(table["source"]) == {"geometry"}
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    assert max(len(tokenizer.encode(prompt)) + 2 for prompt in table["prompt"].unique()) <= 32


def test_the_prompts_of_a_smile_speak_of_lip_corners(corpus):
    options = PseudoLabelOptions(prompts_per_sequence=16)
    table = write_sentences(label_by_geometry(corpus[0], SUBJECTS, options), options)
    happy = table[table["pseudo_label"] == "happiness"].groupby("sequence")["prompt"].apply(" ".join)
    assert (
        happy.str.contains("corners are pulled up|corners of the mouth are drawn up|mouth corners turn upwards").mean()
        > 0.8
    )


def test_a_face_that_does_not_move_is_still_and_fits_every_emotion_alike(corpus, perform):
    scans, _ = corpus
    still = pd.DataFrame(
        [("M001/0", "M001", frame, points.ravel().tolist()) for frame, points in enumerate(perform())],
        columns=scans.columns,
    )
    both = pd.concat([scans, still])
    assert findings(both).loc["M001/0", "pseudo_label"] == STILL
    assert rule_probabilities(both, SUBJECTS, OPTIONS).loc["M001/0"].to_numpy() == pytest.approx([1 / 6] * 6)


def test_an_uncertain_pattern_is_named_by_its_actions(corpus):
    labels = findings(corpus[0], PseudoLabelOptions(confidence=1.0))
    assert (labels["emotion"] == "").all()
    assert set(labels["pseudo_label"].str.split("+").explode()) <= {*ACTION_UNIT_EFFECTS, STILL}


def test_without_landmarks_the_error_names_the_remedy(corpus):
    with pytest.raises(ValueError, match="landmark files"):
        findings(corpus[0].assign(landmarks=None))


def test_unknown_training_subjects_are_named_as_the_cause(corpus):
    with pytest.raises(ValueError, match="subject split"):
        findings(corpus[0], subjects=("nobody",))


def test_sequences_that_cannot_be_measured_are_left_out(corpus):
    scans, _ = corpus
    broken = scans.copy()
    broken.loc[(broken["sequence"] == "F000/0") & (broken["frame"] == 0), "landmarks"] = None
    broken.at[broken.index[9], "landmarks"] = [float("nan")] * 249
    assert set(scans["sequence"]) - set(measure_sequences(broken).index) == {"F000/0"}


def test_with_too_few_of_an_emotion_the_prototypes_have_the_last_word(corpus):
    scans, _ = corpus
    rules, _ = measured_by_rules(scans, SUBJECTS[:2], OPTIONS)
    assert rules.discriminant is None


def test_balance_lets_no_emotion_swallow_the_others(corpus):
    scans, truth = corpus
    mostly = scans[scans["sequence"].map(truth).isin(["happiness", "surprise", "fear"])]
    bare = {"geometry": GeometryOptions(self_training=0)}
    free, _ = measured_by_rules(mostly, SUBJECTS, PseudoLabelOptions(balanced=False, **bare))
    even, scores = measured_by_rules(mostly, SUBJECTS, PseudoLabelOptions(**bare))
    assert set(free.offsets) == {0.0}
    assert sum(even.offsets) == pytest.approx(0.0, abs=1e-9)
    crowded = free.emotions(scores).mean().to_numpy().argmax()
    assert even.offsets[crowded] < 0


def test_single_scans_are_measured_against_the_subjects_neutral_face(static):
    scans, truth = static
    labels = findings(scans)["pseudo_label"]
    worded = labels[labels.isin(EXPRESSIONS) & labels.index.isin(truth.index)]
    assert set(labels.index) == set(scans["sequence"])
    assert (worded == truth[worded.index]).mean() > 0.9
    assert len(worded) > 0.8 * len(truth)


def test_labels_of_single_scans_do_not_depend_on_other_subjects(static):
    scans, _ = static
    train = scans[scans["subject"].isin(SUBJECTS)]
    pd.testing.assert_frame_equal(findings(scans).loc[train["sequence"]], findings(train))


def test_sequences_are_measured_alike_beside_single_scans(corpus, static):
    scans, _ = corpus
    single = static[0].assign(sequence="single " + static[0]["sequence"])
    measured = measure_sequences(pd.concat([scans, single]))
    pd.testing.assert_frame_equal(measured.loc[scans["sequence"].unique()], measure_sequences(scans))
    assert set(single["sequence"]) <= set(measured.index)


def test_subjects_with_too_few_single_scans_are_named_and_left_out(static):
    scans, _ = static
    few = scans[(scans["subject"] != "F001") | (scans["sequence"] < "F001/2")]
    with pytest.warns(UserWarning, match=r"Of 1 subjects with single scans, fewer than 3.*: F001\. More scans"):
        measured = measure_sequences(few)
    assert set(few["sequence"]) - set(measured.index) == {"F001/0", "F001/1"}


def test_a_corpus_of_strangers_is_told_what_can_be_done_instead(static):
    scans, _ = static
    with pytest.raises(ValueError, match=r"no subject's neutral face is known.*3 scans.*train_affect.*zero_shot"):
        measure_sequences(scans.assign(subject=scans["sequence"]))
    with pytest.raises(ValueError, match="landmark files beside"):
        measure_sequences(scans.assign(landmarks=None))


@pytest.fixture
def talking():
    """240 sequences in which people also talk, some much, whatever they show; and the truth."""
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 6
    moved = 0.03 * PATTERNS[truth] * rng.uniform(0.5, 1.0, (240, 1)) + rng.normal(0, 0.008, (240, len(MEASUREMENTS)))
    moved += TALK * rng.normal(0, 0.15, (240, 1))
    return pd.DataFrame(moved, columns=list(MEASUREMENTS)), np.array(EXPRESSIONS)[truth]


def right(moved, truth, rounds):
    rules = fit_rules(moved, GeometryOptions(self_training=rounds), balanced=True)
    return (rules.emotions(rules.scores(moved)).idxmax(axis=1) == truth).mean()


def test_rules_teach_themselves_what_prototypes_cannot_know(talking):
    moved, truth = talking
    assert right(moved, truth, 0) < 0.9
    assert right(moved, truth, 5) > right(moved, truth, 0) + 0.05


def test_shares_sum_to_one_and_scores_are_bounded(talking):
    moved, _ = talking
    rules = fit_rules(moved, GeometryOptions(), balanced=True)
    scores = rules.scores(10 * moved)
    assert np.abs(scores.to_numpy()).max() <= 1
    np.testing.assert_allclose(rules.emotions(scores).sum(axis=1), 1.0)


def test_spread_is_robust_and_never_below_a_scanners_noise(talking):
    moved, _ = talking
    wild = moved.copy()
    wild.iloc[::10] *= 1000.0
    options = GeometryOptions()
    usual, odd = fit_rules(moved, options, balanced=True), fit_rules(wild, options, balanced=True)
    assert all(odd.spread[name] < 1.5 * usual.spread[name] for name in MEASUREMENTS)
    assert set(fit_rules(moved * 0, options, balanced=True).spread.values()) == {0.002}


def test_sinkhorn_fills_the_columns_evenly():
    scores = np.random.default_rng(0).normal(size=(60, 4)) + np.array([2.0, 0.0, 0.0, -1.0])
    offsets = balancing_offsets(scores, temperature=0.5, steps=500)
    shares = np.exp((scores + offsets) / 0.5)
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares.sum(axis=0), 15.0, atol=1e-6)
    assert offsets.mean() == pytest.approx(0.0, abs=1e-12)


def blendshapes(*rows):
    """Scores of (sequence, frame, blendshapes that are not 0); no face was found where they are None."""
    return pd.DataFrame(
        [
            {"sequence": name, "frame": frame}
            | dict.fromkeys(BLENDSHAPES, 0.0 if given is not None else np.nan)
            | (given or {})
            for name, frame, given in rows
        ]
    )


def test_blendshapes_are_measured_at_the_apex_since_the_first_frame_as_means_of_both_sides():
    smile = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.6, "browInnerUp": 0.1}
    scores = blendshapes(("a", 0, {"browInnerUp": 0.1}), ("a", 1, {}), ("a", 2, smile), ("a", 3, None), ("a", 4, smile))
    moved = measure_blendshapes(scores, pd.Series({"a": "F1"})).loc["a"]
    assert moved["mouthSmile"] == pytest.approx(0.7)
    assert moved.drop("mouthSmile").abs().max() == pytest.approx(0.0)


def test_single_scans_are_measured_against_the_median_of_their_subjects_scores():
    shown = [("b", {"jawOpen": 0.9}), ("c", {"mouthPucker": 0.9}), ("d", {"browInnerUp": 0.9})]
    scores = blendshapes(*((name, 0, given) for name, given in shown), ("alone", 0, {"jawOpen": 0.9}))
    moved = measure_blendshapes(scores, pd.Series({"b": "F1", "c": "F1", "d": "F1", "alone": "M1"}))
    assert list(moved.index) == ["b", "c", "d"]
    assert moved.loc["b", "jawOpen"] == pytest.approx(0.9)


def test_a_sequence_without_a_face_in_its_neutral_frame_is_left_out():
    scores = blendshapes(("a", 0, None), ("a", 1, {}), ("a", 2, {"jawOpen": 0.5}))
    subjects = pd.Series({"a": "F1"})
    assert measure_blendshapes(scores, subjects).empty
    with pytest.raises(UnmeasurableError, match="detector found no face"):
        measured_by_blendshapes(scores, subjects, ["F1"], OPTIONS)


def test_typical_blendshapes_get_their_emotion(generator):
    rows, truth = [], {}
    for emotion, units in EMOTION_ACTION_UNITS.items():
        for sequence in (f"{emotion}{number}" for number in range(6)):
            effects = pd.DataFrame([BLENDSHAPE_EFFECTS[unit] for unit in units]).clip(lower=0).max()
            shown = {
                column: float(effects.get(column.removesuffix("Left").removesuffix("Right"), 0.0))
                * generator.uniform(0.3, 0.6)
                for column in BLENDSHAPES
            }
            rows += [(sequence, 0, {}), (sequence, 1, shown), (sequence, 2, shown)]
            truth[sequence] = emotion
    subjects = pd.Series(dict.fromkeys(truth, "F1"))
    rules, scores = measured_by_blendshapes(blendshapes(*rows), subjects, ["F1"], OPTIONS)
    found = rules.emotions(scores).idxmax(axis=1)
    assert (found == pd.Series(truth)[found.index]).mean() > 0.9
