"""Mesh repair of a cropped scan: spikes are flattened, bridges over gaps cut, debris dropped. Holes stay holes.

A hole is where the scanner saw nothing: closing it would invent skin, and eyes and mouth are holes in some corpora. The
fraction of the face that is there is reported instead (``seen``). The result depends on the cropped mesh alone, so that
reading the scan again gives the same mesh.
"""

from dataclasses import dataclass
from dataclasses import replace as with_changes

import numpy as np
from jaxtyping import Bool, Float32, Int32
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from affect4d.array_types import Faces, Vertices
from affect4d.scans.geometry import any_corner, connected, keep_triangles, opposite_edges, spike_tips
from affect4d.scans.scan import FaceScan

SPIKE_STEEPNESS = 2.5
"""Height of a spike over its neighbours, as a multiple of their distance to their own mean: a nose has 0.3."""
MIN_SPIKE = 2.0  # lower spikes, in mm, are noise, and stay
BRIDGE_LENGTH, BRIDGE_FACTOR, BRIDGE_THINNESS = 12.0, 8.0, 8.0
"""A bridge is longer than so many mm, than so many median edges, and than so many of its own shortest edges."""
MEDIAN_OF = 4  # every so many triangles, an edge length is taken for the median
DEBRIS_SHARE = 0.01  # pieces with fewer triangles than this share of the largest piece are debris

Squares = Float32[np.ndarray, "3 faces"]


@dataclass(frozen=True, slots=True)
class RepairedScan:
    """A repaired scan: numbers of spikes flattened, bridging triangles cut, and loose pieces dropped."""

    scan: FaceScan
    spikes: int = 0
    bridges: int = 0
    debris: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """The repairs in words."""
        done = (
            (self.spikes, "spike pressed down", "spikes pressed down"),
            (self.bridges, "bridging triangle cut", "bridging triangles cut"),
            (self.debris, "loose piece dropped", "loose pieces dropped"),
        )
        return tuple(f"{count} {one if count == 1 else many}" for count, one, many in done if count)


def repair(scan: FaceScan) -> RepairedScan:
    """The scan with spikes pressed down, bridges cut and debris dropped; itself where there is nothing to repair."""
    squares = opposite_edges(scan.vertices, scan.faces)
    spikes, places = _spikes(scan.vertices, scan.faces, squares)
    bridges = _bridges(squares)
    bridges[bridges] = ~np.isin(scan.faces[bridges], spikes).any(axis=1)
    bridging = int(bridges.sum())
    pieces = _pieces(scan.vertices, scan.faces[~bridges] if bridging else scan.faces)
    sizes = np.bincount(pieces, minlength=1)
    debris = (sizes > 0) & (sizes < DEBRIS_SHARE * sizes.max())
    repaired = scan
    if len(spikes):
        vertices = scan.vertices.copy()
        vertices[spikes] = places
        repaired = with_changes(scan, vertices=vertices)
    if bridging or debris.any():
        kept = ~bridges
        kept[kept] = ~debris[pieces]
        repaired = keep_triangles(repaired, kept)
    return RepairedScan(repaired, len(spikes), bridging, int(debris.sum()))


def _spikes(vertices: Vertices, faces: Faces, squares: Squares) -> tuple[np.ndarray, np.ndarray]:
    """Vertices, borders left out, farther from their neighbours than those from each other; the neighbours' means."""
    tips = np.flatnonzero(spike_tips(faces, squares, len(vertices)))
    if len(tips) == 0:
        return tips, np.empty((0, 3), np.float32)
    middles, widths, closed = _rims(vertices, faces, tips)
    heights = np.linalg.norm(vertices[tips] - middles, axis=1)
    steep = (heights > np.maximum(MIN_SPIKE, SPIKE_STEEPNESS * widths)) & closed
    return tips[steep], middles[steep].astype(np.float32)


def _rims(vertices: Vertices, faces: Faces, tips: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of each tip's neighbours, their mean distance to it, and whether they go all the way round it."""
    number = np.full(len(vertices), -1)
    number[tips] = np.arange(len(tips))
    faces = faces[any_corner(number >= 0, faces)]
    numbered = number[faces]
    at = [(numbered[:, corner] >= 0, corner) for corner in range(3)]
    tip = np.concatenate([numbered[here, corner] for here, corner in at for _ in range(2)])
    neighbour = np.concatenate([faces[here, corner - turn] for here, corner in at for turn in (1, 2)])
    places = vertices[neighbour].astype(np.float64)
    counts = np.bincount(tip, minlength=len(tips))
    middles = np.stack([np.bincount(tip, places[:, axis], len(tips)) for axis in range(3)], axis=1) / counts[:, None]
    distances = np.linalg.norm(places - middles[tip], axis=1)
    neighbours = np.bincount(np.unique(tip * len(vertices) + neighbour) // len(vertices), minlength=len(tips))
    return middles, np.bincount(tip, distances, len(tips)) / counts, neighbours == counts // 2


def _bridges(squares: Squares) -> Bool[np.ndarray, " faces"]:
    """Long thin triangles: they join what the scanner saw on both sides of a gap."""
    longest = squares.max(axis=0)
    limit = max(BRIDGE_LENGTH**2, BRIDGE_FACTOR**2 * float(np.median(squares[:, ::MEDIAN_OF])))
    far = longest > limit
    if far.any():
        far[far] = longest[far] > BRIDGE_THINNESS**2 * squares[:, far].min(axis=0)
    return np.asarray(far)


def _pieces(vertices: Vertices, faces: Faces) -> Int32[np.ndarray, " faces"]:
    """The piece each triangle belongs to; vertices at one place join pieces, whatever their numbers."""
    count, piece = connected(len(vertices), faces)
    if count > 1:
        piece = _welded(vertices, piece, count)
    return np.asarray(piece[faces[:, 0]])


def _welded(vertices: Vertices, piece: np.ndarray, count: int) -> np.ndarray:
    """Pieces with those joined that have a vertex in one place, as at the seams of a texture."""
    bits = np.ascontiguousarray(vertices).view(np.uint32).astype(np.uint64)
    place = bits @ np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
    order = np.argsort(place, kind="stable")
    same = place[order][1:] == place[order][:-1]
    first, second = piece[order][:-1][same], piece[order][1:][same]
    apart = first != second
    if not apart.any():
        return piece
    links = coo_array((np.ones(int(apart.sum()), np.int8), (first[apart], second[apart])), shape=(count, count))
    joined: np.ndarray = connected_components(links, directed=False)[1][piece]
    return joined
