"""ICT-FaceKit as a face model; tests of mark ``corpus`` need a clone, or a cut of it, that AFFECT4D_ICT names."""

import os

import numpy as np
import pytest

from affect4d.scans.landmark_names import LANDMARK_COUNT, NAMED
from affect4d.synthetic.action_units import ACTION_UNITS, weights_of
from affect4d.synthetic.face_model_and_skin_coordinates import DENSITIES
from affect4d.synthetic.ict_facekit import (
    EYE_VERTICES,
    IctFace,
    _topology,
    displacements_of,
    ict_digests,
    load_geometry,
    mode_files,
    read_vertices,
)

NEUTRAL = np.zeros(len(ACTION_UNITS))


@pytest.fixture(scope="module")
def face():
    folder = os.environ.get("AFFECT4D_ICT")
    if folder is None:
        pytest.skip("AFFECT4D_ICT names no clone of ICT-FaceKit")
    return IctFace(folder)


def moved(face: IctFace, weights: np.ndarray) -> np.ndarray:
    mean = np.zeros(face.shape_count)
    return face.surface(mean, weights, 0).landmarks - face.surface(mean, NEUTRAL, 0).landmarks


@pytest.mark.corpus
def test_every_action_has_a_shape(face):
    mean = np.zeros(face.shape_count)
    for action in ACTION_UNITS:
        weights = weights_of({action: 1.0})
        change = face.surface(mean, weights, 0).vertices - face.surface(mean, NEUTRAL, 0).vertices
        assert np.linalg.norm(change, axis=1).max() > 1.5, action


@pytest.mark.corpus
def test_expressions_look_as_they_should(face):
    smile = moved(face, weights_of({"AU12": 1.0}))
    gape = moved(face, weights_of({"AU26": 1.0}))
    frown = moved(face, weights_of({"AU4": 1.0}))
    assert smile[NAMED["left_mouth_corner"], 1] > 4.0
    assert gape[NAMED["chin"], 1] < -10.0
    assert frown[NAMED["left_brow_inner"], 1] < -2.0


@pytest.mark.corpus
def test_signed_actions_slide_to_the_left_of_the_subject(face):
    for action in ("jaw_left", "mouth_left"):
        assert moved(face, weights_of({action: 1.0}))[NAMED["lower_lip_bottom"], 0] > 2.0


@pytest.mark.corpus
def test_meshes_are_sound_and_of_several_densities(face):
    counts = []
    for density in range(DENSITIES):
        surface = face.surface(np.zeros(face.shape_count), NEUTRAL, density)
        assert surface.landmarks.shape == (LANDMARK_COUNT, 3)
        assert surface.faces.max() < len(surface.vertices) == len(surface.texture_coordinates)
        assert len(surface.vertices) < 4_500
        counts.append(len(surface.vertices))
    assert counts == sorted(counts, reverse=True)


@pytest.mark.corpus
def test_nobody_has_eyes_or_teeth_on_the_chin(face):
    surface = face.surface(np.zeros(face.shape_count), NEUTRAL, 0)
    below = surface.vertices[:, 1] < -80.0
    assert below.any()
    assert surface.texture_coordinates[below, 1].min() > 0.2


@pytest.mark.corpus
def test_files_as_published_give_the_same_face_as_files_cut_to_their_vertices(ict_folder, tmp_path):
    """A published file repeats topology and texture coordinates; a full clone has more identity modes."""
    cut, whole = ict_folder / "FaceXModel", tmp_path / "FaceXModel"
    whole.mkdir()
    neutral = (cut / "generic_neutral_mesh.obj").read_text()
    rest = "".join(line for line in neutral.splitlines(keepends=True) if line.startswith(("vt ", "f ", "usemtl ")))
    for path in cut.glob("*.obj"):
        text = path.read_text()
        (whole / path.name).write_text(text if "\nf " in text else text + rest)
    more = len(list(cut.glob("identity[0-9]*.obj")))
    (whole / f"identity{more:03d}.obj").write_text((whole / "identity000.obj").read_text())
    ours, theirs = load_geometry(whole), load_geometry(cut)
    assert len(ours.identity) == len(theirs.identity) + 1
    np.testing.assert_array_equal(ours.identity[: len(theirs.identity)], theirs.identity)
    np.testing.assert_array_equal(ours.actions, theirs.actions)
    np.testing.assert_array_equal(ours.faces, theirs.faces)
    np.testing.assert_array_equal(ours.texture, theirs.texture)


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("missing", "action"), [("mouthSmile_L", "AU12_L"), ("jawOpen", "AU26"), ("mouthUpperUp_R", "AU10_R")]
)
def test_a_shape_that_a_clone_lacks_is_named(ict_folder, tmp_path, missing, action):
    for path in (ict_folder / "FaceXModel").glob("*.obj"):
        if path.stem != missing:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(ValueError, match=rf"no {missing}\.obj, of which {action} is made, in {tmp_path}"):
        load_geometry(tmp_path)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "FaceXModel"
    place.mkdir()
    (place / "generic_neutral_mesh.obj").write_text("v 1 2 3\n")
    return place


def test_identity_modes_are_read_in_order(folder):
    for number in (1, 0, 2):
        (folder / f"identity{number:03d}.obj").touch()
    assert [path.name for path in mode_files(folder)] == ["identity000.obj", "identity001.obj", "identity002.obj"]


def test_an_identity_mode_that_is_missing_is_named(folder):
    """Without it, every later mode would be another one's."""
    with pytest.raises(ValueError, match=r"no identity modes \(identity000"):
        mode_files(folder)
    for number in (0, 1, 3):
        (folder / f"identity{number:03d}.obj").touch()
    with pytest.raises(ValueError, match=r"no identity002\.obj in .*the clone is incomplete"):
        mode_files(folder)


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
        read_vertices(mesh)
    mesh.write_text("v 1 2 3\n")
    with pytest.raises(ValueError, match=r"identity000\.obj: 1 vertices, where ICT-FaceKit has 26,719"):
        read_vertices(mesh)
    mesh.write_text(whole)
    with pytest.raises(ValueError, match=r"identity000\.obj has 24,591 vertices, and the neutral mesh 24,592"):
        displacements_of(mesh, np.zeros((EYE_VERTICES.stop + 1, 3)))
    with pytest.raises(ValueError, match=r"identity000\.obj has not the faces"):
        _topology(mesh)
