"""What every parametric face offers: geometry from identity and action weights, landmarks, and a painted skin."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from jaxtyping import Float32, Float64

from affect4d.arrays import Faces, Landmarks, TextureCoordinates, Vertices
from affect4d.synthetic.actions import Weights
from affect4d.synthetic.style import ActionStyle

Shape = Float64[np.ndarray, " shape"]
Albedo = Float32[np.ndarray, "height width 3"]
NormalMap = Float32[np.ndarray, "rows columns 3"]
"""Unit normals over the texture, row 0 at the top."""
Relief = Float32[np.ndarray, "height width"]

GENDERS: tuple[str, ...] = ("F", "M")
AGE_GROUPS: tuple[str, ...] = ("18-30", "31-50", "51-70")
SKIN_TONES: tuple[str, ...] = ("light", "medium", "brown", "dark")
MONK_TONES = 10
LIP_COLOUR = (0.62, 0.2, 0.22)

DENSITIES = 3
"""Resolutions of a scanner, 0 the finest."""


@dataclass(frozen=True)
class Appearance:
    """What a person's skin looks like.

    Attributes:
        gender: One of ``GENDERS``.
        age_group: One of ``AGE_GROUPS``.
        melanin: 0 (lightest) … 1 (darkest).
        hair: RGB 0…1.
        iris: RGB 0…1.
        lips: How far lip colour stands out from skin colour, 0…1.
        lipstick: Colour the lips are painted in, RGB 0…1; their own colour where there is no paint.
        shadow: Strength of paint on the upper lids, 0…1.
        brows: Strength of the brows, 0…1.
        beard: Strength of beard shadow, 0…1.
        hairline: Height of the hairline over its usual place, mm.
        speckle: Seed of freckles, spots and blotches.
    """

    gender: str
    age_group: str
    melanin: float
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    lips: float
    lipstick: tuple[float, float, float]
    shadow: float
    brows: float
    beard: float
    hairline: float
    speckle: int

    @property
    def skin_tone(self) -> str:
        """The word for the melanin, one of ``SKIN_TONES``."""
        return SKIN_TONES[min(int(self.melanin * len(SKIN_TONES)), len(SKIN_TONES) - 1)]

    @property
    def monk_tone(self) -> int:
        """The nearest step of the Monk Skin Tone Scale, 1 (lightest) … 10 (darkest)."""
        return 1 + round(self.melanin * (MONK_TONES - 1))

    @property
    def age(self) -> float:
        """0 for the youngest group, 1 for the oldest."""
        return AGE_GROUPS.index(self.age_group) / (len(AGE_GROUPS) - 1)


@dataclass(frozen=True)
class Subject:
    """A person of the synthetic corpus."""

    name: str
    shape: Shape
    appearance: Appearance
    style: ActionStyle
    size: float
    """Of the head; 1 is the model's own."""


@dataclass(frozen=True)
class Surface:
    """The face in one frame, noise-free: mm, in the model's own frame (nose tip near the origin)."""

    vertices: Vertices
    faces: Faces
    texture_coordinates: TextureCoordinates
    landmarks: Landmarks

    def scaled(self, size: float) -> "Surface":
        """The same face, larger or smaller by a factor."""
        if size == 1.0:
            return self
        return replace(self, vertices=self.vertices * size, landmarks=self.landmarks * size)


class FaceModel(Protocol):
    """A face that shows action weights."""

    shape_count: int
    """How many identity parameters, each drawn from N(0, 1)."""

    def surface(self, shape: Shape, weights: Weights, sampling: int) -> Surface:
        """The face of this identity under these weights.

        Args:
            shape: Identity.
            weights: Of all actions.
            sampling: Which of several meshes, any integer; its remainder by ``DENSITIES`` says how dense.
        """

    def normal_map(self, shape: Shape, weights: Weights) -> NormalMap:
        """Normals over the texture, for light baked into the picture."""

    def paint(self, appearance: Appearance) -> Albedo:
        """Skin, brows, lips, eyes and mouth without light, 0…1, row 0 at the top."""

    def wrinkles(self, weights: Weights) -> Relief:
        """How much the actions darken the picture by folding the skin, 0…1."""


def draw_appearance(rng: np.random.Generator, gender: str) -> Appearance:
    """Draw a skin, hair and eyes; all skin tones and age groups are equally likely."""
    melanin = float(rng.uniform())
    age_group = AGE_GROUPS[int(rng.integers(len(AGE_GROUPS)))]
    made_up = gender == "F" and rng.random() < 0.5
    return Appearance(
        gender=gender,
        age_group=age_group,
        melanin=melanin,
        hair=_hair(rng, melanin, grey=age_group == AGE_GROUPS[-1]),
        iris=_iris(rng, melanin),
        lips=float(rng.uniform(0.7, 1.0) if made_up else rng.uniform(0.25, 0.7)),
        lipstick=_colour(rng.uniform((0.4, 0.05, 0.1), (0.85, 0.4, 0.5))) if made_up else LIP_COLOUR,
        shadow=float(rng.uniform(0.2, 0.8)) if made_up else 0.0,
        brows=float(rng.uniform(0.3, 1.0)),
        beard=float(max(rng.uniform(-0.5, 1.0), 0.0) if gender == "M" else 0.0),
        hairline=float(rng.normal(0.0, 5.0) + (5.0 if gender == "M" else 0.0)),
        speckle=int(rng.integers(2**31)),
    )


def _hair(rng: np.random.Generator, melanin: float, grey: bool) -> tuple[float, float, float]:
    """Lighter where the skin is; grey with age, more or less."""
    darkness = melanin + (1.0 - melanin) * rng.uniform(0.1, 1.0)
    hair = np.array([0.6, 0.43, 0.26]) * (1.0 - 0.85 * darkness) + 0.03
    return _colour(0.4 * hair + 0.6 * np.full(3, rng.uniform(0.3, 0.75)) if grey else hair)


def _iris(rng: np.random.Generator, melanin: float) -> tuple[float, float, float]:
    """Brown, and towards blue and green where the skin is light."""
    tint = 0.65 * (1.0 - melanin) * rng.uniform(0.0, 1.0)
    return _colour(np.array([0.3, 0.19, 0.1]) + tint * np.array([0.05, 0.25, 0.4]))


def _colour(values: Float64[np.ndarray, "3"]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
