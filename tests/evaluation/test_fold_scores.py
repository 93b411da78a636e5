import numpy as np
import pandas as pd

from affect4d.evaluation.fold_scores import _comparisons


def answers(rounds):
    """Two models on six people's sequences; the second is wrong on every other one, in each round."""
    rows = [
        {"model": model, "fold": fold, "subject": f"F{person}", "sequence": f"F{person}/joy", "expression": "happiness",
         "predicted": "happiness" if model == "one" or person % 2 else "anger"}
        for model in ("one", "two") for fold in range(rounds) for person in range(6)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_sequences_tested_once_are_mcnemars_pairs_and_those_of_several_rounds_are_not():
    once, thrice = (_comparisons(answers(rounds), [("one", "two")], np.random.default_rng(0))[0] for rounds in (1, 3))
    assert once["mcnemar"] == 2 * 0.5**3
    assert thrice["mcnemar"] is None
    assert once["difference"] == thrice["difference"] == 0.5
    assert (once["first_only"], thrice["first_only"]) == (3, 9)
