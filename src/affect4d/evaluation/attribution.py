"""Attribution of a prediction to image pixels and mesh vertices by integrated gradients, and to views.

M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017. The score explained is the
product of the fused embedding with a direction of the joint space: one sentence's embedding, or one expression's
against the others. A pixel's attribution is its difference to a reference image times the mean gradient on the straight
path from there; all attributions sum to the difference of both scores. The reference of a frame is the sequence's
neutral frame, so that the map explains the *change* of the face; without one it is an empty image. [ours]

A map that did not depend on the weights would be worthless (Adebayo et al. 2018): a test randomises them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor

from affect4d.array_types import Vertices
from affect4d.evaluation.sequence_embeddings_and_probabilities import ViewModel
from affect4d.rendering.cameras_and_render_backends import Camera, cameras
from affect4d.rendering.options import RenderOptions
from affect4d.scans.geometry import vertex_normals
from affect4d.scans.scan import FaceScan
from affect4d.tensor_types import ViewImages
from affect4d.views.derived_channels import LEVELS_MIDDLE
from affect4d.views.input_options import InputOptions

STEPS = 16
"""Points on the path from the reference to the image; twice as many change a map by a few per cent."""
BLUR = 4.0  # standard deviation, in mm, of the smoothing of a map before it is projected onto the mesh
CELL = 3.0  # side of the cells of the depth test, in mm
HIDDEN_BEHIND = 8.0
"""A vertex this much farther from the camera than the nearest surface in its cell is occluded, in mm."""
FINEST = 8  # largest number of parts that an edge is divided into

ClassDirection = Float32[np.ndarray, " dim"]
AttributionMaps = Float32[np.ndarray, "batch views height width"]


def class_direction(classes: Float[np.ndarray, "classes dim"], place: int) -> ClassDirection:
    """Embedding of one class (a row of ``classes``, unit vectors) minus the mean of the others."""
    others = np.delete(classes, place, axis=0).mean(axis=0)
    return np.asarray(classes[place] - others, np.float32)


def empty_images(images: ViewImages, options: InputOptions) -> ViewImages:
    """Reference for model inputs [batch, views, channels, size, size] without a face: background, and no motion."""
    empty = torch.zeros_like(images)
    stored = len(options.channels)
    levels = [LEVELS_MIDDLE / 127.5 - 1.0 if name == "curvature" else -1.0 for name in options.channels]
    shown = empty[:, : images.shape[1] // 2] if options.motion == "views" else empty
    shown[:, :, :stored] = torch.tensor(levels, device=images.device)[:, None, None]
    return empty


def image_attribution(
    model: ViewModel, images: ViewImages, reference: ViewImages, direction: ClassDirection, steps: int = STEPS
) -> AttributionMaps:
    """Integrated gradients of every pixel of every view, for a direction of the joint space.

    Args:
        model: Anything with ``embed_views``, in evaluation mode; its weights get no gradient.
        images: [batch, views, channels, size, size].
        reference: Of the same shape; where it is equal, the map is zero.

    Returns:
        [batch, views, size, size], channels summed; the sum of all is ``fused(images) · direction − fused(reference) ·
        direction``, up to the error of the integral.
    """
    towards = torch.from_numpy(direction).to(images.device)
    difference = images - reference
    gradient = torch.zeros_like(images)
    for step in range(steps):
        fraction = (step + 0.5) / steps
        gradient += _gradient(model, reference + fraction * difference, towards)
    maps: AttributionMaps = (gradient / steps * difference).sum(dim=2).cpu().float().numpy()
    return maps


def mesh_attribution(
    maps: Float32[np.ndarray, "views height width"], scan: FaceScan, options: RenderOptions, blur: float = BLUR
) -> Float32[np.ndarray, " vertices"]:
    """Project a face's maps onto its mesh: every vertex gets the sum over the views that see it, or zero.

    Args:
        maps: One per rendered view, in the order of ``options.angles``; motion as further views is added to its view.
        scan: The canonical scan that was rendered, mm.
        blur: Standard deviation of the smoothing, mm.

    Raises:
        ValueError: If the number of maps is no multiple of the number of views.
    """
    placed = cameras(options)
    if len(maps) % len(placed):
        raise ValueError(f"{len(maps)} maps cannot be of {len(placed)} views: {', '.join(options.angles)}.")
    of_views = maps.reshape(-1, len(placed), *maps.shape[1:]).sum(axis=0)
    normals = vertex_normals(scan.vertices, scan.faces)
    attribution = np.zeros(len(scan.vertices), np.float32)
    for camera, image in zip(placed, of_views, strict=True):
        seen = visible(scan, camera, normals)
        smooth = gaussian_filter(image, blur * len(image) / options.window)
        places = pixel_positions(scan.vertices[seen], camera, len(image))
        attribution[seen] += map_coordinates(smooth, places.T, order=1, mode="constant")
    return attribution


def pixel_positions(points: Vertices, camera: Camera, size: int) -> Float32[np.ndarray, "vertices 2"]:
    """Row and column of the projection of points, in pixels; whole numbers are the centres of pixels."""
    across, up, _ = _seen_from(points, camera).T
    scale = size / 2 / camera.half_height
    return np.stack([size / 2 - 0.5 - up * scale, size / 2 - 0.5 + across * scale], axis=1).astype(np.float32)


def visible(scan: FaceScan, camera: Camera, normals: Vertices) -> Bool[np.ndarray, " vertices"]:
    """Whether a camera sees each vertex of a scan (mm, in its frame): it faces the camera and is not occluded."""
    places, away = _cells(scan.vertices, camera)
    surface, depths = _cells(_spread(scan), camera)
    low = np.minimum(surface.min(axis=0), places.min(axis=0))
    width, height = np.maximum(surface.max(axis=0), places.max(axis=0)) - low + 1
    nearest = np.full(width * height, np.inf)
    np.minimum.at(nearest, (surface - low) @ (1, width), depths)
    hidden = away > nearest[(places - low) @ (1, width)] + HIDDEN_BEHIND
    towards = np.asarray(camera.position) - (scan.vertices if camera.field_of_view else np.asarray(camera.target))
    return np.asarray(((normals * towards).sum(axis=1) > 0) & ~hidden)


def view_weights(model: Any, views: Sequence[str], options: InputOptions) -> dict[str, float]:
    """Softmax weights of a model's view fusion, which sum to one; of attention, the content-independent part."""
    names = options.view_names(views)
    weights = torch.softmax(model.image.fusion.view_scores.detach().float().cpu(), dim=0).tolist()
    if len(weights) != len(names):
        raise ValueError(f"The model weighs {len(weights)} views; the images have {len(names)}: {', '.join(names)}.")
    return dict(zip(names, weights, strict=True))


def _gradient(model: ViewModel, images: ViewImages, towards: Tensor) -> ViewImages:
    images = images.detach().requires_grad_(True)
    with torch.enable_grad():
        score = (model.embed_views(images).fused @ towards).sum()
    return torch.autograd.grad(score, images)[0]


def _seen_from(points: Vertices, camera: Camera) -> Float[np.ndarray, "vertices 3"]:
    """Points in the camera's frame: to its right, up, towards it; mm at the target, where the lens has no angle."""
    position, target = np.asarray(camera.position), np.asarray(camera.target)
    towards = (position - target) / camera.distance
    across = np.cross([0.0, 1.0, 0.0], towards)
    right = across / np.linalg.norm(across)
    axes = np.stack([right, np.cross(towards, right), towards])
    seen = (points - target) @ axes.T
    if camera.field_of_view:
        seen[:, :2] *= (camera.distance / (camera.distance - seen[:, 2]))[:, None]
    return np.asarray(seen)


def _cells(points: Vertices, camera: Camera) -> tuple[Int64[np.ndarray, "points 2"], Float[np.ndarray, " points"]]:
    """Cell of each point, and its distance behind the camera's target."""
    seen = _seen_from(points, camera)
    return np.floor(seen[:, :2] / CELL).astype(np.int64), -seen[:, 2]


def _spread(scan: FaceScan) -> Vertices:
    """Points that sample the surface about a cell apart, whatever the triangles' size."""
    corners = scan.vertices[scan.faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.clip(np.ceil(longest / CELL), 1, FINEST).astype(int)
    return np.concatenate([_lattice(corners[parts == count], count) for count in np.unique(parts)])


def _lattice(corners: Float32[np.ndarray, "faces 3 3"], parts: int) -> Vertices:
    """Points of every triangle, corners included, with each side divided into so many parts."""
    weights = [(a, b, parts - a - b) for a in range(parts + 1) for b in range(parts + 1 - a)]
    points = np.einsum("lc,fcx->lfx", np.array(weights, np.float32) / parts, corners)
    return np.asarray(points.reshape(-1, 3), np.float32)
