"""The procedural face: shapes, sides, symmetry, landmarks, paint."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.landmark_names import LANDMARK_COUNT, MIRROR, NAMED
from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL, TYPICAL
from affect4d.synthetic.displacement_fields import action_basis
from affect4d.synthetic.face_texture import paint_skin, wrinkle_map
from affect4d.synthetic.procedural_face import (
    FREE_MODES,
    IDENTITY,
    SAMPLINGS,
    ProceduralFace,
    landmark_points,
    mesh_skin,
)
from affect4d.synthetic.subject_appearance_and_expressive_style import AGE_GROUPS, SKIN_TONES, draw_appearance

FACE = ProceduralFace()
NEUTRAL = np.zeros(len(ACTION_UNITS))
MEAN = np.zeros(FACE.shape_count)


def weights_of(expression: str) -> np.ndarray:
    strength = TYPICAL[expression]
    return np.array([strength.get(action.removesuffix("_L").removesuffix("_R"), 0.0) for action in ACTION_UNITS])


def test_identity_has_enough_named_parameters():
    assert len(IDENTITY) >= 15
    assert FACE.shape_count == 1 + len(IDENTITY) + FREE_MODES


def test_a_surface_is_a_sound_mesh():
    surface = FACE.surface(MEAN, NEUTRAL, 0)
    assert np.isfinite(surface.vertices).all()
    assert surface.faces.min() >= 0
    assert surface.faces.max() < len(surface.vertices)
    assert ((surface.texture_coordinates >= 0) & (surface.texture_coordinates <= 1)).all()
    assert len(surface.texture_coordinates) == len(surface.vertices)
    assert 1_500 < len(surface.vertices) < 2_300


def test_triangles_of_the_skin_face_the_camera():
    points, faces = mesh_skin(np.random.default_rng(0))
    first, second, third = (points[faces[:, corner]] for corner in range(3))
    one, two = second - first, third - first
    assert (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] > 0).all()


def test_samplings_join_the_skin_differently_and_repeat_themselves():
    one, other = FACE.surface(MEAN, NEUTRAL, 0), FACE.surface(MEAN, NEUTRAL, 1)
    assert one.faces.shape != other.faces.shape or not np.array_equal(one.faces, other.faces)
    np.testing.assert_array_equal(one.vertices, FACE.surface(MEAN, NEUTRAL, SAMPLINGS).vertices)
    np.testing.assert_array_equal(one.landmarks, other.landmarks)


@pytest.mark.parametrize("action", [f"{action}_{side}" for action in BILATERAL for side in "LR"])
def test_a_sided_action_moves_its_own_side(action):
    points = landmark_points()
    moved = np.linalg.norm(action_basis(points)[ACTION_UNITS.index(action)], axis=1)
    across = points[:, 0] if action.endswith("L") else -points[:, 0]
    assert moved[across > 1].max() > 2.0
    assert moved[across > 1].sum() > 5.0 * moved[across < -1].sum()


@pytest.mark.parametrize("action", ["AU17", "AU18", "AU22", "AU23", "AU24", "AU25", "AU26", "AU28"])
def test_a_central_action_moves_the_mouth_symmetrically(action):
    moved = action_basis(landmark_points())[ACTION_UNITS.index(action)]
    assert np.linalg.norm(moved, axis=1).max() > 2.0
    np.testing.assert_allclose(moved[list(MIRROR)] * (-1, 1, 1), moved, atol=1e-6)


@pytest.mark.parametrize(("action", "landmark"), [("jaw_left", "chin"), ("mouth_left", "lower_lip_bottom")])
def test_a_signed_action_slides_to_either_side(action, landmark):
    moved = action_basis(landmark_points())[ACTION_UNITS.index(action)]
    assert moved[NAMED[landmark], 0] > 4.0
    np.testing.assert_allclose(moved[list(MIRROR)], moved, atol=1e-6)
    assert np.abs(moved[NAMED["left_brow_inner"]]).max() < 0.1


def test_every_action_moves_or_turns_something():
    for place, action in enumerate(ACTION_UNITS):
        weights = NEUTRAL.copy()
        weights[place] = 1.0
        moved = FACE.surface(MEAN, weights, 0).vertices - FACE.surface(MEAN, NEUTRAL, 0).vertices
        assert np.linalg.norm(moved, axis=1).max() > 1.0, action


def test_the_mean_face_mirrors_onto_itself_and_left_actions_onto_right_ones():
    left, right = NEUTRAL.copy(), NEUTRAL.copy()
    for action in BILATERAL:
        left[ACTION_UNITS.index(f"{action}_L")], right[ACTION_UNITS.index(f"{action}_R")] = 0.7, 0.7
    one, other = FACE.surface(MEAN, left, 0).landmarks, FACE.surface(MEAN, right, 0).landmarks
    np.testing.assert_allclose(one[list(MIRROR)] * (-1, 1, 1), other, atol=1e-3)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_landmarks_lie_on_the_surface(expression):
    surface = FACE.surface(np.random.default_rng(0).normal(0, 0.8, FACE.shape_count), weights_of(expression), 2)
    distance, _ = cKDTree(surface.vertices).query(surface.landmarks)
    assert surface.landmarks.shape == (LANDMARK_COUNT, 3)
    assert distance.max() < 6.0
    assert distance.mean() < 2.5


def test_the_tip_of_the_nose_is_the_foremost_landmark_near_the_origin():
    landmarks = FACE.surface(MEAN, NEUTRAL, 0).landmarks
    assert landmarks[:, 2].argmax() == NAMED["nose_tip"]
    assert np.linalg.norm(landmarks[NAMED["nose_tip"]]) < 5.0


def test_expressions_differ_from_neutral_and_from_each_other():
    places = [FACE.surface(MEAN, NEUTRAL, 0).landmarks]
    places += [FACE.surface(MEAN, weights_of(expression), 0).landmarks for expression in EXPRESSIONS]
    for index, one in enumerate(places):
        for other in places[:index]:
            assert np.linalg.norm(one - other, axis=1).max() > 4.0


def test_a_smile_lifts_the_corners_and_surprise_opens_the_mouth():
    neutral = FACE.surface(MEAN, NEUTRAL, 0).landmarks
    smile = FACE.surface(MEAN, weights_of("happiness"), 0).landmarks
    gape = FACE.surface(MEAN, weights_of("surprise"), 0).landmarks
    corner, upper, lower = NAMED["left_mouth_corner"], NAMED["upper_lip_inner"], NAMED["lower_lip_inner"]
    assert smile[corner, 1] > neutral[corner, 1] + 5
    assert abs(neutral[upper, 1] - neutral[lower, 1]) < 1.5
    assert gape[upper, 1] - gape[lower, 1] > 12


def test_a_blink_brings_the_lids_together():
    weights = NEUTRAL.copy()
    weights[[ACTION_UNITS.index("AU45_L"), ACTION_UNITS.index("AU45_R")]] = 1.0
    lids = [NAMED["left_upper_lid"], NAMED["left_lower_lid"]]
    open_eye, shut = FACE.surface(MEAN, NEUTRAL, 0).landmarks[lids], FACE.surface(MEAN, weights, 0).landmarks[lids]
    assert np.ptp(shut[:, 1]) < 0.35 * np.ptp(open_eye[:, 1])


def test_gaze_turns_the_eyeballs_and_nothing_else():
    weights = NEUTRAL.copy()
    weights[ACTION_UNITS.index("gaze_left")] = 1.0
    one, other = FACE.surface(MEAN, NEUTRAL, 0), FACE.surface(MEAN, weights, 0)
    moved = np.linalg.norm(one.vertices - other.vertices, axis=1)
    assert moved.max() > 3.0
    np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_paint_follows_skin_tone():
    paints = [draw_appearance(np.random.default_rng(seed), "F") for seed in range(12)]
    ordered = sorted(paints, key=lambda appearance: appearance.melanin)
    assert {appearance.skin_tone for appearance in paints} <= set(SKIN_TONES)
    assert paint_skin(ordered[0]).mean() > paint_skin(ordered[-1]).mean() + 0.1


def test_skin_tones_cover_the_monk_scale():
    looks = [draw_appearance(np.random.default_rng(seed), "FM"[seed % 2]) for seed in range(200)]
    assert {look.monk_tone for look in looks} == set(range(1, 11))
    assert {look.skin_tone for look in looks} == set(SKIN_TONES)


def test_age_leaves_lines_and_paint_stays_a_picture():
    young = draw_appearance(np.random.default_rng(7), "F")
    old = replace(young, age_group=AGE_GROUPS[-1])
    young = replace(young, age_group=AGE_GROUPS[0])
    assert paint_skin(old).mean() < paint_skin(young).mean()
    for look in (young, old):
        assert paint_skin(look).shape == (200, 160, 3)
        assert paint_skin(look).min() >= 0.0
        assert paint_skin(look).max() <= 1.0


def test_lipstick_and_beard_are_where_they_belong():
    look = replace(draw_appearance(np.random.default_rng(7), "M"), beard=0.0, lips=0.0, melanin=0.2)
    bare, bearded, painted = (paint_skin(one) for one in (look, replace(look, beard=1.0), replace(look, lips=1.0)))
    changed = [np.abs(other - bare).sum(axis=2) > 0.05 for other in (bearded, painted)]
    rows = [np.nonzero(each.any(axis=1))[0] for each in changed]
    assert rows[0].min() > 70
    assert 90 < rows[1].min() < rows[1].max() < 130


def test_wrinkles_come_with_their_actions():
    assert wrinkle_map(NEUTRAL).max() == 0.0
    assert wrinkle_map(weights_of("surprise")).max() > 0.5


def test_normals_over_the_texture_are_unit_vectors():
    normals = FACE.normal_map(MEAN, weights_of("fear"))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1.0, atol=1e-4)
    assert normals[..., 2].mean() > 0.4
