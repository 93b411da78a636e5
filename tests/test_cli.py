"""The command line: a user's error is a sentence, a bug is a traceback, and a missing result is an exit code."""

import subprocess
import sys
from pathlib import Path

import pytest
from kedro.io import MemoryDataset
from omegaconf import OmegaConf

from affect4d import cli
from affect4d.left_out import LeftOut
from affect4d.pseudo_labels.landmark_movement import to_points
from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.scans.corpora.file_patterns_and_label_sheets import check_folder


def caught(function, *given, **named):
    with pytest.raises(Exception) as error:  # noqa: PT011
        function(*given, **named)
    return error.value


@pytest.mark.parametrize(
    "error",
    [
        caught(check_folder, Path("/nowhere")),
        caught(PseudoLabelOptions, source="tea leaves"),
        caught(OmegaConf.create, "{a}/{b}"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_user_can_mend_is_told_from_a_bug(error):
    assert cli.is_users(error)


@pytest.mark.parametrize("error", [caught(to_points, [1.0]), caught(check_folder, None), caught(int, "one")])
def test_what_no_line_of_this_package_raises_is_a_bug(error):
    assert not cli.is_users(error)


@pytest.fixture
def failing(monkeypatch):
    """Kedro's command ends in an error."""

    def set_error(function, *given):
        monkeypatch.setattr(cli.kedro_run, "callback", lambda **options: function(*given))

    return set_error


def test_a_users_error_is_its_sentence_and_a_way_to_the_traceback(failing, capsys):
    failing(check_folder, Path("/nowhere"))
    with pytest.raises(SystemExit, match="1"):
        cli.run_in_sentences(verbose=False, pipeline=None, pipelines=[])
    told = capsys.readouterr().err
    assert "/nowhere" in told
    assert "--verbose" in told
    assert "Traceback" not in told


def test_verbose_and_bugs_keep_the_traceback(failing):
    failing(check_folder, Path("/nowhere"))
    with pytest.raises(FileNotFoundError):
        cli.run_in_sentences(verbose=True, pipeline=None, pipelines=[])
    failing(to_points, [1.0])
    with pytest.raises(ValueError, match="reshape"):
        cli.run_in_sentences(verbose=False, pipeline=None, pipelines=[])


def outputs(**results):
    return {name: MemoryDataset(value) for name, value in results.items()}


@pytest.mark.parametrize(
    ("pipeline", "made", "reason"),
    [
        ("train_smile", outputs(smile_vlm_packaged_model=LeftOut("no landmarks")), "no landmarks"),
        ("train_smile", outputs(smile_vlm_packaged_model={}, sheet=LeftOut("no labels")), ""),
        ("evaluate", outputs(pseudo_label_accuracy=LeftOut("no landmarks"), baseline_metrics={}), ""),
        (None, outputs(report={}, smile_vlm_card=LeftOut("no landmarks")), ""),
        (None, outputs(report=LeftOut("one subject"), smile_vlm_card=LeftOut("one subject")), "one subject"),
    ],
)
def test_a_pipeline_without_any_of_its_results_has_failed(pipeline, made, reason):
    assert cli.results_left_out(made, (pipeline,)) == reason


def test_the_command_exits_with_the_reason(monkeypatch, capsys):
    left_out = outputs(smile_vlm_packaged_model=LeftOut("no landmarks"))
    monkeypatch.setattr(cli.kedro_run, "callback", lambda **options: left_out)
    with pytest.raises(SystemExit, match="1"):
        cli.run_in_sentences(verbose=False, pipeline="train_smile", pipelines=[])
    assert "no landmarks" in capsys.readouterr().err


def test_a_command_prints_its_answer_and_no_log(tmp_path):
    command = [sys.executable, "-m", "affect4d", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: affect4d"), done.stdout
    assert done.stderr == ""
