"""What goes wrong with 3D scans, at five strengths each: on the mesh before it is drawn, or on its pictures after.

Each takes a generator and is a pure function of its arguments. Strengths run from 1, which a sensor may do on any day,
to 5, which nobody would keep.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Shaped

from affect4d.arrays import Vertices
from affect4d.rendering.pictures import NORMALS_BACKGROUND
from affect4d.scans.geometry import keep_triangles
from affect4d.scans.scan import FaceScan

STRENGTHS: tuple[int, ...] = (1, 2, 3, 4, 5)
TURNS = (6.0, 12.0, 18.0, 24.0, 30.0)
"""Degrees of yaw and pitch together."""
NOISE = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Standard deviation along each axis, mm."""
HOLES, RADII, REACH = 5, (4.0, 8.0, 12.0, 16.0, 20.0), 65.0
"""How many, of what radius, and how far from the tip of the nose, mm."""
CELLS = (2.0, 3.0, 4.0, 6.0, 8.0)
"""Side of the cubes in which vertices become one, mm."""
MISSING = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Share of the texture's blocks that is grey."""
BLOCKS, GREY = 8, 128
SHIFTS = (2.0, 4.0, 6.0, 9.0, 12.0)
"""Millimetres of displacement, and degrees of roll."""
LIGHTS = (15.0, 30.0, 45.0, 60.0, 75.0)
"""Degrees between the light and straight ahead."""
AMBIENT = (0.8, 0.6, 0.4, 0.2, 0.1)
"""Light from everywhere; the rest comes from the light."""
VIEWS_LOST = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Chance that a view is missing; one stays."""
FRAMES_LOST = (0.2, 0.4, 0.6, 0.8, 0.8)
"""Share of the frames round the apex that is missing; at the last strength the neutral frame is, too."""

Pictures = dict[str, Shaped[np.ndarray, "views height width components"]]
OnMesh = Callable[[FaceScan, int, np.random.Generator], FaceScan]
OnPictures = Callable[[Pictures, int, np.random.Generator], Pictures]


def turn(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """The head turned away from the camera, some way between sideways and up or down, about a point 45 mm inside."""
    angle, heading = math.radians(TURNS[strength - 1]), generator.uniform(0, 2 * math.pi)
    axis = np.array([math.cos(heading), math.sin(heading), 0.0])
    return _moved(face, _rotation(axis, angle), np.array([0.0, 0.0, -45.0]), np.zeros(3))


def misalign(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Placed wrongly: displaced in a random direction, and rolled."""
    size = SHIFTS[strength - 1]
    shift = generator.normal(size=3)
    roll = _rotation(np.array([0.0, 0.0, 1.0]), math.radians(size) * generator.choice([-1, 1]))
    return _moved(face, roll, np.zeros(3), size * shift / np.linalg.norm(shift))


def roughen(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """A noisy sensor: every vertex displaced by itself."""
    noise = generator.normal(scale=NOISE[strength - 1], size=face.vertices.shape)
    return replace(face, vertices=(face.vertices + noise).astype(np.float32))


def pierce(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Round holes where the sensor saw nothing: at the same places of a face in every frame, whatever its mesh."""
    away, heading = REACH * np.sqrt(generator.random(HOLES)), generator.uniform(0, 2 * math.pi, HOLES)
    places = np.stack([away * np.cos(heading), away * np.sin(heading)], axis=1)
    across = np.linalg.norm(face.vertices[None, :, :2] - places[:, None], axis=2)
    centres = face.vertices[across.argmin(axis=1)]
    middles = face.vertices[face.faces].mean(axis=1)
    nearest = np.linalg.norm(middles[:, None] - centres[None], axis=2).min(axis=1)
    return keep_triangles(face, nearest > RADII[strength - 1])


def coarsen(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Fewer vertices: those of one cube become their mean; triangles that collapse are dropped."""
    cells = np.floor(face.vertices / CELLS[strength - 1]).astype(np.int64)
    _, first, code = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    code = code.reshape(-1)
    counts = np.bincount(code)[:, None]
    means = np.stack([np.bincount(code, weights=axis) for axis in face.vertices.T], axis=1) / counts
    faces = code[face.faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    coordinates = face.texture_coordinates
    return replace(
        face,
        vertices=means.astype(np.float32),
        faces=faces[whole].astype(np.int32),
        texture_coordinates=None if coordinates is None else coordinates[first],
    )


def lose_texture(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Blocks of the texture are grey; at the last strength all of it."""
    if face.texture is None:
        return face
    lost = generator.permutation(BLOCKS * BLOCKS)[: round(MISSING[strength - 1] * BLOCKS * BLOCKS)]
    mask = np.zeros(BLOCKS * BLOCKS, bool)
    mask[lost] = True
    rows, columns = (np.arange(side) * BLOCKS // side for side in face.texture.shape[:2])
    grey = mask.reshape(BLOCKS, BLOCKS)[rows[:, None], columns[None]]
    return replace(face, texture=np.where(grey[..., None], np.uint8(GREY), face.texture))


def relight(pictures: Pictures, strength: int, generator: np.random.Generator) -> Pictures:
    """The colours under a light from the side, by the normals that were drawn; geometry is as it was."""
    if not {"texture", "normals"} <= set(pictures):
        return pictures
    away, heading = math.radians(LIGHTS[strength - 1]), generator.uniform(0, 2 * math.pi)
    light = np.array([math.sin(away) * math.cos(heading), math.sin(away) * math.sin(heading), math.cos(away)])
    normals = (pictures["normals"].astype(np.float32) - NORMALS_BACKGROUND) / 127.0
    ambient = AMBIENT[strength - 1]
    received = ambient + (1 - ambient) * np.maximum(normals @ light.astype(np.float32), 0.0)
    lit = np.clip(pictures["texture"] * received[..., None], 0, 255)
    return {**pictures, "texture": np.rint(lit).astype(np.uint8)}


def lose_views(pictures: Pictures, strength: int, generator: np.random.Generator) -> Pictures:
    """Some cameras gave nothing: their pictures are empty."""
    count = len(next(iter(pictures.values())))
    lost = generator.random(count) < VIEWS_LOST[strength - 1]
    lost[generator.integers(count)] = False
    gone = lost[:, None, None, None]
    return {name: np.where(gone, empty_like(name, stack), stack) for name, stack in pictures.items()}


def empty_like(channel: str, stack: np.ndarray) -> np.ndarray:
    """Pictures of a channel that show no face."""
    return np.full_like(stack, NORMALS_BACKGROUND if channel == "normals" else 0)


def kept_frames(count: int, strength: int, generator: np.random.Generator) -> tuple[list[int], bool]:
    """Which of the frames round the apex are left (at least one), and whether the neutral frame is."""
    lost = min(round(FRAMES_LOST[strength - 1] * count), count - 1)
    kept = sorted(generator.permutation(count)[lost:].tolist())
    return kept, strength < len(STRENGTHS)


ON_MESH: Mapping[str, OnMesh] = MappingProxyType(
    {
        "turned": turn,
        "misaligned": misalign,
        "noise": roughen,
        "holes": pierce,
        "low_density": coarsen,
        "missing_texture": lose_texture,
    }
)
ON_PICTURES: Mapping[str, OnPictures] = MappingProxyType({"light": relight, "dropped_views": lose_views})
FRAME_DROP = "dropped_frames"
DAMAGES: tuple[str, ...] = (*ON_PICTURES, *ON_MESH, FRAME_DROP)
EACH_FRAME: frozenset[str] = frozenset({"noise", "misaligned"})
"""Damages that are other ones in every frame; the rest stay through a sequence."""


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: np.ndarray = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return rotation


def _moved(face: FaceScan, rotation: np.ndarray, centre: np.ndarray, shift: np.ndarray) -> FaceScan:
    moved: Vertices = ((face.vertices - centre) @ rotation.T + centre + shift).astype(np.float32)
    return replace(face, vertices=moved)
