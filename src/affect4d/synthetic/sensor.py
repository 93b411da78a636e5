"""What a scanner adds to a face: pose, noise, holes, spikes, light baked into the picture, landmark error, hair."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.spatial.transform import Rotation

from affect4d.arrays import Texture
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.defects import cut_holes, drop_unused, spikes, surface_noise
from affect4d.synthetic.face_model import DENSITIES, Surface
from affect4d.synthetic.fringe import Fringe, cover_texture, draw_fringe, hair_relief
from affect4d.synthetic.lighting import Lights, Times, draw_lights, wander
from affect4d.synthetic.tracker import Tracker

HEAD_MIDDLE = np.array([0.0, 0.0, -80.0])
"""What heads turn about, mm from the tip of the nose."""


class SensorOptions(BaseModel):
    """How imperfect the scanner, the landmark tracker and the room are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_mm: float = Field(default=0.2, ge=0.0, le=5.0, description="root mean square of the surface noise")
    noise_spread: float = Field(default=0.3, ge=0.0, le=1.0, description="log spread of that between takes")
    noise_length_mm: float = Field(default=7.0, ge=1.0, le=100.0, description="distance over which noise is correlated")
    landmark_error_mm: float = Field(
        default=1.4, ge=0.0, le=10.0, description="mean distance of a landmark from its place"
    )
    landmark_bias: float = Field(
        default=0.5, ge=0.0, le=1.0, description="share of that error (squared) which stays over a take"
    )
    landmark_own: float = Field(
        default=0.25, ge=0.0, le=1.0, description="share of it which each landmark has anew in each frame"
    )
    landmark_length_mm: float = Field(
        default=45.0, ge=1.0, le=500.0, description="distance over which landmarks err together, but for that share"
    )
    residue_deg: float = Field(
        default=0.0, ge=0.0, le=20.0, description="spread, about each axis, of the turn that alignment leaves in a take"
    )
    residue_mm: float = Field(
        default=0.0,
        ge=0.0,
        le=20.0,
        description="spread, along each axis, of the shift that alignment leaves in a take",
    )
    pose_jitter_deg: float = Field(default=5.0, ge=0.0, le=45.0, description="spread of the head's turn between takes")
    pose_jitter_mm: float = Field(default=8.0, ge=0.0, le=200.0, description="spread of the head's place between takes")
    pose_drift_deg: float = Field(default=2.0, ge=0.0, le=20.0, description="spread of the turn within a take")
    pose_drift_mm: float = Field(default=1.5, ge=0.0, le=50.0, description="spread of the place within a take")
    lamps: int = Field(default=3, ge=1, le=8, description="most lamps in the room")
    light_strength: float = Field(default=0.7, ge=0.0, le=1.0, description="greatest share of directed light")
    light_colour: float = Field(default=0.06, ge=0.0, le=0.5, description="spread of a lamp's colour about white")
    light_drift: float = Field(default=0.12, ge=0.0, le=1.0, description="change of the light within a take")
    holes: float = Field(default=0.8, ge=0.0, le=20.0, description="mean number of holes in a scan")
    spikes: float = Field(default=0.5, ge=0.0, le=100.0, description="mean number of spikes in a scan")
    fringe: float = Field(default=0.2, ge=0.0, le=1.0, description="share of takes with hair over the forehead")

    @model_validator(mode="after")
    def _shares_of_an_error_are_one_at_most(self) -> Self:
        if self.landmark_bias + self.landmark_own > 1.0:
            raise ValueError(
                f"landmark_bias ({self.landmark_bias:g}) and landmark_own ({self.landmark_own:g}) are shares of one "
                "error: together at most 1."
            )
        return self


@dataclass(frozen=True)
class Recording:
    """What stays over one take, and how it drifts from frame to frame.

    Attributes:
        turns: Rotation vectors, degrees.
        places: Translations, mm.
        lights: Of the room.
        noise_mm: Root mean square of the surface noise.
        density: Which of the scanner's resolutions, 0 (finest) … ``DENSITIES`` − 1.
        strands: Number of strands of hair over the forehead.
        fringe: Those strands; None for none.
        tracker: Of the landmarks.
        times: Second of each frame.
    """

    turns: Float64[np.ndarray, "frames 3"]
    places: Float64[np.ndarray, "frames 3"]
    lights: Lights
    noise_mm: float
    density: int
    strands: int
    fringe: Fringe | None
    tracker: Tracker
    times: Times

    def sampling(self, rng: np.random.Generator) -> int:
        """Which mesh a face model should give for a frame: another each time, of this take's density."""
        return self.density + DENSITIES * int(rng.integers(2**24))


def draw_recording(times: Times, rng: np.random.Generator, options: SensorOptions) -> Recording:
    """Draw pose, light, noise, hair and tracker of one take.

    Args:
        times: Second of each frame: the longer a take, the more drifts within it.
        rng: Draws it.
        options: How imperfect all that is.
    """
    turns = rng.normal(0.0, options.pose_jitter_deg, 3) + options.pose_drift_deg * wander(times, rng)
    places = rng.normal(0.0, options.pose_jitter_mm, 3) + options.pose_drift_mm * wander(times, rng)
    lights = draw_lights(
        times,
        rng,
        most=options.lamps,
        strength=options.light_strength,
        colour=options.light_colour,
        drift=options.light_drift,
    )
    strands = int(rng.integers(2, 8)) if rng.random() < options.fringe else 0
    return Recording(
        turns=turns,
        places=places,
        lights=lights,
        noise_mm=options.noise_mm * float(np.exp(rng.normal(0.0, options.noise_spread))),
        density=int(rng.integers(DENSITIES)),
        strands=strands,
        fringe=draw_fringe(rng, strands) if strands else None,
        tracker=Tracker(
            int(rng.integers(2**31)),
            options.landmark_error_mm,
            options.landmark_bias,
            options.landmark_own,
            options.landmark_length_mm,
            turn=rng.normal(0.0, options.residue_deg, 3),
            shift=rng.normal(0.0, options.residue_mm, 3),
        ),
        times=times,
    )


def scan_surface(
    surface: Surface,
    texture: Texture,
    recording: Recording,
    frame: int,
    rng: np.random.Generator,
    options: SensorOptions,
) -> FaceScan:
    """One frame as the scanner delivers it, mm in the scanner's frame; landmarks carry the tracker's error."""
    kept, faces = drop_unused(len(surface.vertices), cut_holes(surface, options.holes, rng))
    vertices, coordinates = surface.vertices[kept].astype(np.float64), surface.texture_coordinates[kept]
    vertices += surface_noise(vertices, recording.noise_mm, options.noise_length_mm, rng)
    vertices += spikes(vertices, options.spikes, rng)
    if recording.fringe is not None:
        vertices += hair_relief(coordinates, recording.fringe)
        texture = cover_texture(texture, recording.fringe)
    landmarks = surface.landmarks.astype(np.float64)
    landmarks += recording.tracker.error(landmarks, float(recording.times[frame]), rng)
    return FaceScan(
        vertices=_posed(vertices, recording, frame).astype(np.float32),
        faces=faces,
        texture_coordinates=coordinates,
        texture=texture,
        landmarks=_posed(landmarks, recording, frame).astype(np.float32),
    )


def _posed(
    points: Float64[np.ndarray, "points 3"], recording: Recording, frame: int
) -> Float64[np.ndarray, "points 3"]:
    """Points turned about the head's middle and moved."""
    turn = Rotation.from_rotvec(recording.turns[frame], degrees=True)
    return np.asarray(turn.apply(points - HEAD_MIDDLE) + HEAD_MIDDLE + recording.places[frame])
