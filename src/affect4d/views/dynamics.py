"""Dynamic images: a stretch of video as one picture, by approximate rank pooling.

H. Bilen, B. Fernando, E. Gavves, A. Vedaldi, S. Gould, "Dynamic Image Networks for Action Recognition", CVPR 2016. A
linear function that ranks frames by time is one vector d, in the space of pictures, with ⟨d, V_t⟩ growing with t (V_t
the mean of frames 1…t). The first step of gradient descent from d = 0 on the pairwise ranking loss gives it in closed
form, up to scale: d = Σ_t (2t − T − 1) V_t.
"""

import numpy as np
from jaxtyping import Float32, Float64, UInt8

DYNAMIC_MIDDLE = 128
"""A dynamic image where nothing changes, and where there is no face."""

Stretch = Float32[np.ndarray, "frames *picture"]


def rank_coefficients(frames: int) -> Float64[np.ndarray, " frames"]:
    """What approximate rank pooling weighs frame t of T with: α_t = 2(T − t + 1) − (T + 1)(H_T − H_{t−1}).

    H_t is the t-th harmonic number; this is the sum above, written for the frames instead of their means. The
    coefficients sum to 0: a still stretch has an empty dynamic image.

    Args:
        frames: T, the length of the stretch.

    Raises:
        ValueError: If there are no frames.
    """
    if frames < 1:
        raise ValueError(f"A dynamic image needs at least one frame, not {frames}.")
    time = np.arange(1, frames + 1)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / time)])
    return np.asarray(2.0 * (frames - time + 1) - (frames + 1) * (harmonic[-1] - harmonic[:-1]))


def dynamic_image(stretch: Stretch) -> Float32[np.ndarray, "*picture"]:
    """One picture of how a stretch of frames changes, in the frames' own levels.

    The coefficients are scaled so that the positive ones sum to 1 [ours]: the result is a late mean minus an early one.

    Args:
        stretch: Frames in order of time.
    """
    weights = rank_coefficients(len(stretch))
    return np.asarray(np.tensordot(weights / _scale(weights), stretch, axes=1), np.float32)


def running_dynamic_images(stretch: Stretch) -> Stretch:
    """For every frame, the dynamic image of the stretch from the first frame to it; one pass instead of one a frame.

    Args:
        stretch: Frames in order of time.
    """
    means, weighted, plain = (np.zeros(stretch.shape[1:], np.float64) for _ in range(3))
    images = np.empty_like(stretch)
    for position, frame in enumerate(stretch):
        time = position + 1
        means += (frame - means) / time
        weighted += time * means
        plain += means
        images[position] = (2.0 * weighted - (time + 1) * plain) / _scale(rank_coefficients(time))
    return images


def encode_dynamics(
    pictures: UInt8[np.ndarray, "frames views channels height width"],
) -> UInt8[np.ndarray, "frames views channels height width"]:
    """Running dynamic images of single-channel pictures, as levels round 128.

    A pixel is 128 from the first frame on that shows background (0) there: a ragged outline would outshine the face.
    """
    images = running_dynamic_images(pictures.astype(np.float32))
    on_face = np.logical_and.accumulate(pictures > 0, axis=0)
    levels = np.clip(np.rint(images) + DYNAMIC_MIDDLE, 1, 255)
    return np.where(on_face, levels, DYNAMIC_MIDDLE).astype(np.uint8)


def _scale(weights: Float64[np.ndarray, " frames"]) -> float:
    """Sum of the positive weights; 1 for a single frame, which has none."""
    return float(np.maximum(weights, 0.0).sum()) or 1.0
