import dataclasses

import numpy as np
import pytest
from scan_files import bumpy_grid

from affect4d.scans.alignment.repair import repair
from affect4d.scans.scan import FaceScan

GRID = bumpy_grid(90)
MIDDLE = 45 * 90 + 60


def lifted(vertex, height):
    vertices = GRID.vertices.copy()
    vertices[vertex, 2] += height
    return dataclasses.replace(GRID, vertices=vertices)


def joined(first, second):
    return FaceScan(
        np.concatenate([first.vertices, second.vertices]),
        np.concatenate([first.faces, second.faces + np.int32(len(first.vertices))]),
        np.concatenate([first.texture_coordinates, second.texture_coordinates]),
    )


def test_a_sound_mesh_is_left_as_it_is():
    mended = repair(GRID)
    assert mended.scan is GRID
    assert mended.notes == ()


@pytest.mark.parametrize("number", range(6))
def test_generated_faces_have_nothing_to_mend(face, number):
    assert repair(face(number)).notes == ()


@pytest.mark.parametrize("height", [9.0, -9.0, 40.0, 3000.0])
def test_a_spike_is_pressed_down_to_its_neighbours(height):
    mended = repair(lifted(MIDDLE, height))
    assert mended.notes == ("1 spike pressed down",)
    assert np.abs(mended.scan.vertices - GRID.vertices).max() < 0.5
    np.testing.assert_array_equal(mended.scan.faces, GRID.faces)
    np.testing.assert_array_equal(mended.scan.texture_coordinates, GRID.texture_coordinates)


def test_several_spikes_are_pressed_down():
    vertices, chosen = GRID.vertices.copy(), [2000, 3005, 4111, 5240]
    vertices[chosen, 2] += 15
    mended = repair(dataclasses.replace(GRID, vertices=vertices))
    assert mended.spikes == 4
    assert np.abs(mended.scan.vertices - GRID.vertices).max() < 1


def test_noise_is_no_spike():
    noise = np.random.default_rng(0).normal(0, 0.4, GRID.vertices.shape).astype(np.float32)
    assert repair(dataclasses.replace(GRID, vertices=GRID.vertices + noise)).spikes == 0


def test_the_flat_middle_of_a_fan_is_no_spike():
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    rim = np.stack([20 * np.cos(angles), 20 * np.sin(angles), 0 * angles], axis=1)
    vertices = np.concatenate([[[0, 0, 0.5]], rim]).astype(np.float32)
    around = np.arange(60, dtype=np.int32)
    fan = FaceScan(vertices, np.stack([0 * around, around + 1, (around + 1) % 60 + 1], axis=1).astype(np.int32))
    assert repair(fan).notes == ()


def test_bridges_over_a_gap_are_cut():
    far = dataclasses.replace(GRID, vertices=GRID.vertices + np.float32([0, 0, -60]))
    both = joined(GRID, far)
    bridge = np.int32([[100, 101, len(GRID.vertices) + 100], [101, len(GRID.vertices) + 101, len(GRID.vertices) + 100]])
    mended = repair(dataclasses.replace(both, faces=np.concatenate([both.faces, bridge])))
    assert mended.notes == ("2 bridging triangles cut",)
    np.testing.assert_array_equal(mended.scan.faces, both.faces)


def test_large_well_shaped_triangles_are_no_bridges():
    coarse = bumpy_grid(8)
    assert repair(joined(GRID, coarse)).bridges == 0


def test_debris_is_dropped_and_large_pieces_stay():
    crumb = bumpy_grid(4)
    crumb = dataclasses.replace(crumb, vertices=crumb.vertices * np.float32(0.05) + np.float32([0, 0, 40]))
    large = bumpy_grid(30)
    large = dataclasses.replace(large, vertices=large.vertices + np.float32([0, 0, -80]))
    mended = repair(joined(joined(GRID, crumb), large))
    assert mended.notes == ("1 loose piece dropped",)
    assert len(mended.scan.vertices) == len(GRID.vertices) + len(large.vertices)
    assert len(mended.scan.texture_coordinates) == len(mended.scan.vertices)


def test_pieces_that_only_a_texture_seam_parts_are_one():
    corners = GRID.vertices[GRID.faces].reshape(-1, 3)
    uv = GRID.texture_coordinates[GRID.faces].reshape(-1, 2)
    split = FaceScan(corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3), uv)
    assert repair(split).notes == ()


def test_holes_stay_holes():
    middle = GRID.vertices[GRID.faces].mean(axis=1)
    holed = dataclasses.replace(GRID, faces=GRID.faces[np.hypot(middle[:, 0] - 30, middle[:, 1]) > 12])
    np.testing.assert_array_equal(repair(holed).scan.faces, holed.faces)


def test_hundreds_of_spikes_are_pressed_down_at_once():
    vertices = GRID.vertices.copy()
    vertices.reshape(90, 90, 3)[2:-2:4, 2:-2:4, 2] += 25
    assert repair(dataclasses.replace(GRID, vertices=vertices)).spikes > 400


def test_the_smallest_meshes_pass():
    one = FaceScan(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.int32([[0, 1, 2]]))
    assert repair(one).scan is one
    flat = FaceScan(np.zeros((3, 3), np.float32), np.int32([[0, 1, 2]]))
    assert repair(flat).notes == ()
