"""The same code on a scheduler's address: asked for on the command line, refused where it must be."""

import contextlib
import json
import operator
import os
import signal
import subprocess
import sys
import time

import pytest
from kedro.framework.cli.utils import _split_params
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from affect4d.parallel import EngineOptions, map_chunks
from affect4d.parallel.dask_client_and_workers import CodeMismatchError, attempt, open_client, pickled


def parameters_of(project_root, words):
    bootstrap_project(project_root)
    given = _split_params(None, None, words)
    with KedroSession.create(project_root, runtime_params=given) as session:
        return session.load_context().params


def test_the_command_line_sets_the_address(project_root):
    engine = parameters_of(project_root, "engine.address=tcp://127.0.0.1:8786,engine.seconds=60")["engine"]
    assert engine == EngineOptions(address="tcp://127.0.0.1:8786", seconds=60)


def test_a_run_that_would_speak_openly_to_another_host_ends_before_any_node(project_root):
    with pytest.raises(Exception, match="plain_network"):
        parameters_of(project_root, "engine.address=tcp://10.1.2.3:8786")


def test_a_worker_with_other_code_is_refused():
    with pytest.raises(CodeMismatchError, match="another version"):
        attempt(pickled(abs), -1, 10.0, "digest of another package")


def test_what_a_function_raises_comes_back_as_it_is():
    with pytest.raises(ZeroDivisionError):
        attempt(pickled(reciprocal), 0, 10.0, None)


def reciprocal(number):
    return 1 / number


def test_a_function_that_wants_to_exit_has_failed_and_no_more():
    with pytest.raises(RuntimeError, match="SystemExit"):
        attempt(pickled(sys.exit), 3, 10.0, None)


class Doubled:
    """A function that counts how often it was read from its bytes."""

    read = 0

    def __setstate__(self, state):
        Doubled.read += 1

    def __getstate__(self):
        return "no state"

    def __call__(self, number):
        return 2 * number


def test_a_process_reads_a_function_once_for_all_chunks():
    sent = pickled(Doubled())
    assert [attempt(bytes(bytearray(sent)), number, 10.0, None) for number in range(3)] == [0, 2, 4]
    assert Doubled.read == 1


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and a worker of this machine; yields the address."""
    found, dask = tmp_path / "scheduler.json", [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    place = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", found]
    running = [subprocess.Popen([*dask, "scheduler", *place], **quiet)]
    try:
        end = time.monotonic() + 60
        while not found.exists():
            assert time.monotonic() < end, "no scheduler"
            time.sleep(0.1)
        address = json.loads(found.read_text())["address"]
        work = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        running.append(subprocess.Popen([*work, "--local-directory", tmp_path], **quiet))
        yield address
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_same_call_works_at_an_address(scheduler, monkeypatch):
    engine = EngineOptions(address=scheduler, seconds=60)
    assert dict(map_chunks(operator.neg, list(range(30)), "negating", engine)) == {n: -n for n in range(30)}
    monkeypatch.setattr("affect4d.parallel.chunks.package_digest", lambda: "other code")
    with pytest.raises(CodeMismatchError):
        list(map_chunks(operator.neg, [1], "negating", engine))
    open_client(engine).close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_scheduler_that_goes_is_said(scheduler):
    engine = EngineOptions(address=scheduler, seconds=60)
    results = map_chunks(time.sleep, [0.5] * 100, "sleeping", engine)
    next(results)
    open_client(engine).shutdown()
    with pytest.raises(ConnectionError, match="scheduler has gone"):
        list(results)
