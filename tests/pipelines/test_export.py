"""Which folder an export is: the key tells what it was made of."""

import pytest

from affect4d.pipelines.inference.nodes import ExportOptions, _export_inputs


@pytest.fixture
def packaged(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "packaged_model.json").write_text("{}")
    return folder


def test_a_single_calibration_scan_counts(packaged, tmp_path):
    scan = tmp_path / "scan.ply"
    scan.write_text("ply")
    plain = _export_inputs(ExportOptions(), packaged)
    calibrated = _export_inputs(ExportOptions(calibration=scan), packaged)
    assert calibrated != plain
    assert _export_inputs(ExportOptions(calibration=scan), packaged) == calibrated
    scan.with_suffix(".bnd").write_text("landmarks")
    assert _export_inputs(ExportOptions(calibration=scan), packaged) not in [plain, calibrated]


@pytest.mark.parametrize("place", ["missing", "empty"])
def test_calibration_without_a_scan_ends_the_run(packaged, tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=place):
        _export_inputs(ExportOptions(calibration=tmp_path / place), packaged)
