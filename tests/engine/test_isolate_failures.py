"""Failed chunks are tried again scan by scan; a scan that fails costs itself."""

import pytest

from affect4d.engine import CodeMismatchError, map_excluding_failures, map_splitting_failures

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
