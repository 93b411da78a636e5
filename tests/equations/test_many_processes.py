"""Several processes with distinct data compute the gradient of one process on the whole batch: the full objectives."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("one_step.py")
_SPEC = importlib.util.spec_from_file_location("one_step", SCRIPT)
one_step = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(one_step)
EXACT = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture(scope="module", params=[2, 3])
def ranks_found(request, tmp_path_factory):
    """What each of some processes found, for every case."""
    folder, count = tmp_path_factory.mktemp("ranks"), request.param
    command = [sys.executable, str(SCRIPT)]
    started = [
        subprocess.Popen([*command, str(rank), str(count), str(folder / "store"), str(folder)], stderr=subprocess.PIPE)
        for rank in range(count)
    ]
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()[-3000:]
    return [load_file(folder / f"{rank}.safetensors") for rank in range(count)]


def of(found, *key):
    start = "|".join(map(str, key)) + "|"
    return {name.removeprefix(start): value for name, value in found.items() if name.startswith(start)}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, **EXACT, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize("case", one_step.CASES)
@pytest.mark.parametrize("encoders", one_step.ENCODERS)
def test_loss_gradients_and_statistics_are_those_of_one_process(ranks_found, encoders, case):
    expected = one_step.step(case, encoders)
    assert len(expected) > 10
    for found in ranks_found:
        assert_same(of(found, encoders, case, 1), expected)


@pytest.mark.slow
@pytest.mark.parametrize("case", one_step.CASES)
def test_processes_that_accumulate_too(ranks_found, case):
    for found in ranks_found:
        assert_same(of(found, "transformer", case, 2), one_step.step(case, "transformer"))


@pytest.mark.slow
@pytest.mark.parametrize("case", one_step.WALKED)
def test_several_steps_lead_to_the_weights_of_one_process(ranks_found, case):
    expected = one_step.walk(case, "compact")
    for found in ranks_found:
        walked = of(found, "walk", case)
        assert walked.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(walked[name], tensor, rtol=1e-6, atol=1e-8, msg=name)


@pytest.mark.parametrize("parts", [2, 3, 11])
@pytest.mark.parametrize("case", one_step.CASES)
def test_an_accumulated_step_is_the_step_of_the_whole_batch(case, parts):
    whole, accumulated = (one_step.step(case, "transformer", parts=count) for count in (1, parts))
    assert_same(accumulated, whole)
