import base64
import dataclasses
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from affect4d.app.figures import (
    ACTIONS,
    FOR,
    IMAGE_SIDE,
    TRIANGLES,
    action_unit_chart,
    display_mesh,
    face_figure,
    live_chart,
    sheet_rows,
    view_sheet,
)
from affect4d.rendering.options import RenderOptions
from affect4d.views.input_options import InputOptions

SIDE = 16


def answered(drawn, channels):
    """What :func:`view_sheet` needs of an answer: one frame, three views."""
    rng = np.random.default_rng(0)
    depth = {"depth": rng.integers(1, 2**16, (1, 3, SIDE, SIDE, 1), dtype=np.uint16)}
    pictures = {name: rng.integers(0, 256, (1, 3, SIDE, SIDE, 3), dtype=np.uint8) for name in drawn if name != "depth"}
    description = SimpleNamespace(
        render=RenderOptions(size=SIDE, channels=drawn), inputs=InputOptions(channels=channels)
    )
    pictures |= depth if "depth" in drawn else {}
    return SimpleNamespace(
        predictor=SimpleNamespace(description=description), prepared=SimpleNamespace(images=pictures)
    )


@pytest.mark.parametrize(
    ("drawn", "channels", "rows"),
    [
        (("texture", "normals"), ("grey", "shading", "curvature"), ["skin", "shading", "curvature"]),
        (("texture", "normals"), ("grey",), ["skin"]),
        (("normals",), ("shading",), ["shading"]),
        (("depth",), ("depth",), ["depth"]),
    ],
)
def test_the_sheet_shows_what_the_model_sees_whatever_was_drawn(drawn, channels, rows):
    answer = answered(drawn, channels)
    assert sheet_rows(answer) == rows
    picture = Image.open(io.BytesIO(base64.b64decode(view_sheet(answer, 0).partition(",")[2])))
    assert picture.size == (3 * IMAGE_SIDE, len(rows) * IMAGE_SIDE)


@pytest.fixture
def grid(scan_files):
    texture = np.zeros((10, 10, 3), np.uint8)
    texture[:5] = (250, 10, 10)  # the upper half is red
    return dataclasses.replace(scan_files.bumpy_grid(24), texture=texture)


def test_a_coarse_mesh_is_divided_so_that_its_texture_shows(grid):
    columns, faces = display_mesh(grid)
    assert TRIANGLES / 4 < len(faces) <= TRIANGLES
    assert set(map(tuple, grid.vertices.tolist())) <= set(map(tuple, columns[:, :3].tolist()))
    assert area(columns, faces) == pytest.approx(area(grid.vertices, grid.faces), rel=1e-4)


def test_a_fine_mesh_is_thinned_and_keeps_its_shape(scan_files):
    fine = scan_files.bumpy_grid(260)
    columns, faces = display_mesh(fine)
    assert len(fine.faces) > TRIANGLES
    assert TRIANGLES / 4 < len(faces) <= TRIANGLES
    assert faces.max() < len(columns)
    assert area(columns, faces) == pytest.approx(area(fine.vertices, fine.faces), rel=0.05)
    assert len(display_mesh(fine, triangles=5_000)[1]) <= 5_000


def test_the_skin_has_the_colours_of_the_texture(grid):
    mesh = face_figure(grid, "skin").data[0]
    upper = np.asarray(mesh.y) > 10
    assert {mesh.vertexcolor[place] for place in np.flatnonzero(upper)} == {"#fa0a0a"}
    assert {mesh.vertexcolor[place] for place in np.flatnonzero(np.asarray(mesh.y) < -10)} == {"#000000"}


def test_landmarks_are_drawn_where_the_face_has_them_and_only_if_asked(grid):
    marked = dataclasses.replace(grid, landmarks=np.arange(249, dtype=np.float32).reshape(83, 3))
    assert len(face_figure(marked, "skin").data) == 1
    assert len(face_figure(grid, "skin", landmarks=True).data) == 1
    dots = face_figure(marked, "skin", landmarks=True).data[1]
    np.testing.assert_array_equal(dots.y, marked.landmarks[:, 1])


def test_relevance_is_red_where_it_speaks_for_the_answer_and_pale_elsewhere(grid):
    relevance = np.where(grid.vertices[:, 0] > 60, 1.0, 0.0).astype(np.float32)
    mesh = face_figure(grid, "attribution", relevance).data[0]
    colours = np.array([[int(text[place : place + 2], 16) for place in (1, 3, 5)] for text in mesh.vertexcolor])
    x = np.asarray(mesh.x)
    assert np.abs(colours[x > 75] - FOR).max() < 60
    grey = colours[x < 0]
    assert (grey.max(axis=1) == grey.min(axis=1)).all()


def test_a_scan_without_texture_is_clay(scan_files):
    assert len(set(face_figure(scan_files.bumpy_grid(12), "skin").data[0].vertexcolor)) == 1


def area(points, faces):
    a, b, c = (points[faces[:, corner], :3].astype(float) for corner in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def test_action_units_are_bars_to_the_side_where_they_are_seen():
    right, left = action_unit_chart({"AU12_l": 0.75, "AU12_r": 0.25, "AU26": 0.5}).data
    assert list(right.y) == list(left.y) == ["12 lip corner puller", "26 jaw drop"]
    assert list(right.x) == [-0.25, -0.5]
    assert list(left.x) == [0.75, 0.5]


def test_every_action_unit_of_the_generator_has_its_name():
    from affect4d.scans.action_unit_truth import unit_name
    from affect4d.synthetic.action_units import ACTION_UNITS

    assert set(ACTIONS) == {unit_name(unit).partition("_")[0] for unit in ACTION_UNITS if unit.startswith("AU")}


def test_the_running_timeline_is_stacked_bars_that_end_now():
    figure = live_chart(np.array([-2.5, -0.5]), np.array([[0.75, 0.25], [0.5, 0.5]]), ("anger", "fear"), 60, 1)
    assert [(bars.name, list(bars.x), list(bars.y)) for bars in figure.data] == [
        ("anger", [-2.5, -0.5], [0.75, 0.5]),
        ("fear", [-2.5, -0.5], [0.25, 0.5]),
    ]
    assert figure.layout.barmode == "stack"
    assert tuple(figure.layout.xaxis.range) == (-60, 0)
    assert not live_chart(np.zeros(0), np.zeros((0, 0)), ("anger", "fear"), 60, 1).data
