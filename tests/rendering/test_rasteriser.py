import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from generated_surface import bumpy_scan

from affect4d.rendering.cameras_and_render_backends import Renderer, RenderError, cameras
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.rasteriser import NO_TRIANGLE, project, visible_triangles
from affect4d.scans.scan import FaceScan

SIZE = 24


def camera_of(**options):
    return cameras(RenderOptions(size=SIZE, angles={"left": -40.0}, **options))[0]


def nearest_by_definition(points, faces, size):
    """Every pixel's middle against every triangle, by barycentric coordinates from a linear system."""
    shown, best = np.full((size, size), NO_TRIANGLE), np.full((size, size), -np.inf)
    for face, corners in enumerate(points[faces]):
        system = np.vstack([corners[:, :2].T, np.ones(3)])
        if abs(np.linalg.det(system)) < 1e-9:
            continue
        for row in range(size):
            for column in range(size):
                shares = np.linalg.solve(system, (column + 0.5, row + 0.5, 1.0))
                near = shares @ corners[:, 2]
                if (shares >= 0).all() and near > best[row, column]:
                    shown[row, column], best[row, column] = face, near
    return shown, best


@pytest.mark.parametrize("lens", [0.0, 30.0])
def test_the_nearest_triangle_is_that_of_the_definition(lens):
    generator, camera = np.random.default_rng(4), camera_of(field_of_view=lens)
    vertices = generator.uniform(-60, 60, (40, 3)).astype(np.float32)
    faces = generator.permuted(np.tile(np.arange(40, dtype=np.int32), (25, 1)), axis=1)[:, :3].copy()
    points = project(vertices, camera, SIZE)
    shown, near = visible_triangles(points, faces, camera, SIZE)
    expected, best = nearest_by_definition(points, faces, SIZE)
    assert (expected != NO_TRIANGLE).mean() > 0.15
    assert np.array_equal(shown, expected)
    assert near[shown != NO_TRIANGLE] == pytest.approx(best[shown != NO_TRIANGLE])


def test_a_lens_projects_as_a_pinhole_does():
    camera = camera_of(field_of_view=30.0)
    vertices = np.random.default_rng(0).uniform(-50, 50, (20, 3)).astype(np.float32)
    towards = (np.array(camera.position) - camera.target) / camera.distance
    across = np.cross((0, 1, 0), towards) / np.linalg.norm(np.cross((0, 1, 0), towards))
    rays = vertices - np.array(camera.position)
    away = -(rays @ towards)
    focal = SIZE / 2 / np.tan(np.radians(15))
    points = project(vertices, camera, SIZE)
    assert points[:, 0] == pytest.approx(SIZE / 2 + focal * (rays @ across) / away)
    assert points[:, 1] == pytest.approx(SIZE / 2 - focal * (rays @ np.cross(towards, across)) / away)
    assert points[:, 2] == pytest.approx(1 / away)


def test_neighbours_leave_no_gap_wherever_they_lie():
    generator, camera = np.random.default_rng(1), cameras(RenderOptions(size=64, angles={"front": 0}))[0]
    for _ in range(20):
        grid = np.stack(np.meshgrid(np.linspace(-80, 80, 30), np.linspace(-80, 80, 30)), -1).reshape(-1, 2)
        turn = generator.uniform(0, 2 * np.pi)
        turned = grid @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        vertices = np.column_stack([turned, generator.uniform(-3, 3, len(grid))]).astype(np.float32)
        corner = np.arange(900).reshape(30, 30)
        squares = [corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]]
        low, right, high, left = (square.ravel() for square in squares)
        faces = np.concatenate([np.stack(t, -1) for t in ((low, right, high), (low, high, left))]).astype(np.int32)
        shown, _ = visible_triangles(project(vertices, camera, 64), faces, camera, 64)
        assert (shown[20:44, 20:44] != NO_TRIANGLE).all()


def test_what_lies_behind_the_camera_or_has_no_area_is_not_drawn():
    camera = camera_of(field_of_view=60.0)
    behind = np.array(camera.position) * 1.5
    vertices = np.array([(0, 0, 0), (40, 0, 0), (0, 40, 0), behind, (20, 0, 0)], np.float32)
    points = project(vertices, camera, SIZE)
    assert np.isnan(points[3]).all()
    faces = np.array([(0, 1, 3), (0, 1, 1), (0, 4, 1)], np.int32)
    assert (visible_triangles(points, faces, camera, SIZE)[0] == NO_TRIANGLE).all()


def test_a_triangle_far_larger_than_the_image_fills_it():
    vertices = np.array([(-1e7, -1e7, 0), (1e7, -1e7, 0), (0, 1e7, 0)], np.float32)
    images = Renderer(RenderOptions(size=16)).render(FaceScan(vertices, np.array([(0, 1, 2)], np.int32)))
    assert (images["texture"] == 128).all()


@pytest.mark.parametrize("changes", [{}, {"field_of_view": 25.0, "angles": {"above": {"yaw": 0, "pitch": 30}}}])
def test_the_processor_draws_what_an_opengl_driver_draws(changes, opengl):
    scan, channels = bumpy_scan(lopsided=6), ("texture", "normals", "shading", "depth")
    drawn = [
        Renderer(RenderOptions(size=96, channels=channels, device=device, **changes)).render(scan)
        for device in ("cpu", opengl)
    ]
    for channel in channels:
        ours, drivers = (images[channel].astype(int) for images in drawn)
        apart = np.abs(ours - drivers).max(axis=-1)
        most = 3 if channel == "shading" else 2  # one step of a normal is two to three levels of shading
        assert (apart <= most).mean() >= 0.995, channel
        assert (ours != 0).any()


def test_an_array_in_another_order_is_drawn_the_same():
    scan = bumpy_scan()
    other = dataclasses.replace(scan, vertices=np.asfortranarray(scan.vertices), faces=scan.faces[::-1][::-1])
    rasteriser = Renderer(RenderOptions(size=32))
    assert np.array_equal(rasteriser.render(scan)["texture"], rasteriser.render(other)["texture"])


def test_no_graphics_library_is_loaded_for_the_processor(run_python):
    program = (
        "import sys; from affect4d.rendering.options import RenderOptions; "
        "from affect4d.rendering.cameras_and_render_backends import Renderer; Renderer(RenderOptions(size=16)); "
        "print([name for name in sys.modules if name.startswith(('vtk', 'pyvista'))])"
    )
    assert run_python(program) == "[]"


@pytest.fixture
def opengl():
    """The device that leaves the choice to the driver, where there is one."""
    try:
        Renderer(RenderOptions(size=16, device=-1)).close()
    except RenderError as error:
        pytest.skip(str(error))
    return -1


@pytest.fixture
def run_python():
    """Run a line of Python in a process of its own; what it printed."""

    def run(program):
        command = [sys.executable, "-c", program]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()

    return run
