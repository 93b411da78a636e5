"""Work over processes: one bad chunk is never a lost batch, one bad scan never a lost chunk."""

import functools
import os
import signal
import time

import psutil
import pytest
from distributed import Client
from pydantic import ValidationError

from affect4d.parallel import (
    ChunkTimeoutError,
    CodeMismatchError,
    EngineOptions,
    LostChunkError,
    chunks,
    dask_client_and_workers,
    map_chunks,
    map_excluding_failures,
    map_splitting_failures,
)

TWO = EngineOptions(workers=2, seconds=60)


def halve(number: int) -> float:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number / 2


def test_inline_yields_results_and_exceptions():
    outcomes = dict(map_chunks(halve, [2, -1, 4], "halving"))
    assert outcomes[2] == 1.0
    assert outcomes[4] == 2.0
    assert isinstance(outcomes[-1], ValueError)


def test_a_consumer_that_stops_early_ends_the_work():
    done = []
    results = map_chunks(done.append, [1, 2, 3], "noting")
    next(results)
    results.close()
    assert done == [1]


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"address": "tcp://10.0.0.7:8786"}, "plain_network"),
        ({"address": "tcp://cluster.example.org:8786"}, "tls://"),
        ({"address": "tls://cluster.example.org:8786"}, "certificates"),
        ({"address": "cluster.example.org"}, "host:port"),
        ({"address": "ucx://127.0.0.1:8786"}, "host:port"),
        ({"slurm": {"jobs": 4}}, "Extra inputs"),
        ({"tls": {"ca_file": "no.pem", "cert_file": "no.pem", "key_file": "no.pem"}}, "does not exist"),
        ({"workers": -1}, "greater than or equal"),
        ({"seconds": 0}, "greater than"),
        ({"wurkers": 2}, "Extra inputs"),
    ],
)
def test_an_engine_that_cannot_or_must_not_be_is_refused_before_anything_runs(given, remedy):
    with pytest.raises(ValidationError, match=remedy):
        EngineOptions(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"address": "tcp://127.0.0.1:8786"},
        {"address": "tcp://localhost:8786"},
        {"address": "tcp://[::1]:8786"},
        {"address": "tcp://10.0.0.7:8786", "plain_network": True},
        {"address": None},
        {"address": ""},
    ],
)
def test_this_machine_needs_no_certificates_and_another_only_a_word(given):
    assert EngineOptions(**given).address == (given["address"] or None)


def test_nobody_at_the_address_is_said_with_the_remedy(monkeypatch):
    monkeypatch.setattr(dask_client_and_workers, "CONNECTION_TIMEOUT", "1 s")
    engine = EngineOptions(address="tcp://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9.*dask scheduler"):
        list(map_chunks(halve, [1, 2], "halving", engine))


@pytest.mark.timeout(180)
def test_workers_that_come_after_the_work_has_begun_get_work_too(monkeypatch):
    """Four join one: from eight chunks under way to fifteen."""
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        submit, handed_in, workers = client.submit, [], {"first": {}}
        monkeypatch.setattr(client, "submit", lambda *call, **more: handed_in.append(call) or submit(*call, **more))
        monkeypatch.setattr(client, "scheduler_info", lambda n_workers: {"workers": dict(workers)})
        monkeypatch.setattr(chunks, "open_client", lambda engine: client)
        monkeypatch.setattr(chunks, "RECOUNT_AFTER", 0.0)
        results = map_chunks(halve, list(range(40)), "halving", TWO)
        next(results)
        assert len(handed_in) == 8 + 1
        workers.update(second={}, third={}, fourth={}, fifth={})
        next(results)
        assert len(handed_in) == 2 + 15
        assert len(list(results)) == 38


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_killed_worker_costs_only_its_own_chunk():
    """Signal 0 does nothing; SIGKILL ends the process that raises it, as the kernel does when memory is out."""
    outcomes = list(map_chunks(signal.raise_signal, [0, 0, signal.SIGKILL, 0, 0, 0, 0], "signalling", TWO))
    assert [chunk for chunk, outcome in outcomes if isinstance(outcome, Exception)] == [signal.SIGKILL]
    assert [outcome for chunk, outcome in outcomes if chunk == 0] == [None] * 6
    assert all(isinstance(outcome, LostChunkError) for chunk, outcome in outcomes if chunk == signal.SIGKILL)


SLEEP_LIKE_A_LAPTOP = "kill -STOP $PPID; sleep 6; kill -CONT $PPID"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_processes_that_take_their_leave_are_replaced():
    """As after a broken connection: their nannies go with them, and of itself dask opens no others."""

    async def leave(dask_worker):
        await dask_worker.close()

    client = dask_client_and_workers.open_client(TWO)
    before = set(client.run(os.getpid).values())
    client.run(leave, wait=False)
    while any(psutil.pid_exists(pid) for pid in before):
        time.sleep(0.1)
    outcomes = dict(map_chunks(time.sleep, [0, 0.01, 0.02], "sleeping", TWO))
    assert list(outcomes.values()) == [None] * 3
    client.wait_for_workers(2, timeout=60)
    assert not before & set(client.run(os.getpid).values())


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_worker_that_slept_is_not_taken_for_dead(monkeypatch):
    monkeypatch.setitem(dask_client_and_workers.SETTINGS, "distributed.scheduler.worker-ttl", "1 s")
    outcomes = list(map_chunks(os.system, [SLEEP_LIKE_A_LAPTOP], "sleeping", EngineOptions(workers=3, seconds=60)))
    assert outcomes == [(SLEEP_LIKE_A_LAPTOP, 0)]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_chunk_alone_does_not_take_the_driver_with_it():
    ((_, outcome),) = map_chunks(signal.raise_signal, [signal.SIGKILL], "signalling", TWO)
    assert isinstance(outcome, LostChunkError)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_chunk_that_hangs_is_ended_and_named_and_the_others_finish():
    engine = EngineOptions(workers=2, seconds=2)
    outcomes = list(map_chunks(time.sleep, [0, 3600, 0, 0.01, 0, 0, 0, 0.02], "sleeping", engine))
    lost = [(chunk, outcome) for chunk, outcome in outcomes if isinstance(outcome, Exception)]
    assert [chunk for chunk, _ in lost] == [3600]
    assert isinstance(lost[0][1], ChunkTimeoutError)
    assert "longer than 2 s" in str(lost[0][1])
    assert len(outcomes) == 8


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_process_has_one_thread_and_more_chunks_than_wait_come_back():
    outcomes = dict(
        map_chunks(functools.partial(os.getenv, "LP_NUM_THREADS"), [str(n) for n in range(100)], "asking", TWO)
    )
    assert set(outcomes.values()) == {"1"}
    assert len(outcomes) == 100


BAD = 13


def halve_all(numbers):
    if BAD in numbers:
        raise IndexError(f"{BAD} is bad")
    if None in numbers:
        raise TypeError("no number")
    return [number / 2 for number in numbers]


def split(numbers):
    return [(number,) for number in numbers]


def join(chunk, parts):
    return tuple(number for part in parts for number in part)


def excluding(chunks, **more):
    call = {"split": split, "join": join, "probe": halve_all, "scans": len, **more}
    return list(map_excluding_failures(halve_all, chunks, "halving", **call))


def test_the_parts_of_a_failed_chunk_come_in_its_place():
    results = map_splitting_failures(halve_all, [(2, BAD, 4), (6,)], "halving", split=split, scans=len)
    outcomes = dict(results)
    assert isinstance(outcomes.pop((BAD,)), IndexError)
    assert outcomes == {(2,): [1.0], (4,): [2.0], (6,): [3.0]}


def test_a_failed_chunk_is_repeated_without_the_parts_that_fail():
    good, bad = sorted(excluding([(2, BAD, 4), (6,)]), key=lambda triple: len(triple[0]))
    assert good == ((6,), [3.0], [])
    assert bad[:2] == ((2, BAD, 4), [1.0, 2.0])
    ((part, error),) = bad[2]
    assert part == (BAD,)
    assert isinstance(error, IndexError)


def test_a_chunk_whose_parts_all_fail_has_no_result():
    ((chunk, result, excluded),) = excluding([(BAD, BAD)])
    assert (chunk, result) == ((BAD, BAD), None)
    assert [part for part, _ in excluded] == [(BAD,), (BAD,)]


def test_an_exception_that_is_not_retried_is_the_outcome():
    ((_, result, excluded),) = excluding([(2, BAD)], retried=KeyError)
    assert isinstance(result, IndexError)
    assert excluded == []


def test_a_chunk_whose_parts_all_pass_alone_is_tried_once_more():
    ((_, result, excluded),) = excluding([(2, BAD)], probe=abs_all)
    assert isinstance(result, IndexError)
    assert excluded == []


def abs_all(numbers):
    return list(map(abs, numbers))


@pytest.mark.parametrize(("chunk", "fatal"), [((2, None), TypeError), ((BAD, 2), IndexError)])
def test_a_fatal_exception_ends_the_work(chunk, fatal):
    with pytest.raises(fatal):
        excluding([chunk, (4,)], fatal=(fatal,))


def test_a_worker_with_other_code_ends_the_work():
    with pytest.raises(CodeMismatchError, match="another version"):
        list(map_splitting_failures(mismatch, [(1,)], "halving", split=split))


def mismatch(numbers):
    raise CodeMismatchError("another version")
