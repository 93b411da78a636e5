import numpy as np
import pandas as pd
import pytest

from affect4d.evaluation.fairness import SMALLEST_GROUP, measure_fairness
from affect4d.scans.expression import EXPRESSIONS


def world(rights, seed=0):
    """Predictions about people of groups: for every group, how many of six sequences are right, one number a person."""
    rows, people = [], []
    for group, counts in rights.items():
        for number, right in enumerate(counts):
            who = f"{group}{number}"
            people.append((who, group, "young" if number % 2 else "old"))
            rows += [(who, name, name if place < right else "none") for place, name in enumerate(EXPRESSIONS)]
    table = pd.DataFrame(rows, columns=["subject", "expression", "predicted"])
    return table, pd.DataFrame(people, columns=["subject", "gender", "age_group"])


def gaps(rights):
    found = measure_fairness(*world(rights), np.random.default_rng(0))
    return {gap["attribute"]: gap for gap in found}


def test_a_gap_is_counted_by_hand_and_found_sure():
    gap = gaps({"F": [6] * 8, "M": [3] * 8})["gender"]
    assert [(group["group"], group["subjects"], group["sequences"]) for group in gap["groups"]] == [
        ("F", 8, 48),
        ("M", 8, 48),
    ]
    assert [group["accuracy"] for group in gap["groups"]] == [1.0, 0.5]
    assert (gap["worst"], gap["gap"]) == ("M", 0.5)
    assert gap["interval"] == [0.5, 0.5]
    assert gap["p"] < 0.01


def test_no_gap_is_no_finding():
    gap = gaps({"F": [4, 5, 3, 4, 5, 3], "M": [3, 4, 5, 3, 4, 5]})["gender"]
    assert gap["gap"] == 0
    assert gap["p"] == 1


def test_a_group_too_small_says_so_and_makes_no_gap():
    gap = gaps({"F": [6] * SMALLEST_GROUP, "M": [0] * (SMALLEST_GROUP - 1)})["gender"]
    assert [group["accuracy"] for group in gap["groups"]] == [1.0, None]
    assert gap["groups"][1]["subjects"] == SMALLEST_GROUP - 1
    assert gap["gap"] is gap["interval"] is gap["p"] is gap["worst"] is None


def test_intersections_have_their_own_counts():
    gap = gaps({"F": [6] * 10, "M": [3] * 10})["gender × age_group"]
    assert [(group["group"], group["subjects"]) for group in gap["groups"]] == [
        ("F, old", 5), ("F, young", 5), ("M, old", 5), ("M, young", 5)]  # fmt: skip


def test_one_persons_luck_is_no_sure_gap():
    assert gaps({"F": [6, 3, 3, 3, 3, 3], "M": [3] * 6})["gender"]["p"] > 0.05


def test_an_attribute_the_corpus_does_not_give_is_no_row():
    assert set(gaps({"F": [3] * 6, "M": [3] * 6})) == {"gender", "age_group", "gender × age_group"}


@pytest.mark.parametrize("seed", range(3))
def test_chance_gaps_are_rarely_sure(seed):
    counts = np.random.default_rng(seed).integers(0, 7, (2, 12))
    assert gaps({"F": counts[0], "M": counts[1]})["gender"]["p"] > 0.01


def test_two_attributes_that_nobody_has_both_of_are_no_pair():
    table, people = world({"F": [6] * 6, "M": [3] * 6})
    people["age_group"] = people["age_group"].where(people.index < 4)
    people["gender"] = people["gender"].where(people.index >= 4)
    found = measure_fairness(table, people, np.random.default_rng(0))
    assert [gap["attribute"] for gap in found] == ["gender", "age_group"]
