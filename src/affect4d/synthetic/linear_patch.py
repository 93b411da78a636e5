"""Points as a linear function of identity and action weights: what both faces evaluate."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from affect4d.synthetic.actions import Weights
from affect4d.synthetic.face_model import Shape

Displacement = Float64[np.ndarray, "points 3"]
Basis = Float64[np.ndarray, "parameters points 3"]


@dataclass(frozen=True)
class LinearPatch:
    """Points that are a linear function of identity and action weights, mm."""

    rest: Float32[np.ndarray, "points 3"]
    identity: Float32[np.ndarray, "shape flat"]
    actions: Float32[np.ndarray, "actions flat"]

    def place(self, shape: Shape, weights: Weights) -> Float64[np.ndarray, "points 3"]:
        """Where the points lie."""
        moved = shape.astype(np.float32) @ self.identity + weights.astype(np.float32) @ self.actions
        return np.asarray((self.rest + moved.reshape(self.rest.shape)).astype(np.float64))


def linear_patch(place: Displacement, identity: Basis, actions: Basis) -> LinearPatch:
    """A patch from its place at rest and what each parameter adds, mm."""
    return LinearPatch(
        place.astype(np.float32),
        identity.reshape(len(identity), -1).astype(np.float32),
        actions.reshape(len(actions), -1).astype(np.float32),
    )
