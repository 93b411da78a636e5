import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from affect4d.pseudo_labels.landmark_movement import (
    MEASUREMENTS,
    MIN_SCANS,
    apex_frames,
    displacements_from_neutral,
    measure_apex,
    measure_frames,
    movement_profile,
    neutral_face,
    neutral_faces,
    remove_head_motion,
    to_points,
)
from affect4d.scans.landmark_names import MIRROR

UP, DOWN = (0, 4, 0), (0, -4, 0)
MOVES = {
    "inner_brow_raise": ([19, 20, 21, 22], UP),
    "outer_brow_raise": ([16, 17, 24, 25], UP),
    "brow_gathering": ([19, 20, 21, 22], (3, 0, 0)),
    "upper_lid_raise": ([1, 2, 3], UP),
    "lower_lid_raise": ([5, 6, 7], UP),
    "eye_opening": ([1, 2, 3], UP),
    "nose_wing_raise": ([38, 39], UP),
    "nose_widening": ([38, 39, 40], (-2, 0, 0)),
    "upper_lip_raise": ([50, 51], UP),
    "lip_corner_raise": ([48, 60], UP),
    "lip_corner_pull_back": ([48, 60], (0, 0, -4)),
    "mouth_widening": ([48, 60], (-4, 0, 0)),
    "lip_parting": ([65, 66, 67], DOWN),
    "upper_lip_thinning": ([50, 51], DOWN),
    "lower_lip_thinning": ([56, 57, 58], UP),
    "lower_lip_lowering": ([56, 57, 58], DOWN),
    "lip_protrusion": ([50, 51, 57, 58], (0, 0, 4)),
    "jaw_drop": ([74, 75], DOWN),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_each_measurement_is_positive_when_the_face_does_what_it_says(perform, name):
    measured = measure_frames(perform(MOVES[name]))
    eye_distance = 91.2
    assert measured[name].max() * eye_distance > 1.9
    assert measured[name].iloc[0] == 0


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_the_opposite_movement_measures_the_opposite(perform, name):
    rows, offset = MOVES[name]
    there = measure_frames(perform((rows, offset)))[name]
    back = measure_frames(perform((rows, offset), strength=-1.0))[name]
    np.testing.assert_allclose(there, -back, atol=1e-9)


def test_head_movement_place_and_size_do_not_matter(perform):
    track = perform(MOVES["inner_brow_raise"], MOVES["mouth_widening"])
    turns = Rotation.from_euler("xyz", np.linspace(0, 20, 7)[:, None] * (1, -0.5, 0.3), degrees=True).as_matrix()
    moved = np.einsum("fij,fpj->fpi", turns, track) + np.linspace(0, 9, 7)[:, None, None]
    np.testing.assert_allclose(measure_frames(1.7 * moved), measure_frames(track), atol=1e-9)
    np.testing.assert_allclose(remove_head_motion(moved), track, atol=1e-9)


def test_the_mirror_image_measures_the_same(perform):
    track = perform(MOVES["lip_corner_raise"])
    track[:, 48] += (0.0, 2.0, 0.0)
    mirrored = track[:, list(MIRROR)] * (-1, 1, 1)
    np.testing.assert_allclose(measure_frames(mirrored), measure_frames(track), atol=1e-9)


def test_apex_is_the_plateau_and_a_blink_does_not_move_it(perform):
    track = perform(MOVES["mouth_widening"], frames=12)
    assert not apex_frames(track)[[0, -1]].any()
    blinking = track.copy()
    blinking[6, [1, 2, 3, 9, 10, 11], 1] -= 9.0
    assert abs(measure_apex(blinking)["eye_opening"]) < 0.005


def test_untracked_landmarks_are_left_out(perform):
    track = perform(MOVES["inner_brow_raise"])
    whole = measure_frames(track)["inner_brow_raise"]
    track[:, 20] = np.nan
    np.testing.assert_allclose(measure_frames(track)["inner_brow_raise"], whole, atol=1e-9)
    track[3, [38, 39, 43, 44]] = np.nan
    measured = measure_frames(track)["nose_wing_raise"]
    assert np.isnan(measured[3])
    assert measured.drop(3).notna().all()


def test_a_frame_without_rigid_landmarks_is_refused(perform):
    track = perform(MOVES["jaw_drop"])
    track[2] = np.nan
    with pytest.raises(ValueError, match="it takes three"):
        measure_frames(track)


def test_a_neutral_frame_without_eye_corners_is_refused(perform):
    track = perform(MOVES["jaw_drop"])
    track[0, 0] = np.nan
    with pytest.raises(ValueError, match="eye corner"):
        measure_frames(track)


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
