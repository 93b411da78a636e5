"""Turnable face mesh for the browser: limited in size, with a colour a vertex."""

from typing import Literal

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float32, UInt8

from affect4d.array_types import Faces
from affect4d.scans.scan import FaceScan

FACES = 40_000
"""Most triangles; a coarser mesh is subdivided up to it, so that its texture shows."""
CLAY = (208, 200, 190)
FOR, AGAINST = (203, 66, 30), (48, 105, 170)
"""VertexColours of positive and negative attribution."""
STRONGEST = 0.8
"""Opacity of the strongest attribution."""
SATURATED = 98.0
"""Percentile of the attribution that counts as strongest."""

Colouring = Literal["skin", "shape", "attribution"]
VertexColumns = Float32[np.ndarray, "vertices columns"]
VertexColours = UInt8[np.ndarray, "vertices 3"]
_HEX = np.array([f"{level:02x}" for level in range(256)])


def face_figure(
    face: FaceScan, colouring: Colouring, attribution: Float32[np.ndarray, " vertices"] | None = None
) -> go.Figure:
    """A canonical face, seen from the front and a little from above.

    Args:
        face: In mm, nose tip at the origin.
    """
    columns, faces = display_mesh(face, attribution)
    x, y, z = columns[:, :3].T
    colours = _painted(columns, face, colouring)
    mesh = go.Mesh3d(
        x=x, y=y, z=z, i=faces[:, 0], j=faces[:, 1], k=faces[:, 2],
        vertexcolor=_as_text(colours), hoverinfo="skip", flatshading=False,
        lighting={"ambient": 0.62, "diffuse": 0.5, "specular": 0.04, "roughness": 0.9, "fresnel": 0.02},
        lightposition={"x": 200, "y": 500, "z": 900},
    )  # fmt: skip
    axis = {"visible": False, "showspikes": False}
    figure = go.Figure(mesh)
    figure.update_layout(
        height=440,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        scene={
            "xaxis": axis,
            "yaxis": axis,
            "zaxis": axis,
            "aspectmode": "data",
            "bgcolor": "rgba(0,0,0,0)",
            "dragmode": "orbit",
            "camera": {"up": {"x": 0, "y": 1, "z": 0}, "eye": {"x": 0.38, "y": 0.15, "z": 1.68}},
        },
        uirevision="the same camera whatever is drawn",
    )
    return figure


def display_mesh(
    face: FaceScan, attribution: Float32[np.ndarray, " vertices"] | None = None
) -> tuple[VertexColumns, Faces]:
    """The mesh with about ``FACES`` triangles: subdivided where it is coarse, decimated where it is fine.

    Returns:
        VertexColumns x, y, z (mm), u, v, attribution of every vertex (0 where it has none), and the triangles.
    """
    count = len(face.vertices)
    coordinates = face.texture_coordinates
    columns = np.zeros((count, 6), np.float32)
    columns[:, :3] = face.vertices
    columns[:, 3:5] = 0 if coordinates is None else coordinates
    columns[:, 5] = 0 if attribution is None else attribution
    faces = face.faces
    while 4 * len(faces) <= FACES:
        columns, faces = _subdivided(columns, faces)
    return (columns, faces) if len(faces) <= FACES else _decimated(columns, faces)


def _subdivided(columns: VertexColumns, faces: Faces) -> tuple[VertexColumns, Faces]:
    """Every triangle as four, split at the middles of its edges."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), axis=1)
    unique, place = np.unique(edges[:, 0] * len(columns) + edges[:, 1], return_inverse=True)
    middles = (columns[unique // len(columns)] + columns[unique % len(columns)]) / 2
    ab, bc, ca = (place + len(columns)).reshape(3, -1)
    a, b, c = faces.T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([columns, middles]), np.concatenate([np.stack(part, axis=1) for part in parts]).astype(
        np.int32
    )


def _decimated(columns: VertexColumns, faces: Faces) -> tuple[VertexColumns, Faces]:
    """One vertex a grid cell, without collapsed triangles; cells grow until few enough are left."""
    points = columns[:, :3]
    width = 1.2 * float(np.median(np.linalg.norm(points[faces[:, 0]] - points[faces[:, 1]], axis=1)))
    while True:
        cells = np.floor((points - points.min(axis=0)) / width).astype(np.int64)
        span = cells.max(axis=0) + 1
        _, first, cell = np.unique(cells @ (1, span[0], span[0] * span[1]), return_index=True, return_inverse=True)
        fewer = cell[faces].astype(np.int32)
        a, b, c = fewer.T
        fewer = fewer[(a != b) & (b != c) & (c != a)]
        if len(fewer) <= FACES:
            return columns[first], fewer
        width *= 1.25


def _painted(columns: VertexColumns, face: FaceScan, colouring: Colouring) -> VertexColours:
    if colouring == "shape":
        return np.broadcast_to(np.array(CLAY, np.uint8), (len(columns), 3))
    skin = _skin(columns, face)
    return skin if colouring == "skin" else _over(skin, columns[:, 5])


def _skin(columns: VertexColumns, face: FaceScan) -> VertexColours:
    """Texture colour of every vertex; clay where there is no texture."""
    if face.texture is None or face.texture_coordinates is None:
        return np.broadcast_to(np.array(CLAY, np.uint8), (len(columns), 3))
    height, width = face.texture.shape[:2]
    column = np.clip(columns[:, 3] * width, 0, width - 1).astype(int)
    row = np.clip((1 - columns[:, 4]) * height, 0, height - 1).astype(int)
    return np.asarray(face.texture[row, column])


def _over(skin: VertexColours, attribution: Float32[np.ndarray, " vertices"]) -> VertexColours:
    """Attribution over pale skin: red in favour, blue against."""
    size = np.abs(attribution)
    share = np.clip(size / max(float(np.percentile(size, SATURATED)), 1e-12), 0, 1)[:, None] ** 0.8 * STRONGEST
    grey = skin.astype(np.float32).mean(axis=1, keepdims=True) * 0.4 + 140
    colour = np.where(attribution[:, None] > 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    return np.asarray(np.clip(grey * (1 - share) + colour * share, 0, 255), np.uint8)


def _as_text(colours: VertexColours) -> list[str]:
    red, green, blue = _HEX[colours].T
    return [f"#{one}{two}{three}" for one, two, three in zip(red, green, blue, strict=True)]
