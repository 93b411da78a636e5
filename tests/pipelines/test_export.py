"""Which folder an export is: the key tells what it was made of."""

import pytest

from affect4d.pipelines.export.nodes import ExportOptions, _key


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "bundle.json").write_text("{}")
    return folder


def test_a_single_calibration_scan_counts(bundle, tmp_path):
    scan = tmp_path / "scan.ply"
    scan.write_text("ply")
    plain = _key(ExportOptions(), bundle)
    calibrated = _key(ExportOptions(calibration=scan), bundle)
    assert calibrated != plain
    assert _key(ExportOptions(calibration=scan), bundle) == calibrated
    scan.with_suffix(".bnd").write_text("landmarks")
    assert _key(ExportOptions(calibration=scan), bundle) not in (plain, calibrated)


@pytest.mark.parametrize("place", ["missing", "empty"])
def test_calibration_without_a_scan_ends_the_run(bundle, tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=place):
        _key(ExportOptions(calibration=tmp_path / place), bundle)
