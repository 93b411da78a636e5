import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from affect4d.datasets import EvidenceDataset
from affect4d.experiments.account import Account, Basis
from affect4d.experiments.claims import BETTER, CLAIMS, SOONER, THE_SAME, WITHIN_REACH, all_together, answer_claims
from affect4d.experiments.evidence import Evidence, Finding
from affect4d.experiments.setting import Arm
from affect4d.experiments.verdicts import as_document, judge, sign_test

BASIS = Basis("faces", "", people=24, sequences=144, split="s" * 24, table="t", views="v", code="c")
ACCOUNT = Account(
    BASIS, (0,), redraw=True, tested=24, changes={"seed": 3}, commit="abcdef0123", made="2026-01-02T03:04"
)


def predictions(rates, subjects=24, seeds=2, sequences=6):
    """Predictions in which each arm names so many of each subject's sequences right."""
    rows = [
        (arm, seed, f"S{subject:02d}/{number}", f"S{subject:02d}", "anger", "anger" if number < right else "fear")
        for arm, right in rates.items()
        for seed in range(seeds)
        for subject in range(subjects)
        for number in range(sequences)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "sequence", "subject", "expression", "predicted"])


def finding(**changes):
    parts = {
        "first": "a", "second": "b", "values": (0.8, 0.7), "difference": 0.1, "interval": (0.02, 0.2), "p": 0.01,
        "test": "permutation", "seeds": 1, "subjects": 24, "source": "here",
    }  # fmt: skip
    return Finding(**{**parts, **changes})


def in_seeds(ahead, behind):
    tests = {"p": sign_test(ahead, behind), "p_worse": sign_test(behind, ahead)}
    return finding(interval=None, ahead=ahead, behind=behind, unit="epochs", **tests)


def said(evidence):
    return {row.number: row for row in answer_claims(evidence)}


def test_without_any_run_every_claim_is_not_measured():
    rows = said(Evidence())
    assert list(rows) == list(range(1, 11))
    assert {row.verdict for row in rows.values()} == {"not measured"}
    assert all(row.how for row in rows.values())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "holds"),
        ({"p": 0.06}, "undecided"),
        ({"interval": (-0.01, 0.2)}, "undecided"),
        ({"interval": (-0.3, -0.1), "difference": -0.2}, "does not hold"),
    ],
)
def test_better_needs_interval_and_test(changes, word):
    assert BETTER.words([finding(**changes)]) == [word]


@pytest.mark.parametrize(
    ("interval", "word"), [((-0.04, 0.02), "holds"), ((-0.1, 0.02), "undecided"), ((-0.2, -0.06), "does not hold")]
)
def test_reach_is_decided_by_the_interval(interval, word):
    assert WITHIN_REACH.words([finding(interval=interval, p=0.9)]) == [word]


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((-0.04, 0.04), "holds"), ((-0.06, 0.01), "undecided"), ((-0.01, 0.06), "undecided"),
        ((-0.2, -0.06), "does not hold"), ((0.06, 0.2), "does not hold"),
    ],
)  # fmt: skip
def test_sameness_is_decided_by_the_interval_on_both_sides(interval, word):
    assert THE_SAME.words([finding(interval=interval, p=0.9)]) == [word]


@pytest.mark.parametrize(("ahead", "behind", "word"), [(5, 0, "holds"), (0, 5, "does not hold"), (3, 2, "undecided")])
def test_sooner_counts_seeds(ahead, behind, word):
    assert SOONER.words([in_seeds(ahead, behind)]) == [word]


def test_one_part_that_fails_by_chance_does_not_settle_a_claim_of_several():
    """Of three parts, one fails at p 0.03 more often than one time in twenty though nothing is worse (Holm 1979)."""
    poor = {"interval": (-0.2, -0.01), "difference": -0.1}
    even = finding(interval=(-0.1, 0.1), p=0.9)
    assert BETTER.words([finding(p=0.03, **poor), even, even]) == ["undecided"] * 3
    assert BETTER.words([finding(p=0.01, **poor), even, even])[0] == "does not hold"
    assert BETTER.words([finding(p=p, **poor) for p in (0.01, 0.02, 0.04)]) == ["does not hold"] * 3


def test_parts_that_all_hold_need_no_correction():
    assert BETTER.words([finding(p=0.04)] * 3) == ["holds"] * 3


def test_seeds_are_corrected_over_the_parts_too():
    """Five seeds, all later: 1/32 for one part, and 3/32 for three."""
    even = in_seeds(2, 2)
    assert SOONER.words([in_seeds(0, 5), even, even]) == ["undecided"] * 3
    assert SOONER.words([in_seeds(0, 6), even, even]) == ["does not hold", "undecided", "undecided"]
    assert SOONER.words([in_seeds(5, 0)] * 3) == ["holds"] * 3


@pytest.mark.parametrize(("p", "raw_p", "word"), [(0.04, 0.001, "does not hold"), (0.08, 0.001, "undecided")])
def test_what_a_study_has_corrected_is_neither_corrected_twice_nor_surer_than_on_its_page(p, raw_p, word):
    poor = finding(p=p, raw_p=raw_p, interval=(-0.2, -0.01), difference=-0.1)
    even = finding(interval=(-0.1, 0.1), p=0.9)
    assert BETTER.words([poor, even, even])[0] == word


@pytest.mark.parametrize(("changes", "word"), [({}, "undecided"), ({"interval": (-0.3, -0.1)}, "does not hold")])
def test_a_claim_of_which_only_a_part_was_measured_may_fail_and_cannot_hold(changes, word, monkeypatch):
    monkeypatch.setattr(Evidence, "paired", lambda *_: [finding(**changes)])
    row = said(Evidence())[6]
    assert len(row.findings) == 1
    assert row.verdict == word


def test_a_claim_about_several_things_holds_where_each_does():
    assert all_together(["holds", "holds"]) == "holds"
    assert all_together(["holds", "undecided"]) == "undecided"
    assert all_together(["undecided", "does not hold"]) == "does not hold"


@pytest.mark.parametrize(("rates", "word"), [((5, 3), "holds"), ((4, 4), "undecided"), ((3, 5), "does not hold")])
def test_a_study_answers_its_claim_with_its_own_figures(rates, word):
    arms = (Arm("whole", "AffectVLM, whole", "affect_vlm"), Arm("front", "front view only", "affect_vlm"))
    table = predictions({"whole": rates[0], "front": rates[1]})
    rows = [(arm.name, seed, 0, 1.0, 0.5) for arm in arms for seed in range(2)]
    learned = pd.DataFrame(rows, columns=["arm", "seed", "epoch", "seconds", "unseen_accuracy"])
    results = as_document(judge(arms, table, learned, np.random.default_rng(0)))
    document = {"account": ACCOUNT.to_document(), "arms": results}
    row = said(Evidence(studies={"ablation": json.loads(json.dumps(document))}))[4]
    assert row.verdict == word
    assert row.findings[0].values == pytest.approx((rates[0] / 6, rates[1] / 6))
    assert (row.findings[0].seeds, row.findings[0].subjects) == (2, 24)
    assert row.findings[0].made == "2026-01-02"
    assert said(Evidence(studies={"ablation": document}))[2].verdict == "not measured"


@pytest.fixture
def ablation():
    """A study that says that several views beat one, surely."""
    arms = (Arm("whole", "AffectVLM, whole", "affect_vlm"), Arm("front", "front view only", "affect_vlm"))
    rows = [(arm.name, 0, 0, 1.0, 0.5) for arm in arms]
    learned = pd.DataFrame(rows, columns=["arm", "seed", "epoch", "seconds", "unseen_accuracy"])
    results = judge(arms, predictions({"whole": 5, "front": 3}, seeds=1), learned, np.random.default_rng(0))
    return {"account": ACCOUNT.to_document(), "arms": as_document(results)}


def test_a_study_on_the_same_data_counts_and_one_on_others_is_left_out_and_says_why(ablation):
    same = said(Evidence(studies={"ablation": ablation}, present=ACCOUNT.basis))[4]
    assert (same.verdict, same.findings[0].stale, same.findings[0].remarks) == ("holds", "", ("changed: seed=3",))
    other = said(Evidence(studies={"ablation": ablation}, present=replace(ACCOUNT.basis, split="y" * 24)))[4]
    assert (other.verdict, other.verdicts) == ("not measured", ("left out",))
    assert "another split" in other.findings[0].stale
    assert other.findings[0].values == same.findings[0].values


def test_a_study_of_other_code_counts_and_is_marked(ablation):
    (found,) = said(Evidence(studies={"ablation": ablation}, present=replace(ACCOUNT.basis, code="new")))[4].findings
    assert found.stale == ""
    assert "other code (abcdef01)" in found.remarks


def test_a_study_that_gives_no_account_is_left_out(ablation):
    row = said(Evidence(studies={"ablation": ablation["arms"]}))[4]
    assert (row.verdict, row.verdicts) == ("not measured", ("left out",))
    assert "run it again" in row.findings[0].stale


def test_what_is_left_out_is_no_part_of_a_claim():
    known, old = finding(), finding(stale="made on another split")
    assert BETTER.words([known, old]) == ["holds", "left out"]
    assert all_together(["holds", "left out"]) == "holds"
    assert all_together(["left out", "left out"]) == "not measured"
    rows = {9: [json.loads(json.dumps(vars(part))) for part in (known, old)]}
    assert said(Evidence(findings=rows))[9].verdict == "holds"


def test_a_claim_of_which_a_part_is_left_out_cannot_hold(monkeypatch):
    parts = [finding(), finding(), finding(), finding(stale="made on another split")]
    monkeypatch.setattr(Evidence, "paired", lambda *_: parts)
    assert said(Evidence())[6].verdict == "undecided"


def test_a_model_that_is_surely_below_chance_does_not_recognise(sequences):
    (row,) = Evidence(predictions=sequences.assign(predicted="nothing", model="m")).beside_chance("m")
    assert BETTER.words([row]) == ["does not hold"]


def test_a_run_answers_reach_and_language(sequences):
    right = sequences.assign(predicted=sequences["expression"])
    poor = sequences.assign(predicted="fear")
    tables = {"smile_vlm.linear_probe": right, "cross_entropy": right, "smile_vlm.zero_shot": right,
              "smile_vlm.free_text": poor}  # fmt: skip
    together = pd.concat([table.assign(model=name) for name, table in tables.items()])
    rows = said(Evidence(predictions=together, seed=3))
    assert rows[7].verdict == "holds"
    assert [finding.source for finding in rows[7].findings] == ["this run, seed 3"]
    assert rows[10].verdicts == ("holds", "undecided")
    assert rows[10].verdict == "undecided"


def test_evidence_is_the_newest_version_of_what_is_there(tmp_path):
    folder = tmp_path / "corpus"
    assert EvidenceDataset(filepath=str(folder)).load() == {
        "studies": {}, "findings": {}, "cross_validations": [], "robustness": None, "answers": {}}  # fmt: skip
    for version, rows in (("2026-01-01T00", [1]), ("2026-01-02T00", [2])):
        place = folder / "studies/ablation.json" / version
        place.mkdir(parents=True)
        (place / "ablation.json").write_text(json.dumps(rows))
    (folder / "findings").mkdir()
    (folder / "findings/claim_9.json").write_text('[{"p": 3}]')
    loaded = EvidenceDataset(filepath=str(folder)).load()
    assert loaded["studies"] == {"ablation": [2]}
    assert loaded["findings"] == {"9": [{"p": 3, "made": ""}]}


def test_what_micro_expressions_showed_stands_beside_any_corpus(tmp_path):
    for corpus, day, rows in (
        ("micro", "2026-01-02", [{"p": 2}]), ("micro-2", "2026-01-03", [{"p": 3}]), ("later", "2026-01-04", []),
    ):  # fmt: skip
        place = tmp_path / corpus / "findings/claim_9.json" / f"{day}T10.00.00.000Z"
        place.mkdir(parents=True)
        (place / "claim_9.json").write_text(json.dumps(rows))
    (tmp_path / "micro/findings/claim_5.json").write_text("[3]")

    def beside(corpus):
        return EvidenceDataset(filepath=str(tmp_path / corpus)).load()["findings"]

    assert beside("faces") == beside("later") == {"9": [{"p": 3, "made": "2026-01-03"}]}
    assert beside("micro-2") == {"9": [{"p": 3, "made": "2026-01-03"}]}


def test_a_written_finding_answers_its_claim():
    row = json.loads(json.dumps(vars(finding(unit="UF1"))))
    assert said(Evidence(findings={9: [row]}))[9].verdict == "holds"


def test_few_people_decide_nothing():
    row = json.loads(json.dumps(vars(finding(subjects=9))))
    assert said(Evidence(findings={9: [row]}))[9].verdict == "undecided"


def test_claims_are_numbered_as_listed():
    assert [claim.number for claim in CLAIMS] == list(range(1, 11))


def test_always_the_commonest_expression_is_no_recognition(sequences):
    """On a corpus that mostly smiles, a model that always says so is right more often than one in six."""
    smiling = sequences.assign(expression=["happiness" if row % 3 else "fear" for row in range(len(sequences))])
    table = smiling.assign(predicted="happiness", model="smile_vlm.zero_shot")
    (row,) = Evidence(predictions=table).beside_chance("smile_vlm.zero_shot")
    assert row.values[0] == row.values[1] == pytest.approx((smiling["expression"] == "happiness").mean())
    assert BETTER.words([row]) == ["undecided"]
