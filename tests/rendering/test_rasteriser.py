import dataclasses
from pathlib import Path

import numpy as np
import pytest
from generated_surface import bumpy_scan
from PIL import Image

from affect4d.rendering import rasteriser
from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.pictures import RenderError
from affect4d.rendering.rasteriser import Rasteriser, encode_normals, shrink_texture
from affect4d.scans.scan import FaceScan

GOLDEN = Path(__file__).parent / "golden" / "bumpy.png"
FRONT, LEFT, RIGHT = range(3)


def sheet(pictures):
    return np.concatenate([np.concatenate(list(pictures[kind]), axis=1) for kind in ("texture", "normals")])


def test_the_bumpy_surface_looks_as_it_always_did(draw):
    golden = np.asarray(Image.open(GOLDEN)).astype(int)
    assert np.abs(sheet(draw(bumpy_scan(lopsided=6))).astype(int) - golden).mean() < 1.0


def test_mirrored_left_picture_of_a_symmetric_face_is_its_right_picture(draw):
    pictures = draw(bumpy_scan())
    flipped = pictures["texture"][LEFT][:, ::-1].astype(int)
    assert (np.abs(flipped - pictures["texture"][RIGHT]).max(axis=-1) > 8).mean() < 0.02


def test_mirrored_normals_of_a_symmetric_face_have_the_other_sign_in_x(draw):
    pictures = draw(bumpy_scan())
    flipped = pictures["normals"][LEFT][:, ::-1].astype(int)
    flipped[..., 0] = 256 - flipped[..., 0]
    assert (np.abs(flipped - pictures["normals"][RIGHT]).max(axis=-1) > 8).mean() < 0.02


def test_drawing_again_gives_the_same_pixels(draw):
    first, other, again = draw(bumpy_scan()), draw(bumpy_scan(lopsided=9)), draw(bumpy_scan())
    assert np.array_equal(first["texture"], again["texture"])
    assert np.array_equal(first["normals"], again["normals"])
    assert not np.array_equal(first["normals"], other["normals"])


def test_connectivity_may_change_from_frame_to_frame(draw):
    scan = bumpy_scan()
    half = draw(dataclasses.replace(scan, faces=scan.faces[: len(scan.faces) // 2]))
    whole = draw(scan)
    assert (half["normals"] == 128).all(axis=-1).mean() > (whole["normals"] == 128).all(axis=-1).mean()


def test_backgrounds_are_black_and_the_zero_normal(draw):
    pictures = draw(bumpy_scan())
    assert (pictures["texture"][:, 0, 0] == 0).all()
    assert (pictures["normals"][:, 0, 0] == 128).all()


def test_normals_have_unit_length_on_the_face(draw):
    normals = draw(bumpy_scan())["normals"]
    on_face = (normals != 128).any(axis=-1)
    length = np.linalg.norm((normals[on_face].astype(float) - 128) / 127, axis=-1)
    assert np.median(length) == pytest.approx(1, abs=0.01)
    assert length.min() > 0.5, "interpolated across the sharpest ridge"


def test_a_scan_without_texture_is_mid_grey_and_the_next_one_has_its_colours(draw):
    bare, dressed = draw(bumpy_scan(textured=False)), draw(bumpy_scan())
    assert set(np.unique(bare["texture"])) == {0, 128}
    assert dressed["texture"][FRONT].max() > 200


def test_texture_stands_upright(draw):
    front = draw(bumpy_scan())["texture"][FRONT].astype(int)
    red = (front[..., 0] - front[..., 1]) > 120
    assert np.nonzero(red)[0].mean() < 32, "the red band is in the upper half of the texture, and of the face"


def test_sizes_are_metric():
    options = RenderOptions(size=100, window=200, centre_height=0, angles={"front": 0})
    square = np.array([(-50, -50, 0), (50, -50, 0), (50, 50, 0), (-50, 50, 0)], np.float32)
    pictures = Rasteriser(options).render(FaceScan(square, np.array([(0, 1, 2), (0, 2, 3)], np.int32)))
    assert (pictures["texture"][0, ..., 0] > 0).sum() == pytest.approx(50 * 50, rel=0.03)


def test_a_flipped_sign_is_a_mirrored_colour():
    normals = np.array([[0.3, -0.9, 0.0]], np.float32)
    assert (encode_normals(normals).astype(int) - 128 == 128 - encode_normals(-normals).astype(int)).all()


def test_textures_are_averaged_down_to_what_a_picture_can_show():
    stripes = np.zeros((400, 600, 3), np.uint8)
    stripes[:, ::2] = 200
    small = shrink_texture(stripes, 100)
    assert small.shape == (100, 150, 3)
    assert set(np.unique(small)) == {100}


def test_a_machine_without_opengl_is_told_which_package_brings_it(monkeypatch):
    monkeypatch.setattr(rasteriser, "_loads", lambda library: False)
    monkeypatch.setattr(rasteriser.sys, "platform", "linux")
    monkeypatch.delenv("VTK_DEFAULT_OPENGL_WINDOW", raising=False)
    with pytest.raises(RenderError, match="libegl1"):
        Rasteriser(RenderOptions(size=16))
