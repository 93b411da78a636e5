"""The unit a scan is measured in, and how it stands in its file."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

from affect4d.array_types import Landmarks, Vertices
from affect4d.scans.alignment.mean_face import MEAN_LANDMARKS

UNITS: Mapping[str, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
"""Units a scan may be measured in, and how many millimetres each has."""
MIN_EXTENT, MAX_EXTENT = 65.0, 1500.0
"""Largest extents, in mm, of what is taken for a scan of a face: from half a face to head and shoulders."""
PLAUSIBLE_SIZE = 1.6
"""Factor between a person's landmarks and the mean face's within which a unit is believed."""
SAMPLE = 4000
TURNED = 60.0
"""Angle, in degrees, between a scan and the canonical frame from which on it is said to be turned."""


def unit_of(vertices: Vertices, landmarks: Landmarks | None = None) -> str:
    """The unit a scan is measured in: told by its landmarks where it has some, else by its extent.

    Args:
        vertices: The whole scan; single far points do not count.
        landmarks: [83, 3] in the same frame; rows of NaN are ignored.

    Returns:
        One of :data:`UNITS`.

    Raises:
        ValueError: If the scan has the size of a face in none of them.
    """
    told = None if landmarks is None else _unit_of_landmarks(landmarks)
    if told is not None:
        return told
    extent = _extent(vertices)
    for unit, scale in UNITS.items():
        if MIN_EXTENT <= extent * scale < MAX_EXTENT:
            return unit
    raise ValueError(
        f"The scan is {extent:.3g} units long: no face in {', '.join(UNITS)}. Scale it to millimetres before ingest."
    )


def _unit_of_landmarks(landmarks: Landmarks) -> str | None:
    """The unit in which tracked landmarks spread as the mean face's do; None where there is none, or too few."""
    sizes = {unit: relative_size(landmarks, unit) for unit in UNITS}
    fitting = (unit for unit, size in sizes.items() if size is not None and 1 / PLAUSIBLE_SIZE < size < PLAUSIBLE_SIZE)
    return next(fitting, None)


def relative_size(landmarks: Landmarks | None, unit: str) -> float | None:
    """How far tracked landmarks in that unit spread, in spreads of the mean face's; None where fewer than two are."""
    if landmarks is None:
        return None
    tracked = ~np.isnan(landmarks).any(axis=1)
    if tracked.sum() < 2:
        return None
    spread, mean_spread = (float(points[tracked].std(axis=0).sum()) for points in (landmarks, MEAN_LANDMARKS))
    return spread * UNITS[unit] / mean_spread


def _extent(vertices: Vertices) -> float:
    """The longest side of the box that holds all but the outermost points."""
    sample = vertices[:: max(1, len(vertices) // SAMPLE)]
    low, high = np.percentile(sample, [0.5, 99.5], axis=0)
    return float((high - low).max())


def turned_by(rotation: Float64[np.ndarray, "3 3"]) -> float:
    """Degrees between a scan's own frame and the canonical one."""
    cosine = (np.trace(rotation) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def describe_orientation(rotation: Float64[np.ndarray, "3 3"]) -> str:
    """How a scan stands in its file, in words; empty where it stands upright and looks roughly at +z."""
    if turned_by(rotation) < TURNED:
        return ""
    up, forward = rotation[1], rotation[2]  # the face's own axes, as its file has them
    if forward[2] < -np.cos(np.radians(TURNED)):
        return "looks away, at −z" if up[1] > 0 else "stands upside down and looks away, at −z"
    if forward[2] < np.cos(np.radians(TURNED)):
        return f"looks along {_axis(forward)}"
    return "stands upside down" if up[1] < -np.cos(np.radians(TURNED)) else "lies on its side"


def _axis(direction: Float64[np.ndarray, "3"]) -> str:
    largest = int(np.abs(direction).argmax())
    return ("−" if direction[largest] < 0 else "+") + "xyz"[largest]
