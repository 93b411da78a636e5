import numpy as np
import pytest
from scan_files import (
    LANDMARKS,
    MARKS,
    bnd_text,
    bosphorus_points,
    bumpy_grid,
    lm_text,
    tbnd_text,
    write_scan,
    wrl_text,
)

from affect4d.scans.landmark_names import NAMED
from affect4d.scans.readers import LANDMARK_READERS, read_landmarks, read_scan
from affect4d.scans.readers.landmark_files import BOSPHORUS_LABELS
from affect4d.scans.scan import ScanError

SMALL = bumpy_grid(6)


def refusal(folder, suffix, content) -> str:
    with pytest.raises(ScanError) as caught:
        read_landmarks(write_scan(folder, suffix, content))
    return caught.value.code


def test_every_suffix_is_tried():
    assert {suffix for suffix, _ in LANDMARKS.values()} == set(LANDMARK_READERS)


@pytest.mark.parametrize("name", LANDMARKS)
def test_what_is_written_is_read(tmp_path, name):
    suffix, write = LANDMARKS[name]
    points = read_landmarks(write_scan(tmp_path, suffix, write(MARKS)))
    assert points.shape == (83, 3)
    assert points.dtype == np.float32
    there = ~np.isnan(points).any(axis=1)
    assert there.sum() == (22 if name == "lm3" else 83)
    np.testing.assert_array_equal(points[there], MARKS[there])


def test_an_empty_84th_row_is_dropped(tmp_path):
    for more in ("\r\n", "0 0 0 0\n", "0 nan nan nan\n", "83 0 0 0\n", "0\n"):
        np.testing.assert_array_equal(read_landmarks(write_scan(tmp_path, ".bnd", bnd_text() + more)), MARKS)


@pytest.mark.parametrize("kind", ["bnd", "bndplus", "tbnd"])
def test_empty_lines_are_no_rows(tmp_path, kind):
    suffix, write = LANDMARKS[kind]
    spaced = b"\r\n" + write(MARKS).replace(b"\r\n", b"\r\n \r\n")
    np.testing.assert_array_equal(read_landmarks(write_scan(tmp_path, suffix, spaced)), MARKS)
    with pytest.raises(ScanError, match="line 2"):
        read_landmarks(write_scan(tmp_path, suffix, b"\n1 x 3\n"))


def test_a_comment_behind_labelled_points_is_none(tmp_path):
    text = lm_text(bosphorus_points()) + "# end\r\n"
    assert (~np.isnan(read_landmarks(write_scan(tmp_path, ".lm3", text))[:, 0])).sum() == 22


def test_an_underscore_is_no_part_of_a_number(tmp_path):
    assert refusal(tmp_path, ".bnd", bnd_text().replace("-44.5 ", "-4_4.5 ")) == "malformed-number"


def test_refused_landmarks_are_noted_with_their_file_and_place(tmp_path):
    (tmp_path / "marks.bnd").write_text("0 1 2 x\n")
    scan = read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL, None)), landmarks=tmp_path / "marks.bnd")
    assert scan.repairs[-1] == "landmarks refused: marks.bnd (line 1): 'x' is not a number [malformed-number]"


def test_an_empty_84th_row_of_bndplus_is_dropped(tmp_path):
    read = read_landmarks(write_scan(tmp_path, ".bndplus", bnd_text() + "83 0 0 0\n"))
    np.testing.assert_array_equal(read, MARKS)
    assert refusal(tmp_path, ".bndplus", bnd_text() + "83 9 9 9\n") == "wrong-count"


def test_commas_between_numbers_are_blanks(tmp_path):
    commas = bnd_text().replace(" ", ", ")
    np.testing.assert_array_equal(read_landmarks(write_scan(tmp_path, ".bnd", commas)), MARKS)


@pytest.mark.parametrize("suffix", [".bnd", ".bndplus"])
def test_untracked_landmarks_are_nan(tmp_path, suffix):
    points = MARKS.copy()
    points[3], points[4] = 0, np.nan
    read = read_landmarks(write_scan(tmp_path, suffix, bnd_text(points)))
    assert np.flatnonzero(np.isnan(read).all(axis=1)).tolist() == [3, 4]


def test_tracked_landmarks_are_turned_to_a_right_handed_frame(tmp_path):
    written = MARKS.copy()
    written[7] = 0
    lines = tbnd_text(written).splitlines()
    assert float(lines[1].split()[2]) == -MARKS[0, 2]
    read = read_landmarks(write_scan(tmp_path, ".tbnd", "\r\n".join(lines)))
    assert np.isnan(read[7]).all()
    np.testing.assert_array_equal(np.delete(read, 7, axis=0), np.delete(MARKS, 7, axis=0))


def bare(points, *more: str) -> str:
    return "".join(f"{x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in points) + "".join(row + "\n" for row in more)


def test_bndplus_may_leave_the_index_out(tmp_path):
    np.testing.assert_array_equal(read_landmarks(write_scan(tmp_path, ".bndplus", bare(MARKS))), MARKS)


@pytest.mark.parametrize("last", ["0 0 0", "nan nan nan", "9 9 9"])
def test_84_rows_of_bndplus_without_index_may_start_with_angles_and_are_refused(tmp_path, last):
    assert refusal(tmp_path, ".bndplus", bare(MARKS, last)) == "wrong-count"


def test_left_in_a_bosphorus_label_is_the_subjects_right(tmp_path):
    points = read_landmarks(write_scan(tmp_path, ".lm3", lm_text({"Outer left eye corner": (-45.0, 38.0, -42.0)})))
    assert points[NAMED["right_eye_outer"]].tolist() == [-45, 38, -42]
    assert np.isnan(points).all(axis=1).sum() == 82


def test_labels_mirror(tmp_path):
    rows = {label: row for label, row in BOSPHORUS_LABELS.items() if row is not None}
    for label, row in rows.items():
        swapped = label.replace("left", "@").replace("right", "left").replace("@", "right")
        swapped = swapped.replace("Left", "@").replace("Right", "Left").replace("@", "Right")
        np.testing.assert_allclose(MARKS[rows[swapped]] - 0.5, (MARKS[row] - 0.5) * [-1, 1, 1], atol=1e-4)


def test_ear_lobes_are_known_and_left_out(tmp_path):
    text = lm_text({"Left ear lobe": (-70.0, 0.0, -90.0), "Nose tip": (0.0, 0.0, 1.0)})
    assert (~np.isnan(read_landmarks(write_scan(tmp_path, ".lm3", text))[:, 0])).sum() == 1


@pytest.mark.parametrize(
    "content",
    [
        "", "garbage", bnd_text()[:-40], bnd_text() + "83 1 2 3\n", bnd_text().replace("-44.5 ", "inf "),
        bnd_text().replace("-44.5 ", ""), bnd_text().replace("-44.5 ", "1e300 "), bnd_text() * 40, "\0" * 99,
    ],
)  # fmt: skip
def test_bad_landmarks_are_refused_and_a_repair_of_the_scan(tmp_path, content):
    path = write_scan(tmp_path, ".bnd", content)
    with pytest.raises(ScanError):
        read_landmarks(path)
    scan = read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL, None)), landmarks=path)
    assert scan.landmarks is None
    assert scan.repairs[-1].startswith("landmarks refused")


LM3 = lm_text(bosphorus_points())


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (LM3.replace("22 landmarks", "21 landmarks"), "wrong-count"),
        (LM3.replace("22 landmarks", "23 landmarks"), "wrong-count"),
        (LM3.replace("22 landmarks", "9999 landmarks"), "wrong-count"),
        (LM3.replace("22 landmarks", "-1 landmarks"), "not-landmarks"),
        (LM3.replace("22 landmarks", "99999999999999999999 landmarks"), "not-landmarks"),
        (LM3.replace("Nose tip", "Nose tap"), "unknown-label"),
        (LM3.replace("Nose tip", "Chin middle"), "repeated-label"),
        (LM3.replace("0.5 0.5 0.5", "0.5 0.5"), "wrong-count"),
        (LM3.replace("0.5 0.5 0.5", "0.5 0.5 nan"), "wrong-count"),
        (LM3.replace("0.5 0.5 0.5", "0.5 0.5 1e300"), "not-finite"),
        (LM3.replace("0.5 0.5 0.5", "0.5 0.5 x"), "malformed-number"),
        (LM3[: len(LM3) // 2], "wrong-count"),
    ],
)
def test_bad_labelled_landmarks_are_refused(tmp_path, content, code):
    assert content != LM3
    assert refusal(tmp_path, ".lm3", content) == code


def test_unknown_suffix_lists_the_known_ones(tmp_path):
    assert refusal(tmp_path, ".pts", "") == "unknown-format"


def test_landmarks_of_every_kind_join_their_scan(tmp_path):
    for suffix, write in LANDMARKS.values():
        path = write_scan(tmp_path, suffix, write(MARKS))
        scan = read_scan(write_scan(tmp_path, ".wrl", wrl_text(bumpy_grid())), landmarks=path)
        assert scan.landmarks is not None


def test_landmarks_off_the_mesh_are_left_out(tmp_path):
    path = write_scan(tmp_path, ".bnd", bnd_text(MARKS + 500))
    scan = read_scan(write_scan(tmp_path, ".wrl", wrl_text(SMALL)), landmarks=path)
    assert scan.landmarks is None
    assert "do not lie on the mesh" in scan.repairs[-1]


def joined(folder, points):
    """The scan with these landmarks; the mesh is 180 mm wide, so that up to 18 mm outside are on it."""
    path = write_scan(folder, ".bnd", bnd_text(points))
    return read_scan(write_scan(folder, ".wrl", wrl_text(SMALL, None)), landmarks=path)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("end", ["min", "max"])
def test_a_tenth_of_the_mesh_outside_is_still_on_it(tmp_path, axis, end):
    middle = (SMALL.vertices.min(axis=0) + SMALL.vertices.max(axis=0)) / 2
    edge = float(getattr(SMALL.vertices[:, axis], end)())
    for outside, on_it in ((17.9, True), (18.1, False)):
        points = np.tile(middle, (83, 1))
        points[:, axis] = edge + (outside if end == "max" else -outside)
        assert (joined(tmp_path, points).landmarks is not None) is on_it


@pytest.mark.parametrize(("inside", "tracked", "on_it"), [(42, 83, True), (41, 83, False), (1, 2, False), (1, 1, True)])
def test_more_than_half_of_what_was_tracked_must_lie_on_the_mesh(tmp_path, inside, tracked, on_it):
    points = np.zeros((83, 3))  # as untracked ones are written
    points[:tracked] = 1000
    points[:inside] = SMALL.vertices.mean(axis=0)
    assert (joined(tmp_path, points).landmarks is not None) is on_it


def test_landmarks_of_which_none_was_tracked_are_left_out(tmp_path):
    scan = joined(tmp_path, np.zeros((83, 3)))
    assert scan.landmarks is None
    assert "do not lie on the mesh" in scan.repairs[-1]


@pytest.mark.parametrize("kind", LANDMARKS)
def test_only_landmarks_that_a_format_has_can_be_missing(tmp_path, kind):
    suffix, write = LANDMARKS[kind]
    mesh = write_scan(tmp_path, ".wrl", wrl_text(bumpy_grid(), None))
    whole = read_scan(mesh, landmarks=write_scan(tmp_path, suffix, write(MARKS)))
    assert whole.repairs == ("texture missing",)
    untracked = MARKS.copy()
    untracked[NAMED["nose_tip"]] = 0
    marks = write(untracked) if kind != "lm3" else _without("Nose tip")
    repairs = read_scan(mesh, landmarks=write_scan(tmp_path, suffix, marks)).repairs
    assert repairs[-1] == f"1 of {22 if kind == 'lm3' else 83} landmarks were not tracked"


def _without(label: str) -> str:
    return lm_text({name: point for name, point in bosphorus_points().items() if name != label})
