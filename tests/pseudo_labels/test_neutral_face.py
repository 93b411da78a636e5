"""A subject's neutral face, estimated from unlabelled single scans."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from affect4d.pseudo_labels.measurements import movement_profile
from affect4d.pseudo_labels.neutral_face import (
    MIN_SCANS,
    displacements_from_neutral,
    neutral_face,
    neutral_faces,
    to_points,
)


def scans_by_subject(static):
    return {
        subject: np.stack([to_points(one) for one in rows]) for subject, rows in static.groupby("subject")["landmarks"]
    }


def distance(one, other):
    """Root mean square over the landmarks that move, mm."""
    return movement_profile(np.stack([one, other]))[1]


def test_it_is_near_the_neutral_face_and_far_nearer_than_the_scans_are(static):
    scans, truth = static
    neutral = scans.set_index("sequence")["landmarks"]
    for subject, face in neutral_faces(scans).items():
        own = to_points(neutral[f"{subject}/6"])
        posed = scans[(scans["subject"] == subject) & scans["sequence"].isin(truth.index)]["landmarks"]
        assert distance(own, face) < 0.4 * np.mean([distance(own, to_points(one)) for one in posed])


def test_order_of_scans_changes_nothing_and_heads_are_laid_on_one_another(static, generator):
    scans = scans_by_subject(static[0])["F000"]
    still = neutral_face(scans)
    np.testing.assert_array_equal(neutral_face(scans[::-1]), still)
    turns = Rotation.from_euler("y", generator.normal(0, 4, (len(scans), 1)), degrees=True)
    turned = np.stack([turn.apply(scan) for turn, scan in zip(turns, scans, strict=True)])
    assert distance(still, neutral_face(turned)) < 0.3


def test_only_the_persons_own_scans_count(static):
    scans, _ = static
    alone = neutral_faces(scans[scans["subject"] == "F003"])
    np.testing.assert_array_equal(alone["F003"], neutral_faces(scans)["F003"])


def test_an_untracked_landmark_is_found_in_the_others_or_stays_unknown(static):
    scans = scans_by_subject(static[0])["F000"]
    whole = neutral_face(scans)
    scans[0, 75], scans[:, 62] = np.nan, np.nan
    face = neutral_face(scans)
    assert np.linalg.norm(face[75] - whole[75]) < 1.0
    assert np.isnan(face[62]).all()


def test_subjects_with_too_few_scans_have_none(static):
    scans, _ = static
    few = scans[(scans["subject"] != "F000") | (scans["sequence"].str[-1] < str(MIN_SCANS - 1))]
    assert set(neutral_faces(few)) == set(scans["subject"]) - {"F000"}
    blind = scans.assign(landmarks=scans["landmarks"].where(scans["subject"] != "F001", None))
    assert set(neutral_faces(blind)) == set(scans["subject"]) - {"F001"}


def test_sequences_that_move_are_not_looked_at(corpus):
    assert neutral_faces(corpus[0]) == {}
    assert displacements_from_neutral(corpus[0]).empty


def test_displacements_are_what_moved_whatever_the_pose_of_the_head(static):
    scans, _ = static
    turn = Rotation.from_euler("x", 5, degrees=True)
    turned = scans.copy()
    turned.at[0, "landmarks"] = turn.apply(to_points(scans.at[0, "landmarks"])).ravel().tolist()
    moved, again = displacements_from_neutral(scans), displacements_from_neutral(turned)
    name = scans.at[0, "sequence"]
    assert moved.loc[name].abs().max() > 2.0
    assert again.loc[name].to_numpy() == pytest.approx(moved.loc[name].to_numpy(), abs=0.3)


def test_a_scan_without_landmarks_has_no_displacements(static):
    scans, _ = static
    blind = scans.copy()
    blind.at[3, "landmarks"] = None
    assert set(scans["sequence"]) - set(displacements_from_neutral(blind).index) == {scans.at[3, "sequence"]}
    assert isinstance(displacements_from_neutral(scans), pd.DataFrame)
