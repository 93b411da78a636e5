"""What scanners vary beyond light and holes: extent, density, topology, eyes and teeth, noise, texture [ours].

One scanner a take, drawn from a random stream of its own; frames of a take share it, so that motion stays comparable.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool

from affect4d.array_types import Faces, Texture
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.face_model_and_skin_coordinates import FaceSurface, front_of_eyeball, mouth_grid
from affect4d.synthetic.recipe import VarietyOptions

TextureQuality = Literal["full", "poor", "grey", "none"]
QUALITIES: tuple[TextureQuality, ...] = ("poor", "grey", "none")
MOST_WHITE_MM = 0.6
REFINED = (0.55, 0.34, 0.1, 0.01)  # chances of 0 … 3 subdivisions at ``mesh`` 1: some 1, 5, 20 and 80 thousand vertices
RESAMPLED = 0.35  # chance of vertices averaged in voxels, likewise; as for ``ABSENT``, of eyeballs or of teeth
ABSENT = 0.4
VOXEL_MM = (1.5, 4.5)
REACH_MM = (78.0, 125.0)  # distance from the tip of the nose that a front shell reaches
NECK_MM = (-175.0, -95.0)  # height at which a whole head ends


@dataclass(frozen=True, slots=True)
class ScannerVariety:
    """One take's scanner."""

    whole_head: bool
    reach: float  # mm; of front shells
    neck: float  # mm; of whole heads
    refined: int  # how many times each triangle is divided into four
    voxel: float  # mm; 0 for none
    eyeballs: bool
    teeth: bool
    texture: TextureQuality
    white_mm: float  # root mean square of a further, independent noise of every vertex


def draw_scanner_variety(options: VarietyOptions, rng: np.random.Generator) -> ScannerVariety:
    """Draw the scanner of a take."""
    varied = rng.random(5) < options.mesh
    refined, resampled, eyeballs, teeth, reach = rng.random(5)
    quality = QUALITIES[int(rng.integers(len(QUALITIES)))]
    return ScannerVariety(
        whole_head=bool(rng.random() < options.whole_head),
        reach=REACH_MM[0] + reach * (REACH_MM[1] - REACH_MM[0]) if varied[0] else np.inf,
        neck=float(rng.uniform(*NECK_MM)),
        refined=int(np.searchsorted(np.cumsum(REFINED), refined)) if varied[1] else 0,
        voxel=float(rng.uniform(*VOXEL_MM)) if varied[2] and resampled < RESAMPLED else 0.0,
        eyeballs=not (varied[3] and eyeballs < ABSENT),
        teeth=not (varied[4] and teeth < ABSENT),
        texture=quality if rng.random() < options.texture else "full",
        white_mm=float(rng.uniform(0.0, MOST_WHITE_MM * options.noise)),
    )


def without_inner_parts(surface: FaceSurface, variety: ScannerVariety) -> FaceSurface:
    """A face model's surface (skin, mouth, eyeballs) less the parts that this scanner does not see."""
    eyes, mouth = 2 * len(front_of_eyeball()[0]), len(mouth_grid()[0])
    count = len(surface.vertices)
    keep = np.ones(count, dtype=bool)
    keep[count - eyes :] = variety.eyeballs
    keep[count - eyes - mouth : count - eyes] = variety.teeth
    return replace(surface, faces=_within(surface.faces, keep))


def scan_mesh(surface: FaceSurface, variety: ScannerVariety, rng: np.random.Generator) -> FaceSurface:
    """The surface cropped, refined or resampled, and with white noise."""
    points = surface.vertices
    inside = points[:, 1] > variety.neck if variety.whole_head else np.linalg.norm(points, axis=1) < variety.reach
    seen = replace(surface, faces=_within(surface.faces, inside))
    for _ in range(variety.refined):
        seen = refine(seen)
    if variety.voxel:
        seen = resample(seen, variety.voxel)
    noise = rng.normal(0.0, variety.white_mm / np.sqrt(3.0), seen.vertices.shape)
    return replace(seen, vertices=(seen.vertices + noise).astype(np.float32))


def refine(surface: FaceSurface) -> FaceSurface:
    """Every triangle divided into four; new vertices lie on the surface that Loop's scheme smooths, old ones stay.

    Loop, "Smooth subdivision surfaces based on triangles", 1987: the rule for new vertices.
    """
    faces = surface.faces
    corners = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    across = np.concatenate([faces[:, 2], faces[:, 0], faces[:, 1]])
    ordered = np.sort(corners, axis=1).astype(np.int64)
    named = ordered[:, 0] * len(surface.vertices) + ordered[:, 1]
    keys, first, edge, uses = np.unique(named, return_index=True, return_inverse=True, return_counts=True)
    ends = ordered[first]
    middles = 0.5 * surface.vertices[ends].sum(axis=1)
    opposite = np.stack([np.bincount(edge, column, len(keys)) for column in surface.vertices[across].T], axis=1)
    inner = uses == 2
    middles[inner] = (0.75 * middles + 0.125 * opposite)[inner]
    number = (edge + len(surface.vertices)).reshape(3, -1)
    ab, bc, ca = number
    a, b, c = faces.T
    quarters = np.concatenate([np.stack(one, axis=1) for one in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    halves = 0.5 * surface.texture_coordinates[ends].sum(axis=1)
    return replace(
        surface,
        vertices=np.concatenate([surface.vertices, middles]).astype(np.float32),
        faces=quarters.astype(np.int32),
        texture_coordinates=np.concatenate([surface.texture_coordinates, halves]).astype(np.float32),
    )


def resample(surface: FaceSurface, size: float) -> FaceSurface:
    """Vertices of one voxel of ``size`` mm become their mean; collapsed and doubled triangles are dropped.

    Skin is not merged with eyes, teeth or glasses: vertices far apart in the texture stay apart.
    """
    places = np.floor((surface.vertices - surface.vertices.min(axis=0)) / size).astype(np.int64)
    strip = np.floor(np.clip(surface.texture_coordinates, 0.0, 0.999) * np.array([4.0, 5.0])).astype(np.int64)
    part = np.where(strip[:, 1] > 0, 4, strip[:, 0])
    cell = np.ravel_multi_index((*places.T, part), (*(places.max(axis=0) + 1), 5))
    _, cells, counts = np.unique(cell, return_inverse=True, return_counts=True)
    faces = cells.astype(np.int64)[surface.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    named = np.ravel_multi_index(tuple(np.sort(faces, axis=1).T), (len(counts),) * 3)
    _, once = np.unique(named, return_index=True)
    means = [
        np.stack([np.bincount(cells, column, len(counts)) for column in values.T], axis=1) / counts[:, None]
        for values in (surface.vertices, surface.texture_coordinates)
    ]
    vertices, coordinates = (one.astype(np.float32) for one in means)
    kept = faces[np.sort(once)].astype(np.int32)
    return replace(surface, vertices=vertices, faces=kept, texture_coordinates=coordinates)


def with_texture_quality(scan: FaceScan, quality: TextureQuality) -> FaceScan:
    """The scan with a full, coarse and dark, grey, or no texture."""
    if quality == "full" or scan.texture is None:
        return scan
    if quality == "none":
        return replace(scan, texture=None, texture_coordinates=None)
    return replace(scan, texture=_coarse(scan.texture) if quality == "poor" else _grey(scan.texture))


def _coarse(texture: Texture) -> Texture:
    """Blocks of four pixels, 16 levels, two thirds of the brightness."""
    blocks = np.repeat(np.repeat(texture[::4, ::4], 4, axis=0), 4, axis=1)[: texture.shape[0], : texture.shape[1]]
    return np.asarray((blocks // 16 * 16 * (2.0 / 3.0)).astype(np.uint8))


def _grey(texture: Texture) -> Texture:
    return np.asarray(np.repeat(texture.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2))


def _within(faces: Faces, keep: Bool[np.ndarray, " vertices"]) -> Faces:
    return np.asarray(faces[keep[faces].all(axis=1)])
