"""Work over processes: one bad chunk is never a lost batch."""

import signal

import pytest

from affect4d.engine import map_chunks


def halve(number: int) -> float:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number / 2


def test_inline_yields_results_and_exceptions():
    outcomes = dict(map_chunks(halve, [2, -1, 4], "halving", workers=1))
    assert outcomes[2] == 1.0
    assert outcomes[4] == 2.0
    assert isinstance(outcomes[-1], ValueError)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_killed_worker_costs_only_its_own_chunk():
    """Signal 0 does nothing; SIGKILL ends the process that raises it."""
    outcomes = list(map_chunks(signal.raise_signal, [0, 0, signal.SIGKILL, 0, 0, 0, 0], "signalling", workers=2))
    assert [chunk for chunk, outcome in outcomes if isinstance(outcome, Exception)] == [signal.SIGKILL]
    assert [outcome for chunk, outcome in outcomes if chunk == 0] == [None] * 6
