"""Who is named when a whole company of workers falls."""

import json

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from affect4d.training.agent import first_failure, reason_of

LOST = "RuntimeError: Connection closed by peer [127.0.0.1]:37540"


@pytest.fixture
def failure(tmp_path):
    def fail(rank: int, reason: str, second: int) -> ProcessFailure:
        told = {"message": {"message": reason, "extraInfo": {"py_callstack": reason, "timestamp": str(second)}}}
        (tmp_path / f"{rank}.json").write_text(json.dumps(told))
        return ProcessFailure(local_rank=rank, pid=1, exitcode=1, error_file=str(tmp_path / f"{rank}.json"))

    return fail


def test_the_earlier_of_two_failures_is_named(failure):
    rank, first = first_failure(ChildFailedError("worker", {0: failure(0, "late", 20), 1: failure(1, "early", 10)}))
    assert rank == 1
    assert "early" in reason_of(first)


@pytest.mark.parametrize("second", [9, 10, 11])
def test_who_lost_a_peer_was_not_the_first(failure, second):
    rank, first = first_failure(ChildFailedError("worker", {0: failure(0, LOST, second), 1: failure(1, "fell", 10)}))
    assert rank == 1
    assert "fell" in reason_of(first)
