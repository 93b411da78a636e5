from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.subject_appearance_and_expressive_style import STRONGEST
from affect4d.synthetic.varied_heads import Variation, draw_weights, head_model, make_head

PLAIN = Variation(
    seed=3,
    whole=False,
    stretch=np.ones(3),
    bend=0.0,
    bend_length=40.0,
    noise=0.0,
    eyeballs=True,
    teeth=True,
    holes=0,
    cut=np.inf,
    shell=False,
    hair=False,
    neck=False,
)
NEUTRAL = np.zeros(len(ACTION_UNITS))


def head(variation=PLAIN, generator="procedural", folder=None, weights=NEUTRAL):
    shape = np.random.default_rng(1).normal(size=head_model(generator, folder).shape_count)
    return make_head(generator, folder, shape, weights, variation)


def test_equal_seeds_give_equal_heads():
    one, again, other = (head(Variation.draw(np.random.default_rng(seed))) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.vertices, again.vertices)
    np.testing.assert_array_equal(one.faces, again.faces)
    assert not np.allclose(one.landmarks, other.landmarks)


def test_landmarks_go_with_a_stretched_and_bent_surface():
    plain, varied = head(), head(replace(PLAIN, stretch=np.array([1.1, 0.9, 1.05]), bend=3.0))
    assert np.linalg.norm(varied.landmarks - plain.landmarks, axis=1).max() > 4
    before, after = (cKDTree(one.vertices).query(one.landmarks)[0] for one in (plain, varied))
    np.testing.assert_allclose(after, before, atol=1.5)


@pytest.mark.parametrize(
    "change", [{"eyeballs": False}, {"teeth": False}, {"holes": 4}, {"cut": 80.0}, {"shell": True}]
)
def test_parts_are_left_out(change):
    assert len(head(replace(PLAIN, **change)).faces) < len(head().faces)


@pytest.mark.parametrize("change", [{"hair": True}, {"neck": True}])
def test_parts_are_added_and_indices_fit(change):
    varied = head(replace(PLAIN, **change))
    assert len(varied.faces) > len(head().faces)
    assert varied.faces.max() == len(varied.vertices) - 1


def test_weights_are_neutral_by_chance_and_bounded_otherwise():
    rng = np.random.default_rng(0)
    assert not draw_weights(rng, neutral=1.0).any()
    drawn = np.array([draw_weights(rng, neutral=0.0) for _ in range(200)])
    assert drawn.min() >= -1
    assert drawn.max() <= STRONGEST
    assert (np.abs(drawn).max(axis=0) > 0.3).all()


@pytest.mark.corpus
def test_a_whole_head_has_the_face_of_its_shell(ict_folder):
    folder = str(ict_folder)
    whole, shell = (head(replace(PLAIN, whole=kind), "ict_facekit", folder) for kind in (True, False))
    np.testing.assert_array_equal(whole.landmarks, shell.landmarks)
    assert cKDTree(whole.vertices).query(whole.landmarks)[0].max() < 0.1
    assert np.ptp(whole.vertices[:, 2]) > np.ptp(shell.vertices[:, 2]) + 50
    assert len(head(replace(PLAIN, whole=True, teeth=False), "ict_facekit", folder).faces) < len(whole.faces)
