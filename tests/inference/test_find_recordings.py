"""What lies at a path is told by its names."""

import pytest

from affect4d.inference.find_recordings import find_recordings, recording_of
from affect4d.scans.readers.range_image import Intrinsics


def lay(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def told(recordings):
    return {one.name: [row["scan"] for row in one.rows] for one in recordings}


def test_scans_numbered_alike_are_a_sequence_in_natural_order(tmp_path):
    root = lay(tmp_path / "anna", "f10.ply", "f9.ply", "f11.ply", "f9.jpg")
    (recording,) = find_recordings(root)
    assert told([recording]) == {"anna": ["f9.ply", "f10.ply", "f11.ply"]}
    assert recording.is_sequence
    assert [row["frame"] for row in recording.rows] == [0, 1, 2]
    assert recording.rows[0]["texture"] == "f9.jpg"


def test_a_raised_number_is_no_number(tmp_path):
    (recording,) = find_recordings(lay(tmp_path / "anna", "²10.ply", "²9.ply"))
    assert [row["scan"] for row in recording.rows] == ["²9.ply", "²10.ply"]


def test_scans_of_other_names_are_each_their_own(tmp_path):
    root = lay(tmp_path, "anna.ply", "ben.obj", "sub/happy.wrl", "sub/sad.wrl")
    assert told(find_recordings(root)) == {
        "anna.ply": ["anna.ply"],
        "ben.obj": ["ben.obj"],
        "sub/happy.wrl": ["sub/happy.wrl"],
        "sub/sad.wrl": ["sub/sad.wrl"],
    }
    assert not any(one.is_sequence or one.subject for one in find_recordings(root))


def test_a_folder_of_sequence_folders(tmp_path):
    root = lay(tmp_path, "a/000.wrl", "a/001.wrl", "b/c/7.ply", "b/c/8.ply", "alone/3.ply")
    assert told(find_recordings(root)) == {
        "a": ["a/000.wrl", "a/001.wrl"],
        "b/c": ["b/c/7.ply", "b/c/8.ply"],
        "alone/3.ply": ["alone/3.ply"],
    }


def test_the_user_has_the_last_word(tmp_path):
    root = lay(tmp_path, "a/0.wrl", "a/1.wrl", "b/x.wrl", "b/y.wrl")
    assert len(find_recordings(root, grouping="single")) == 4
    assert set(told(find_recordings(root, grouping="sequences"))) == {"a", "b"}


def test_a_table_tells_subjects_and_sequences(tmp_path):
    root = lay(tmp_path, "x.ply", "y.ply", "z.ply")
    (root / "scans.csv").write_text(
        "file,subject,sequence,frame\nx.ply,anna,one,0\ny.ply,anna,one,5\nz.ply,ben,two,0\n"
    )
    first, second = find_recordings(root)
    assert (first.name, first.subject, [row["frame"] for row in first.rows]) == ("one", "anna", [0, 5])
    assert (second.name, second.is_sequence) == ("two", False)


def test_one_file_finds_its_picture_and_landmarks(tmp_path):
    root = lay(tmp_path, "Face.WRL", "face.jpg", "face.bnd")
    (recording,) = find_recordings(root / "Face.WRL")
    row = recording.rows[0]
    assert (row["texture"], row["landmark_file"]) == ("face.jpg", "face.bnd")
    assert recording.source.locate(row) == root / "Face.WRL"


def test_given_scans_of_several_folders_keep_their_places(tmp_path):
    root = lay(tmp_path, "a/1.ply", "b/1.ply", "b/1.png")
    recording = recording_of([root / "a/1.ply", root / "b/1.ply"])
    assert [recording.source.locate(row) for row in recording.rows] == [root / "a/1.ply", root / "b/1.ply"]
    assert recording.rows[1]["texture"] == "b/1.png"


def test_what_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*input="):
        find_recordings(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="is empty: give a scan, or a folder of scans"):
        find_recordings(tmp_path)
    lay(tmp_path, "notes.txt")
    with pytest.raises(FileNotFoundError, match=r"1 files, e\.g\. notes\.txt.*\.wrl"):
        find_recordings(tmp_path)
    with pytest.raises(ValueError, match=r"cave.*Known"):
        find_recordings(tmp_path, layout="cave")
    with pytest.raises(ValueError, match="at least one"):
        recording_of([])


def test_a_corpus_whose_names_nobody_publishes_is_found_by_its_pattern(tmp_path):
    root = lay(tmp_path, "s1/smile/1.obj", "s1/smile/2.obj", "s2/frown/1.obj")
    with pytest.raises(ValueError, match="corpus_pattern"):
        find_recordings(root, layout="fourdme")
    found = find_recordings(root, layout="fourdme", pattern="{subject}/{clip}/{frame}.obj")
    assert [(one.subject, len(one.rows)) for one in found] == [("s1", 2), ("s2", 1)]


def test_depth_pictures_keep_their_camera_one_by_one_too(tmp_path):
    root = lay(tmp_path, "spNO.1/a/depth/7.png", "spNO.1/a/depth/8.png")
    camera = Intrinsics(fx=100, fy=100, cx=20, cy=20)
    (recording,) = find_recordings(root, layout="casme3", camera=camera)
    (lone,) = find_recordings(root / "spNO.1/a/depth/7.png", layout="casme3", camera=camera)
    assert [one.source.camera for one in (recording, *recording.singly(), lone)] == [camera] * 4
