"""Work over processes: one bad chunk is never a lost batch."""

import os
import signal

import pytest

from affect4d.engine import map_chunks


def halve(number: int) -> float:
    """Top level, so that it travels to other processes."""
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number / 2


def die_on_three(number: int) -> int:
    """Kill the process that works on chunk 3."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_inline_yields_results_and_exceptions():
    outcomes = dict(map_chunks(halve, [2, -1, 4], "halving", workers=1))
    assert outcomes[2] == 1.0
    assert outcomes[4] == 2.0
    assert isinstance(outcomes[-1], ValueError)


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_own_chunk():
    outcomes = dict(map_chunks(die_on_three, list(range(8)), "dying", workers=2))
    assert isinstance(outcomes.pop(3), Exception)
    assert outcomes == {number: number for number in (0, 1, 2, 4, 5, 6, 7)}
