"""How a landmark tracker errs: partly for a whole take, partly drifting within it, partly anew in each frame.

It may also misplace the whole face for a take, as one rigid body. Whoever aligns by its landmarks then leaves that
residue of pose in every frame of the take; what moves from frame to frame is not touched by it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from affect4d.synthetic.defects import smooth_field
from affect4d.synthetic.lighting import KNOT_SECONDS

MEAN_LENGTH = 1.596
"""Mean length of a vector of three independent N(0, 1) numbers."""

Error = Float64[np.ndarray, "landmarks 3"]


@dataclass(frozen=True)
class Tracker:
    """The tracker of one take.

    Attributes:
        seed: Of all its errors.
        error_mm: Mean distance of a landmark from its place.
        lasting: Share of the squared error that stays over the take.
        own: Share of it that each landmark has for itself, anew in each frame; the rest drifts.
        length_mm: Distance over which landmarks err together, but for their own share.
        turn: How the whole face is misplaced over the take, about the tip of the nose; rotation vector, degrees.
        shift: And where to, mm.
    """

    seed: int
    error_mm: float
    lasting: float
    own: float
    length_mm: float
    turn: Float64[np.ndarray, "3"]
    shift: Float64[np.ndarray, "3"]

    def error(self, landmarks: Error, second: float, rng: np.random.Generator) -> Error:
        """The error of every landmark in one frame, mm.

        Args:
            landmarks: Their true places.
            second: Of the frame, since the first.
            rng: Draws what is of this frame alone.
        """
        drifting = max(1.0 - self.lasting - self.own, 0.0)
        total = (
            self.lasting**0.5 * self._field(landmarks, 0)
            + drifting**0.5 * self._drift(landmarks, second)
            + self.own**0.5 * rng.normal(0.0, 1.0, landmarks.shape)
        )
        return np.asarray(total * (self.error_mm / MEAN_LENGTH) + self._misplacement(landmarks))

    def _misplacement(self, landmarks: Error) -> Error:
        """The error that all landmarks of the take share."""
        return np.asarray(Rotation.from_rotvec(self.turn, degrees=True).apply(landmarks) - landmarks + self.shift)

    def _drift(self, landmarks: Error, second: float) -> Error:
        """Between two fields that follow each other, with a spread of one all the way."""
        knot, share = divmod(second / KNOT_SECONDS, 1.0)
        before, after = (self._field(landmarks, int(knot) + place) for place in (1, 2))
        return np.asarray(((1.0 - share) * before + share * after) / np.hypot(1.0 - share, share))

    def _field(self, landmarks: Error, number: int) -> Error:
        """One of the take's smooth fields."""
        return smooth_field(landmarks, self.length_mm, np.random.default_rng([self.seed, number]))
