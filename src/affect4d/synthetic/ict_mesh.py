"""ICT-FaceKit thinned and joined anew, as a scanner would mesh it: other vertices and triangles each time."""

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from affect4d.arrays import Faces
from affect4d.synthetic.ict_geometry import FACE_VERTICES, IBUG, IctGeometry, load_geometry
from affect4d.synthetic.sampling import join

REACH_MM = 118.0
"""Vertices farther from the tip of the nose are not scanned."""
LONGEST_EDGE = 18.0
COVER_PIXELS = 2048


def thin(folder: Path, rng: np.random.Generator, spacing: float) -> Int64[np.ndarray, " kept"]:
    """Vertices no nearer to each other than the scanner resolves; rims of eyes and mouth are all kept."""
    geometry = load_geometry(folder)
    rest = geometry.rest
    distances = spacing * _distances(geometry)
    rims = _rims(geometry.faces)
    order = np.argsort(rng.random(len(rest)) - 2.0 * rims)
    neighbours = cKDTree(rest).query_ball_point(rest, np.where(rims, 0.0, distances))
    free = np.linalg.norm(rest, axis=1) < REACH_MM
    kept = []
    for vertex in order:
        if free[vertex]:
            kept.append(vertex)
            free[neighbours[vertex]] = False
            free[vertex] = False
    return np.sort(np.array(kept, dtype=np.int64))


def _distances(geometry: IctGeometry) -> Float64[np.ndarray, " points"]:
    """Distance of neighbouring samples at each vertex, mm: finer around eyes, nose and mouth."""
    rest = geometry.rest
    mouth = rest[[IBUG[62], IBUG[66]]].mean(axis=0)
    centres = np.stack([*(geometry.eye_centres + np.array([0.0, 0.0, geometry.eye_radius])), mouth])
    distance = np.linalg.norm(rest[:, None] - centres, axis=2).min(axis=1)
    return np.asarray(np.interp(distance, [14.0, 26.0, 60.0, 90.0], [1.7, 2.9, 4.2, 7.0]))


def _rims(faces: Int64[np.ndarray, "faces 4"]) -> Bool[np.ndarray, " points"]:
    """Vertices on an edge that belongs to one face only."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 3]], faces[:, [3, 0]]])
    edges = np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    rim = np.zeros(FACE_VERTICES, dtype=bool)
    rim[unique[counts == 1].ravel()] = True
    return rim


def join_vertices(folder: Path, kept: Int64[np.ndarray, " kept"], spacing: float) -> Faces:
    """Triangles between the kept vertices, in the texture plane where the model's own faces cover it."""
    texture = load_geometry(folder).texture[kept]
    faces = join(texture)
    pixels = np.clip((texture[faces].mean(axis=1) * COVER_PIXELS).astype(int), 0, COVER_PIXELS - 1)
    covered = _cover(folder)[pixels[:, 1], pixels[:, 0]]
    rest = load_geometry(folder).rest[kept]
    edges = np.linalg.norm(rest[faces] - rest[np.roll(faces, 1, axis=1)], axis=2).max(axis=1)
    return np.asarray(faces[covered & (edges < LONGEST_EDGE * spacing)])


@functools.cache
def _cover(folder: Path) -> Bool[np.ndarray, "pixels pixels"]:
    """Where the texture plane is covered by the model's own faces; row 0 is v = 0."""
    geometry = load_geometry(folder)
    picture = Image.new("1", (COVER_PIXELS, COVER_PIXELS))
    draw = ImageDraw.Draw(picture)
    for polygon in geometry.texture[geometry.faces] * COVER_PIXELS:
        draw.polygon([(float(u), float(v)) for u, v in polygon], fill=1)
    return np.array(picture)
