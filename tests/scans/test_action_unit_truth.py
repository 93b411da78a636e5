import pandas as pd
import pytest

from affect4d.left_out import MissingInputError
from affect4d.scans.action_unit_truth import SIDED, action_unit_truth, coded_units, strengths_at_peak, unit_name
from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL

NOTHING = pd.DataFrame()


def manifest(*rows):
    table = pd.DataFrame(rows, columns=["sequence", "frame", "actions", "apex"])
    return table.astype({"actions": "str", "apex": "Int64"})


def test_the_generators_sided_units_are_the_sided_ones():
    assert {int(unit.removeprefix("AU")) for unit in BILATERAL} == SIDED
    names = [unit_name(unit) for unit in ACTION_UNITS if unit.startswith("AU")]
    assert len(set(names)) == 38
    assert {"AU01_l", "AU45_r", "AU17"} <= set(names)


def test_synthetic_truth_is_clipped_and_leaves_gaze_and_jaw_out():
    table = pd.DataFrame({"sequence": ["a"], "frame": [0], "AU1_L": [1.2], "AU17": [0.25], "jaw_left": [-1.0]})
    found = action_unit_truth(table, manifest())
    assert found.loc[("a", 0)].to_dict() == {"AU01_l": 1.0, "AU17": 0.25}


def test_coded_frames_have_presence_and_uncoded_ones_nothing():
    rows = [("a", 0, "AU1_L+AU26", None), ("a", 1, "", None), ("a", 2, None, None)]
    found = action_unit_truth(NOTHING, manifest(*rows))
    assert list(found.columns) == ["AU01_l", "AU26"]
    assert found.loc[("a", 0)].tolist() == [1.0, 1.0]
    assert found.loc[("a", 1)].tolist() == [0.0, 0.0]
    assert ("a", 2) not in found.index


def test_a_clip_that_is_coded_as_a_whole_counts_at_its_apex():
    rows = [("a", frame, "AU4", 3) for frame in range(5)]
    assert list(action_unit_truth(NOTHING, manifest(*rows)).index) == [("a", 3)]


def test_of_a_mixture_each_part_has_its_own_coding():
    synthetic = pd.DataFrame({"sequence": ["s"], "frame": [0], "AU1_L": [0.5], "AU1_R": [0.0]})
    found = action_unit_truth(synthetic, manifest(("c", 0, "AU4", None)))
    assert found.loc[("c", 0)].isna().to_dict() == {"AU01_l": True, "AU01_r": True, "AU04_l": False, "AU04_r": False}
    assert found.loc[("s", 0), "AU01_l"] == 0.5


def test_an_action_that_cannot_be_read_is_named():
    with pytest.raises(ValueError, match=r"'frown' in 'AU4\+frown' is not written as AU12"):
        coded_units("AU4+frown")


def test_without_any_truth_nothing_is_learnt():
    with pytest.raises(MissingInputError, match="no frame has them"):
        action_unit_truth(NOTHING, manifest(("a", 0, None, None)))


def test_the_peak_is_the_frame_that_shows_most():
    table = pd.DataFrame({"sequence": ["a", "a", "b"], "frame": [0, 1, 0], "AU1_L": [0.0, 0.8, 0.1]})
    found = strengths_at_peak(action_unit_truth(table, manifest()))
    assert found["AU01_l"].to_dict() == pytest.approx({"a": 0.8, "b": 0.1})
