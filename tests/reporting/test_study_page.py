import datetime

import numpy as np
import pandas as pd
import pytest

from affect4d.reporting.study_page import StudyContext, render_study, render_study_markdown
from affect4d.studies.arms import study_named
from affect4d.studies.verdicts import judge


@pytest.fixture
def context():
    study = study_named("convergence", ("cross_entropy",))
    rows = [
        (arm, 0, f"{subject}/anger", subject, "anger", "anger" if arm == "affect_vlm" or subject == "S0" else "fear")
        for arm in ("affect_vlm", "cross_entropy")
        for subject in (f"S{number}" for number in range(12))
    ]
    predictions = pd.DataFrame(rows, columns=["arm", "seed", "sequence", "subject", "expression", "predicted"])
    curves = pd.DataFrame(
        {
            "arm": ["affect_vlm"] * 2 + ["cross_entropy"] * 2,
            "seed": 0,
            "epoch": [0, 1] * 2,
            "seconds": [1.0, 2.0] * 2,
            "unseen_accuracy": [0.5, 1.0, 0.02, 0.08],
            "accuracy": [0.9] * 4,
            "alpha": [0.3, 0.2, np.nan, np.nan],
        }
    )
    return StudyContext(
        study=study,
        results=judge(study.arms, predictions, curves, np.random.default_rng(0)),
        curves=curves,
        corpus="<open>",
        subjects=12,
        seeds=(0,),
        command="kedro run",
        versions={"affect4d": "0"},
        made=datetime.datetime(2026, 1, 2),
    )


def test_the_page_says_what_was_judged(context):
    page = render_study(context)
    assert "&lt;open&gt;" in page
    assert "<open>" not in page
    assert "never" in page  # cross-entropy does not get to 90 % of the best
    assert page.count("<td>holds</td>") == 1


def test_the_markdown_has_one_row_an_arm_in_both_tables(context):
    rows = [line for line in render_study_markdown(context).splitlines() if line.startswith("|")]
    assert sum("cross-entropy" in row for row in rows) == 2
    assert len({row.count("|") for row in rows[:4]}) == 1


def test_the_curve_on_unseen_subjects_is_not_the_one_on_training_subjects(context):
    page = render_study(context)
    assert 'id="figure-unseen_accuracy"' in page
    assert 'id="figure-accuracy"' not in page
