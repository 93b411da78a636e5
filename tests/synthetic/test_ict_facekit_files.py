"""A clone of ICT-FaceKit that is not whole, or not itself: what is said of it; needs none."""

import os

import numpy as np
import pytest

from affect4d.synthetic.ict_facekit_files import EYE_VERTICES, _mode_files, _moved, _topology, _vertices, ict_digests


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "FaceXModel"
    place.mkdir()
    (place / "generic_neutral_mesh.obj").write_text("v 1 2 3\n")
    return place


def test_identity_modes_are_read_in_order(folder):
    for number in (1, 0, 2):
        (folder / f"identity{number:03d}.obj").touch()
    assert [path.name for path in _mode_files(folder)] == ["identity000.obj", "identity001.obj", "identity002.obj"]


def test_an_identity_mode_that_is_missing_is_named(folder):
    """Without it, every later mode would be another one's."""
    with pytest.raises(ValueError, match=r"no identity modes \(identity000"):
        _mode_files(folder)
    for number in (0, 1, 3):
        (folder / f"identity{number:03d}.obj").touch()
    with pytest.raises(ValueError, match=r"no identity002\.obj in .*the clone is incomplete"):
        _mode_files(folder)


def test_the_fingerprint_sees_what_is_in_a_file(folder):
    mesh = folder / "generic_neutral_mesh.obj"
    first = ict_digests(str(folder.parent))
    assert ict_digests(str(folder.parent)) == first
    mesh.write_text("v 9 2 3\n")
    os.utime(mesh, ns=(1, 1))
    assert ict_digests(str(folder.parent)) != first


def test_damaged_files_are_named(folder):
    whole = "v 1 2 3\n" * EYE_VERTICES.stop
    mesh = folder / "identity000.obj"
    mesh.write_text(whole + "v 1 x2 3\n")
    with pytest.raises(ValueError, match=r"identity000\.obj is damaged"):
        _vertices(mesh)
    mesh.write_text("v 1 2 3\n")
    with pytest.raises(ValueError, match=r"identity000\.obj: 1 vertices, where ICT-FaceKit has 26,719"):
        _vertices(mesh)
    mesh.write_text(whole)
    with pytest.raises(ValueError, match=r"identity000\.obj has 24,591 vertices, and the neutral mesh 24,592"):
        _moved(mesh, np.zeros((EYE_VERTICES.stop + 1, 3)))
    with pytest.raises(ValueError, match=r"identity000\.obj has not the faces"):
        _topology(mesh)
