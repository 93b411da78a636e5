import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from affect4d.views.dynamics import (
    DYNAMIC_MIDDLE,
    dynamic_image,
    encode_dynamics,
    rank_coefficients,
    running_dynamic_images,
)

LENGTHS = (1, 2, 3, 7, 60)


def stretch_of(frames, seed=0):
    return np.random.default_rng(seed).normal(0, 40, (frames, 3, 5)).astype(np.float32)


def time_means(stretch):
    """The mean of frames 1…t, for every t."""
    return np.cumsum(stretch.astype(float), axis=0) / np.arange(1, len(stretch) + 1).reshape(-1, 1, 1)


def naive_direction(stretch):
    """Minus the gradient, at d = 0, of the pairwise hinge loss Σ_{q>t} max(0, 1 − ⟨d, V_q⟩ + ⟨d, V_t⟩)."""
    means = torch.from_numpy(time_means(stretch))
    direction = torch.zeros(means.shape[1:], dtype=means.dtype, requires_grad=True)
    scores = (means * direction).sum(dim=(1, 2))
    terms = [torch.relu(1 - scores[late] + scores[early]) for late in range(len(scores)) for early in range(late)]
    torch.stack(terms).sum().backward()
    return -direction.grad.numpy()


@pytest.mark.parametrize("frames", LENGTHS[1:4])
def test_approximate_rank_pooling_is_the_first_step_of_ranking(frames):
    stretch = stretch_of(frames)
    naive, ours = naive_direction(stretch), dynamic_image(stretch)
    scale = np.maximum(rank_coefficients(frames), 0).sum()
    assert ours * scale == pytest.approx(naive, abs=1e-3)


@pytest.mark.parametrize("frames", LENGTHS)
def test_coefficients_on_frames_are_the_sum_over_time_means(frames):
    stretch = stretch_of(frames)
    time = np.arange(1, frames + 1).reshape(-1, 1, 1)
    naive = ((2 * time - frames - 1) * time_means(stretch)).sum(axis=0)
    assert np.tensordot(rank_coefficients(frames), stretch, axes=1) == pytest.approx(naive, abs=0.05)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(0, 100))
def test_running_images_are_the_images_of_every_beginning(frames, seed):
    stretch = stretch_of(frames, seed)
    naive = np.stack([dynamic_image(stretch[: end + 1]) for end in range(frames)])
    assert running_dynamic_images(stretch) == pytest.approx(naive, abs=1e-2)


def test_a_dynamic_image_points_where_exact_rank_pooling_points():
    """The exact form is a linear ranking machine on the time means; the closed form keeps its direction and order."""
    generator = np.random.default_rng(0)
    drift, frames = generator.normal(0, 1, (3, 5)), 12
    stretch = np.stack([drift * frame + generator.normal(0, 0.5, (3, 5)) for frame in range(frames)]).astype(np.float32)
    means = time_means(stretch).reshape(frames, -1)
    pairs = np.stack([means[late] - means[early] for late in range(frames) for early in range(late)])
    both, sides = np.concatenate([pairs, -pairs]), np.repeat([1, -1], len(pairs))
    exact = LinearSVC(C=1.0, fit_intercept=False, max_iter=20_000).fit(both, sides).coef_[0]
    ours = dynamic_image(stretch).ravel()
    assert exact @ ours / np.linalg.norm(exact) / np.linalg.norm(ours) > 0.9
    assert (np.diff(means @ ours) > 0).all()
    assert (np.diff(means @ exact) > 0).all()


@pytest.mark.parametrize("frames", LENGTHS)
def test_a_still_stretch_has_an_empty_dynamic_image(frames):
    still = np.full((frames, 1, 1, 4, 4), 90, np.uint8)
    assert (encode_dynamics(still) == DYNAMIC_MIDDLE).all()


def test_what_brightens_is_bright_and_what_darkens_dark():
    frames = np.stack([np.array([[100 + step, 100 - step]]) for step in (0, 10, 20, 30)])[:, None, None].astype(
        np.uint8
    )
    brighter, darker = encode_dynamics(frames)[-1, 0, 0, 0].astype(int)
    assert brighter > 128 > darker
    assert brighter - 128 == 128 - darker


def test_a_ragged_outline_shows_no_dynamics():
    frames = np.full((4, 1, 1, 1, 2), 200, np.uint8)
    frames[2, ..., 1] = 0
    assert (encode_dynamics(frames)[..., 1][2:] == DYNAMIC_MIDDLE).all()


def test_no_frames_are_refused():
    with pytest.raises(ValueError, match="at least one frame"):
        rank_coefficients(0)
