from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from affect4d.evaluation.baselines import (
    action_oracle,
    apex_scans,
    baseline_predictions,
    blendshape_logistic,
    landmark_logistic,
    landmark_table,
    pixel_logistic,
    principal_components,
    pseudo_label_rules,
    window_displacements,
    window_images,
)
from affect4d.evaluation.evaluate_models import Evaluator
from affect4d.evaluation.prediction_tables_and_leak_checks import LeakError
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.input_options import InputOptions

OPTIONS = InputOptions(channels=("grey", "shading"), motion="none", size=16)


@pytest.fixture
def scan_manifest(bank, generator):
    """Each expression moves one landmark by 5 mm in the window; one scan has no landmarks."""
    table = bank.index()
    still = generator.normal(size=(83, 3))
    rows = []
    for name, inside in zip(table["sequence"], table["in_window"], strict=True):
        landmarks = still + 0.2 * generator.normal(size=(83, 3))
        landmarks[len(name.split("/")[1]), 1] += 5.0 * inside
        rows.append(landmarks.flatten().tolist())
    rows[1] = None
    return table.assign(subject=table["sequence"].str.split("/").str[0], landmarks=rows)


def test_pictures_are_means_over_the_window(bank):
    pictures = window_images(bank, ["S00/disgust"], [0])
    assert pictures.shape == (1, 2, 1, 12, 12)
    assert pictures[0] == pytest.approx(bank.images[6:9, :, :1].float().mean(dim=0).numpy() / 255, abs=1e-6)


def test_components_do_not_depend_on_how_many_sequences_are_in_memory(bank, sequences, split, monkeypatch):
    whole = principal_components(bank, sequences, split, [0], motion=True)
    monkeypatch.setattr("affect4d.evaluation.baselines.SEQUENCES_AT_ONCE", 7)
    in_parts = principal_components(bank, sequences, split, [0], motion=True)
    assert len(whole) == 2
    for one, other in zip(whole, in_parts, strict=True):
        assert other == pytest.approx(one, abs=1e-4)


def test_a_copied_sequence_is_found_among_components(bank, sequences, split):
    seen, copy = bank.rows_of("S00/anger"), bank.rows_of("S09/anger")
    bank.images[copy] = bank.images[seen]
    with pytest.raises(LeakError, match="S09/anger"):
        pixel_logistic(bank, OPTIONS, sequences, split)


def test_motion_is_the_difference_to_the_neutral_frame(bank):
    motion = window_images(bank, ["S00/disgust"], [0], motion=True)
    assert motion[0, :, 0, 2:4, 3:9].mean() == pytest.approx(60 / 255, abs=0.03)
    assert motion[0, :, 0, 6:].mean() == pytest.approx(0, abs=0.02)


def test_displacements_are_means_over_the_frames_that_were_measured(bank, scan_manifest):
    rows = scan_manifest["landmarks"].tolist()
    moved = window_displacements(bank, landmark_table(scan_manifest), ["S00/anger"])
    expected = (np.array(rows[2]) + np.array(rows[3])) / 2 - np.array(rows[0])
    assert moved[0] == pytest.approx(expected, abs=1e-4)


def test_a_sequence_without_neutral_landmarks_still_gets_a_prediction(bank, scan_manifest, sequences, split):
    blind = scan_manifest["sequence"] == sequences["sequence"].iloc[-1]
    scan_manifest.loc[blind, "landmarks"] = None
    table = landmark_logistic(bank, scan_manifest, sequences, split)
    assert len(table) == 24
    assert table.filter(like="prob_").notna().all(axis=None)


def test_actions_without_names_of_subjects_reach_the_oracle(bank, sequences, split, generator):
    actions = bank.index().drop(columns="in_window")
    expression = actions["sequence"].str.split("/").str[1]
    actions = actions.assign(expression=expression, **{f"AU{n}": generator.random(len(actions)) for n in range(4)})
    table = action_oracle(bank, actions, sequences, split)
    assert set(table["model"]) == {"action_oracle"}
    assert len(table) == 24


def test_every_baseline_predicts_every_unseen_sequence(bank, scan_manifest, sequences, split):
    table = baseline_predictions(bank, OPTIONS, sequences, split, scan_manifest)
    right = (table["predicted"] == table["expression"]).groupby(table["model"]).mean()
    assert set(right.index) == {"pixel_knn", "pixel_logistic", "motion_logistic", "landmark_logistic", "pseudo_labels"}
    assert (table.groupby("model")["sequence"].nunique() == 24).all()
    assert right["pixel_logistic"] == right["motion_logistic"] == right["pixel_knn"] == 1.0


def test_blendshape_scores_are_a_baseline_where_some_frame_has_them(bank, scan_manifest, sequences, split, generator):
    table = bank.index()
    shown = table["sequence"].str.split("/").str[1].map(EXPRESSIONS.index)
    noise = generator.uniform(0, 0.1, (6, len(table)))
    scores = {f"blendshape{place}": (shown == place) * table["in_window"] * 0.5 + noise[place] for place in range(6)}
    scored = table[["sequence", "frame"]].assign(**scores)
    found = blendshape_logistic(bank, scored, sequences, split)
    assert (found["predicted"] == found["expression"]).all()
    nowhere = scored.assign(blendshape0=np.nan)
    for empty in (nowhere, scored.iloc[:0]):
        tables = baseline_predictions(bank, OPTIONS, sequences, split, scan_manifest, blendshapes=empty)
        assert "blendshape_logistic" not in set(tables["model"])


def test_a_corpus_without_landmarks_has_no_landmark_baseline(bank, scan_manifest, sequences, split):
    table = baseline_predictions(
        bank, OPTIONS, sequences, split, scan_manifest.assign(landmarks=pd.Series(dtype=object))
    )
    assert "landmark_logistic" not in set(table["model"])


def test_the_rules_alone_name_every_unseen_sequence_without_labels(scan_manifest, sequences, split):
    blind = scan_manifest["sequence"] == sequences["sequence"].iloc[-1]
    scan_manifest.loc[blind, "landmarks"] = None
    table = pseudo_label_rules(scan_manifest, sequences, split)
    shuffled = sequences.assign(expression=sequences["expression"].iloc[::-1].to_numpy())
    again = pseudo_label_rules(scan_manifest, shuffled, split)
    assert len(table) == 24
    assert table["predicted"].tolist() == again["predicted"].tolist()
    assert table.filter(like="prob_").iloc[-1].tolist() == pytest.approx([1 / 6] * 6)


@pytest.fixture
def single(bank, sequences, generator):
    """The same people scan by scan: the middle frame of every sequence; each expression moves a part of the mouth."""
    people = {name: generator.normal(0, 40, (83, 3)) for name in sequences["subject"].unique()}
    landmarks = []
    for subject, expression in zip(sequences["subject"], sequences["expression"], strict=True):
        face = people[subject] + generator.normal(0, 0.2, (83, 3))
        first = 48 + 3 * EXPRESSIONS.index(expression)
        face[first : first + 3] += 5.0
        landmarks.append(face.ravel().tolist())
    scans = sequences[["sequence", "subject"]].assign(frame=0, landmarks=landmarks)
    middle, count = bank.frame == 20, len(bank.sequences)
    each = torch.arange(count)
    one = replace(bank, images=bank.images[middle], neutral=each, sequence=each, frame=each * 0, in_window=each >= 0)
    return one, scans


def test_landmarks_of_single_scans_are_set_against_the_persons_face_at_rest(single, sequences, split):
    bank, scans = single
    table = landmark_logistic(bank, scans, sequences, split)
    assert (table["predicted"] == table["expression"]).mean() > 0.9


def test_where_nothing_moves_there_is_no_baseline_of_motion(single, sequences, split):
    bank, scans = single
    table = baseline_predictions(bank, OPTIONS, sequences, split, scans)
    assert set(table["model"]) == {"pixel_knn", "pixel_logistic", "landmark_logistic", "pseudo_labels"}


def test_the_rules_say_nothing_where_nobody_can_be_measured(single, sequences, split):
    _, scans = single
    table = pseudo_label_rules(scans.assign(subject=scans["sequence"]), sequences, split)
    assert table.filter(like="prob_").to_numpy() == pytest.approx(1 / 6)


def test_the_oracle_sees_the_actions_of_single_scans_as_they_are(single, sequences, split, generator):
    shown = np.eye(6)[[EXPRESSIONS.index(name) for name in sequences["expression"]]]
    shown += generator.uniform(0, 0.1, shown.shape)
    actions = sequences[["sequence"]].assign(frame=0, **{f"AU{number}": shown[:, number] for number in range(6)})
    table = action_oracle(single[0], actions, sequences, split)
    assert (table["predicted"] == table["expression"]).all()


@pytest.fixture
def alone(bank, sequences, split):
    """The bank in the setting of single scans."""
    return Evaluator(bank, sequences, split, OPTIONS).at("single_scan").bank


def test_landmarks_of_a_single_scan_are_read_as_they_are(alone, scan_manifest):
    shown = window_displacements(alone, landmark_table(scan_manifest), ["S00/anger"])
    assert shown[0] == pytest.approx(np.array(scan_manifest["landmarks"][2]), abs=1e-4)


def test_landmark_baselines_need_no_neutral_scan(alone, scan_manifest, sequences, split):
    blind = scan_manifest.assign(
        landmarks=[
            None if frame == 0 else one
            for one, frame in zip(scan_manifest["landmarks"], scan_manifest["frame"], strict=True)
        ]
    )
    given = sequences, split, "single_scan"
    read, again = (landmark_logistic(alone, scans, *given) for scans in (scan_manifest, blind))
    pd.testing.assert_frame_equal(read, again)
    assert (read["predicted"] == read["expression"]).mean() > 1 / 3


def test_the_rules_see_the_apex_beside_its_neutral_or_a_typical_face(bank, alone, scan_manifest, split):
    known = apex_scans(bank, scan_manifest, split, "apex_neutral")
    typical = apex_scans(alone, scan_manifest, split, "single_scan")
    assert (known.groupby("sequence").size() == 2).all()
    assert (typical.groupby("sequence").size() == 2).all()
    first = typical.sort_values("frame").drop_duplicates("sequence")["landmarks"]
    trained = scan_manifest[scan_manifest["subject"].isin(split.train) & (scan_manifest["frame"] == 0)]
    expected = np.median(np.stack(trained["landmarks"].tolist()), axis=0)
    assert np.allclose(np.stack(first.tolist()), expected)


def test_a_baseline_of_single_scans_sees_no_landmarks_of_test_subjects_besides(
    bank, alone, scan_manifest, sequences, split
):
    moved = scan_manifest["subject"].isin(split.test) & (scan_manifest["frame"] != 20)
    other = scan_manifest.assign(
        landmarks=[None if gone else one for one, gone in zip(scan_manifest["landmarks"], moved, strict=True)]
    )
    tables = [
        baseline_predictions(alone, OPTIONS, sequences, split, scans, setting="single_scan")
        for scans in (scan_manifest, other)
    ]
    pd.testing.assert_frame_equal(*tables)
    assert set(tables[0]["model"]) == {"pixel_knn", "pixel_logistic", "landmark_logistic", "pseudo_labels"}
