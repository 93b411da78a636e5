"""Corruptions of meshes and rendered images at strengths 1 (everyday sensor quality) to 5 (nobody would keep it)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from jaxtyping import Shaped

from affect4d.array_types import Vertices
from affect4d.rendering.channels import NORMALS_MIDDLE
from affect4d.scans.geometry import keep_triangles
from affect4d.scans.scan import FaceScan

STRENGTHS: tuple[int, ...] = (1, 2, 3, 4, 5)
TURNS = (6.0, 12.0, 18.0, 24.0, 30.0)  # degrees of yaw and pitch together
NOISE = (0.1, 0.2, 0.4, 0.8, 1.6)  # standard deviation along each axis, mm
HOLES, RADII, REACH = 5, (4.0, 8.0, 12.0, 16.0, 20.0), 65.0
"""Number of holes, their radius, and their largest distance from the tip of the nose, mm."""
CELLS = (2.0, 3.0, 4.0, 6.0, 8.0)  # side of the cubes in which vertices are merged, mm
MISSING = (0.2, 0.4, 0.6, 0.8, 1.0)  # fraction of the texture's blocks that is grey
BLOCKS, GREY = 8, 128
SHIFTS = (2.0, 4.0, 6.0, 9.0, 12.0)  # millimetres of displacement, and degrees of roll
LIGHTS = (15.0, 30.0, 45.0, 60.0, 75.0)  # degrees between the light and straight ahead
AMBIENT = (0.8, 0.6, 0.4, 0.2, 0.1)  # fraction of ambient light; the rest is directional
VIEWS_LOST = (0.1, 0.2, 0.3, 0.4, 0.5)  # probability that a view is missing; one stays
FRAMES_LOST = (0.2, 0.4, 0.6, 0.8, 0.8)
"""Fraction of the apex window's frames that is missing; at the last strength the neutral frame is, too."""

ViewImageStacks = dict[str, Shaped[np.ndarray, "views height width components"]]
"""Images of one frame by channel."""
MeshCorruption = Callable[[FaceScan, int, np.random.Generator], FaceScan]
ImageCorruption = Callable[[ViewImageStacks, int, np.random.Generator], ViewImageStacks]


def turn(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Rotate the head away from the camera about a point 45 mm inside it, in a random direction."""
    angle, heading = math.radians(TURNS[strength - 1]), generator.uniform(0, 2 * math.pi)
    axis = np.array([math.cos(heading), math.sin(heading), 0.0])
    return _moved(face, _rotation(axis, angle), np.array([0.0, 0.0, -45.0]), np.zeros(3))


def misalign(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Displace the head in a random direction, and roll it."""
    size = SHIFTS[strength - 1]
    shift = generator.normal(size=3)
    roll = _rotation(np.array([0.0, 0.0, 1.0]), math.radians(size) * generator.choice([-1, 1]))
    return _moved(face, roll, np.zeros(3), size * shift / np.linalg.norm(shift))


def add_noise(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Displace every vertex independently, as a noisy sensor does."""
    noise = generator.normal(scale=NOISE[strength - 1], size=face.vertices.shape)
    return replace(face, vertices=(face.vertices + noise).astype(np.float32))


def cut_holes(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Cut round holes, at the same places of a face in every frame, whatever its mesh."""
    away, heading = REACH * np.sqrt(generator.random(HOLES)), generator.uniform(0, 2 * math.pi, HOLES)
    places = np.stack([away * np.cos(heading), away * np.sin(heading)], axis=1)
    across = np.linalg.norm(face.vertices[None, :, :2] - places[:, None], axis=2)
    centres = face.vertices[across.argmin(axis=1)]
    middles = face.vertices[face.faces].mean(axis=1)
    nearest = np.linalg.norm(middles[:, None] - centres[None], axis=2).min(axis=1)
    return keep_triangles(face, nearest > RADII[strength - 1])


def decimate(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Merge the vertices of each cube into their mean, and drop collapsed triangles."""
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


def drop_texture(face: FaceScan, strength: int, generator: np.random.Generator) -> FaceScan:
    """Make blocks of the texture grey; at the last strength all of it."""
    if face.texture is None:
        return face
    lost = generator.permutation(BLOCKS * BLOCKS)[: round(MISSING[strength - 1] * BLOCKS * BLOCKS)]
    mask = np.zeros(BLOCKS * BLOCKS, bool)
    mask[lost] = True
    rows, columns = (np.arange(side) * BLOCKS // side for side in face.texture.shape[:2])
    grey = mask.reshape(BLOCKS, BLOCKS)[rows[:, None], columns[None]]
    return replace(face, texture=np.where(grey[..., None], np.uint8(GREY), face.texture))


def relight(images: ViewImageStacks, strength: int, generator: np.random.Generator) -> ViewImageStacks:
    """Light the colours from the side, by the rendered normals; geometry stays."""
    if not {"texture", "normals"} <= set(images):
        return images
    away, heading = math.radians(LIGHTS[strength - 1]), generator.uniform(0, 2 * math.pi)
    light = np.array([math.sin(away) * math.cos(heading), math.sin(away) * math.sin(heading), math.cos(away)])
    normals = (images["normals"].astype(np.float32) - NORMALS_MIDDLE) / 127.0
    ambient = AMBIENT[strength - 1]
    received = ambient + (1 - ambient) * np.maximum(normals @ light.astype(np.float32), 0.0)
    lit = np.clip(images["texture"] * received[..., None], 0, 255)
    return {**images, "texture": np.rint(lit).astype(np.uint8)}


def drop_views(images: ViewImageStacks, strength: int, generator: np.random.Generator) -> ViewImageStacks:
    """Replace the images of some views by the background."""
    count = len(next(iter(images.values())))
    lost = generator.random(count) < VIEWS_LOST[strength - 1]
    lost[generator.integers(count)] = False
    gone = lost[:, None, None, None]
    return {name: np.where(gone, empty_like(name, stack), stack) for name, stack in images.items()}


def empty_like(channel: str, stack: np.ndarray) -> np.ndarray:
    """Background images of a channel."""
    return np.full_like(stack, NORMALS_MIDDLE if channel == "normals" else 0)


def kept_frames(count: int, strength: int, generator: np.random.Generator) -> tuple[list[int], bool]:
    """Positions of the remaining frames of the apex window (at least one), and whether the neutral frame remains."""
    lost = min(round(FRAMES_LOST[strength - 1] * count), count - 1)
    kept = sorted(generator.permutation(count)[lost:].tolist())
    return kept, strength < len(STRENGTHS)


MESH_CORRUPTIONS: Final[Mapping[str, MeshCorruption]] = {
    "turned": turn,
    "misaligned": misalign,
    "noise": add_noise,
    "holes": cut_holes,
    "low_density": decimate,
    "missing_texture": drop_texture,
}
IMAGE_CORRUPTIONS: Final[Mapping[str, ImageCorruption]] = {"light": relight, "dropped_views": drop_views}
FRAME_DROP = "dropped_frames"
POSE = "pose"
CORRUPTIONS: tuple[str, ...] = (*IMAGE_CORRUPTIONS, *MESH_CORRUPTIONS, FRAME_DROP, POSE)
PER_FRAME: frozenset[str] = frozenset({"noise", "misaligned"})
"""Corruptions drawn anew for every frame; the others stay the same through a sequence."""


POSE_DEGREES, POSE_MM = 5.0, 5.0
POSE_CHANGES: Final[Mapping[str, tuple[float, float, float]]] = {
    "pitch": (1.0, 0.0, 0.0),
    "yaw": (0.0, 1.0, 0.0),
    "roll": (0.0, 0.0, 1.0),
    "x": (1.0, 0.0, 0.0),
    "y": (0.0, 1.0, 0.0),
    "z": (0.0, 0.0, 1.0),
}
"""Axis (canonical frame: x to the image's right, y up, z towards the camera) of rotations, then of displacements."""
DISPLACEMENTS: tuple[str, ...] = ("x", "y", "z")


def change_pose(face: FaceScan, change: str, sign: int) -> FaceScan:
    """Turn the head by ``sign`` · 5° about a point 45 mm inside it, or displace it by ``sign`` · 5 mm."""
    axis = np.array(POSE_CHANGES[change])
    if change in DISPLACEMENTS:
        return _moved(face, np.eye(3), np.zeros(3), sign * POSE_MM * axis)
    return _moved(face, _rotation(axis, math.radians(sign * POSE_DEGREES)), np.array([0.0, 0.0, -45.0]), np.zeros(3))


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: np.ndarray = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return rotation


def _moved(face: FaceScan, rotation: np.ndarray, centre: np.ndarray, shift: np.ndarray) -> FaceScan:
    moved: Vertices = ((face.vertices - centre) @ rotation.T + centre + shift).astype(np.float32)
    return replace(face, vertices=moved)
