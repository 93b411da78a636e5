"""The committed mean face is the procedural face's: measured here again, by other means."""

import numpy as np
from scipy.interpolate import LinearNDInterpolator

from affect4d.scans.alignment.align import fit_landmarks
from affect4d.scans.alignment.mean_face import MEAN_DEPTHS, STEP, TOP, mean_surface
from affect4d.scans.geometry import apply_pose
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.procedural_face import SAMPLINGS, ProceduralFace


def measured_depths() -> list[tuple[float, ...]]:
    """The rows of ``MEAN_DEPTHS``: mean identity at rest, landmarks aligned, the foremost surface over each place."""
    model = ProceduralFace()
    meshes = [
        model.surface(np.zeros(model.shape_count), np.zeros(len(ACTION_UNITS)), number) for number in range(SAMPLINGS)
    ]
    points = np.concatenate([apply_pose(mesh.vertices, fit_landmarks(mesh.landmarks).pose) for mesh in meshes])
    points = np.concatenate([points, points * np.float32([-1, 1, 1])])
    cell = np.round(points[:, :2] / 1.5)
    order = np.lexsort((points[:, 2], cell[:, 1], cell[:, 0]))
    foremost = order[np.append((np.diff(cell[order], axis=0) != 0).any(axis=1), True)]
    front = points[foremost]
    inside_mouth = (np.abs(front[:, 0]) < 28) & (np.abs(front[:, 1] + 37) < 6) & (front[:, 2] < -26.5)
    surface = LinearNDInterpolator(front[~inside_mouth, :2], front[~inside_mouth, 2])
    around = np.array([(0, 0), (1.5, 0), (-1.5, 0), (0, 1.5), (0, -1.5)])
    return [
        tuple(surface(around + np.array([STEP * column, TOP - STEP * row])).mean() for column in range(len(depths)))
        for row, depths in enumerate(MEAN_DEPTHS)
    ]


def test_mean_depths_are_those_of_the_procedural_face():
    measured = np.concatenate(measured_depths())
    committed = np.concatenate(MEAN_DEPTHS)
    difference = (measured - committed)[np.isfinite(measured)]
    assert np.isfinite(measured).mean() > 0.95
    assert np.sqrt(np.mean(difference**2)) < 2.5
    assert abs(np.median(difference)) < 1.0


def test_planes_lie_on_the_depths():
    surface = mean_surface()
    for row in (2, 8, 15, 20):
        for column, depth in enumerate(MEAN_DEPTHS[row][:6]):
            for side in (-1, 1):
                point = np.array([side * STEP * column, TOP - STEP * row, depth])
                plane = surface.planes[surface.cells(point)]
                assert abs(plane[:3] @ point + plane[3]) < 0.2
                assert plane[2] > 0.3


def test_points_beside_the_face_are_far_from_it():
    surface = mean_surface()
    beside = np.array([[500.0, 0, 0], [0, -300, 0], [-63, 66, -60], [0, 0, 0]])
    distances = np.abs(
        (surface.planes[surface.cells(beside)][:, :3] * beside).sum(axis=1)
        + surface.planes[surface.cells(beside)][:, 3]
    )
    assert (distances[:3] > 1e5).all()
    assert distances[3] < 10


def test_the_share_seen_counts_what_is_there():
    surface = mean_surface()
    y, x = np.mgrid[-90:75:3, -66:67:3]
    shell = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1).astype(float)
    planes = surface.planes[surface.cells(shell)]
    on = planes[:, 2] > 0
    shell[on, 2] = -(planes[on, 3] + planes[on, 0] * shell[on, 0] + planes[on, 1] * shell[on, 1]) / planes[on, 2]
    assert surface.share_covered(shell, 1.0) == 1.0
    assert 0.45 < surface.share_covered(shell[shell[:, 0] > 0], 1.0) < 0.6
    assert surface.share_covered(shell + np.array([0, 0, 50]), 6.0) < 0.2
