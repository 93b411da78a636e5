"""Who is named when a whole company of workers falls, and what a watcher does about jobs nobody attends."""

import json
import os

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousConnectionError

from affect4d.training import agent
from affect4d.training.agent import STOPPED, first_failure, reason_of
from affect4d.training.processes.job import JOB

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


def test_a_watcher_passes_over_jobs_whose_hosts_are_gone_and_serves_the_next(tmp_path, monkeypatch, capsys):
    for number, name in enumerate(("left behind", "vanished", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / JOB).touch()
        os.utime(tmp_path / name / JOB, (number, number))
    met = []

    def serve(job):
        met.append(job.name)
        if job.name == "left behind":
            raise RendezvousConnectionError("nobody listens")
        if job.name == "vanished":
            raise FileNotFoundError(job)
        return STOPPED

    monkeypatch.setattr(agent, "serve", serve)
    assert agent.watch(tmp_path) == STOPPED
    assert met == ["left behind", "vanished", "new"]
    assert "left behind: the other hosts are not there" in capsys.readouterr().err
