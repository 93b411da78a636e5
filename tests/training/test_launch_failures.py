"""Which failure of several processes is named, and which job a further host takes."""

import json
import os

import pytest

from affect4d.training.launch import JOB, find_job, first_failure

LOST = "RuntimeError: Connection closed by peer [127.0.0.1]:37540"


@pytest.fixture
def fail(tmp_path):
    """Write what torchrun keeps of a worker's failure."""

    def fail(rank, reason, second, attempt=0):
        folder = tmp_path / "logs" / "affect4d_x" / f"attempt_{attempt}" / str(rank)
        folder.mkdir(parents=True)
        message = {"message": reason, "extraInfo": {"py_callstack": reason, "timestamp": str(second)}}
        (folder / "error.json").write_text(json.dumps({"message": message}))

    return fail


def test_the_earlier_of_two_failures_is_named(fail, tmp_path):
    fail(0, "late", 20)
    fail(1, "early", 10)
    assert first_failure(tmp_path) == "Process 1 failed first:\nearly"


@pytest.mark.parametrize("second", [9, 10, 11])
def test_a_process_that_lost_a_peer_was_not_the_first(fail, tmp_path, second):
    fail(0, LOST, second)
    fail(1, "fell", 10)
    assert first_failure(tmp_path) == "Process 1 failed first:\nfell"


def test_the_last_attempt_is_named_and_no_earlier_training(fail, tmp_path):
    fail(0, "of the first attempt", 10)
    fail(0, "of the second", 20, attempt=1)
    assert first_failure(tmp_path).endswith("of the second")
    (tmp_path / "torchrun.log").write_text("exitcode: -9")
    assert first_failure(tmp_path, started=2e9 * 2).endswith("exitcode: -9")


def test_where_every_process_only_lost_a_peer_torchrun_is_quoted(fail, tmp_path):
    fail(0, LOST, 10)
    (tmp_path / "torchrun.log").write_text("Signal 9 (SIGKILL) received by PID 7")
    assert "SIGKILL" in first_failure(tmp_path)


def test_the_newest_job_below_a_folder_is_found_or_the_folder_itself(tmp_path):
    for number, name in enumerate(("left behind", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / JOB).touch()
        os.utime(tmp_path / name / JOB, (number, number))
    assert find_job(tmp_path) == tmp_path / "new"
    assert find_job(tmp_path / "left behind") == tmp_path / "left behind"
    with pytest.raises(FileNotFoundError, match="no training job"):
        find_job(tmp_path / "elsewhere")
