import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from affect4d.evaluation.significance import sign_test
from affect4d.experiments.claims import (
    BETTER,
    CLAIMS,
    EQUIVALENT,
    NO_ANSWER,
    NOT_INFERIOR,
    SOONER,
    Evidence,
    Finding,
    claims_by_corpus,
    combined_verdict,
    evaluate_claims,
)
from affect4d.experiments.variant_comparison_and_provenance import (
    DataProvenance,
    StudyProvenance,
    as_document,
    compare_variants,
)
from affect4d.experiments.variants import Variant

BASIS = DataProvenance("faces", "", subjects=24, sequences=144, split="s" * 24, data="d", views="v", code="c")
PROVENANCE = StudyProvenance(
    BASIS, (0,), None, tested=24, primary=(), contrasts="d", changed_contrasts="", changes={"seed": 3},
    commit="abcdef0123", made="2026-01-02T03:04"
)  # fmt: skip


def predictions(rates, subjects=24, seeds=2, sequences=6):
    """Predictions in which each variant names so many of each subject's sequences right."""
    rows = [
        (variant, seed, f"S{subject:02d}/{number}", f"S{subject:02d}", "anger", "anger" if number < right else "fear")
        for variant, right in rates.items()
        for seed in range(seeds)
        for subject in range(subjects)
        for number in range(sequences)
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "sequence", "subject", "expression", "predicted"])


def finding(**changes):
    parts = {
        "first": "a", "second": "b", "values": (0.8, 0.7), "difference": 0.1, "interval": (0.02, 0.2), "p": 0.01,
        "test": "t", "seeds": 12, "subjects": 24, "source": "here",
    }  # fmt: skip
    return Finding(**{**parts, **changes})


def in_seeds(sooner, later):
    tests = {"p": sign_test(sooner, later), "p_worse": sign_test(later, sooner)}
    return finding(interval=None, sooner=sooner, later=later, unit="epochs", **tests)


def said(evidence):
    return {row.number: row for row in evaluate_claims(evidence)}


def test_without_any_run_every_claim_is_not_measured():
    rows = said(Evidence())
    assert list(rows) == list(range(1, 11))
    assert {row.verdict for row in rows.values()} == {"not measured"}
    assert all(row.how for row in rows.values())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "supported"),
        ({"p": 0.06}, "inconclusive"),
        ({"interval": (-0.01, 0.2)}, "inconclusive"),
        ({"interval": (-0.3, -0.1), "difference": -0.2}, "refuted"),
    ],
)
def test_better_needs_interval_and_test(changes, word):
    assert BETTER.verdicts([finding(**changes)]) == [word]


@pytest.mark.parametrize(
    ("interval", "word"), [((-0.04, 0.02), "supported"), ((-0.1, 0.02), "inconclusive"), ((-0.2, -0.06), "refuted")]
)
def test_reach_is_decided_by_the_interval(interval, word):
    assert NOT_INFERIOR.verdicts([finding(interval=interval, p=0.9)]) == [word]


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((-0.019, 0.019), "supported"), ((-0.03, 0.01), "inconclusive"), ((-0.01, 0.03), "inconclusive"),
        ((-0.2, -0.03), "refuted"), ((0.03, 0.2), "refuted"),
    ],
)  # fmt: skip
def test_sameness_is_decided_by_the_interval_on_both_sides(interval, word):
    assert EQUIVALENT.verdicts([finding(interval=interval, p=0.9)]) == [word]


@pytest.mark.parametrize(("sooner", "later", "word"), [(5, 0, "supported"), (0, 5, "refuted"), (3, 2, "inconclusive")])
def test_sooner_counts_seeds(sooner, later, word):
    assert SOONER.verdicts([in_seeds(sooner, later)]) == [word]


def test_one_part_that_fails_by_chance_does_not_settle_a_claim_of_several():
    """Of three parts, one fails at p 0.03 more often than one time in twenty though nothing is worse (Holm 1979)."""
    poor = {"interval": (-0.2, -0.01), "difference": -0.1}
    even = finding(interval=(-0.1, 0.1), p=0.9)
    assert BETTER.verdicts([finding(p=0.03, **poor), even, even]) == ["inconclusive"] * 3
    assert BETTER.verdicts([finding(p=0.01, **poor), even, even])[0] == "refuted"
    assert BETTER.verdicts([finding(p=p, **poor) for p in (0.01, 0.02, 0.04)]) == ["refuted"] * 3


def test_parts_that_all_hold_need_no_correction():
    assert BETTER.verdicts([finding(p=0.04)] * 3) == ["supported"] * 3


def test_seeds_are_corrected_over_the_parts_too():
    """Five seeds, all later: 1/32 for one part, and 3/32 for three."""
    even = in_seeds(2, 2)
    assert SOONER.verdicts([in_seeds(0, 5), even, even]) == ["inconclusive"] * 3
    assert SOONER.verdicts([in_seeds(0, 6), even, even]) == ["refuted", "inconclusive", "inconclusive"]
    assert SOONER.verdicts([in_seeds(5, 0)] * 3) == ["supported"] * 3


@pytest.mark.parametrize(("p", "raw_p", "word"), [(0.04, 0.001, "refuted"), (0.08, 0.001, "inconclusive")])
def test_what_a_study_has_corrected_is_neither_corrected_twice_nor_surer_than_on_its_page(p, raw_p, word):
    poor = finding(p=p, raw_p=raw_p, interval=(-0.2, -0.01), difference=-0.1)
    even = finding(interval=(-0.1, 0.1), p=0.9)
    assert BETTER.verdicts([poor, even, even])[0] == word


@pytest.mark.parametrize(("changes", "word"), [({}, "inconclusive"), ({"interval": (-0.3, -0.1)}, "refuted")])
def test_a_claim_of_which_only_a_part_was_measured_may_fail_and_cannot_hold(changes, word, monkeypatch):
    monkeypatch.setattr(Evidence, "variants", lambda *_: [finding(**changes)])
    row = said(Evidence())[8]
    assert len(row.findings) == 1
    assert row.verdict == word


def test_a_claim_about_several_things_holds_where_each_does():
    assert combined_verdict(["supported", "supported"]) == "supported"
    assert combined_verdict(["supported", "inconclusive"]) == "inconclusive"
    assert combined_verdict(["inconclusive", "refuted"]) == "refuted"


@pytest.mark.parametrize(("rates", "word"), [((5, 3), "supported"), ((4, 4), "equivalent"), ((3, 5), "refuted")])
def test_a_study_answers_its_claim_with_its_own_figures(rates, word):
    variants = (Variant("full", "AffectVLM, whole", "affect_vlm"), Variant("front", "front view only", "affect_vlm"))
    table = predictions({"full": rates[0], "front": rates[1]})
    rows = [(variant.name, seed, 0, 1.0, 0.5) for variant in variants for seed in range(2)]
    learned = pd.DataFrame(rows, columns=["variant", "seed", "epoch", "seconds", "unseen_accuracy"])
    results = as_document(compare_variants(variants, table, learned, np.random.default_rng(0)))
    document = {"provenance": PROVENANCE.to_document(), "variants": results}
    row = said(Evidence(studies={"ablation": json.loads(json.dumps(document))}))[4]
    assert row.verdict == word
    assert row.findings[0].values == pytest.approx((rates[0] / 6, rates[1] / 6))
    assert (row.findings[0].seeds, row.findings[0].subjects) == (2, 24)
    assert row.findings[0].made == "2026-01-02"
    assert said(Evidence(studies={"ablation": document}))[2].verdict == "not measured"


@pytest.fixture
def ablation():
    """A study that says that several views beat one, surely."""
    variants = (Variant("full", "AffectVLM, whole", "affect_vlm"), Variant("front", "front view only", "affect_vlm"))
    rows = [(variant.name, seed, 0, 1.0, 0.5) for variant in variants for seed in range(2)]
    learned = pd.DataFrame(rows, columns=["variant", "seed", "epoch", "seconds", "unseen_accuracy"])
    results = compare_variants(variants, predictions({"full": 5, "front": 3}), learned, np.random.default_rng(0))
    return {"provenance": PROVENANCE.to_document(), "variants": as_document(results)}


def test_a_study_on_the_same_data_counts_and_one_on_others_is_left_out_and_says_why(ablation):
    same = said(Evidence(studies={"ablation": ablation}, present=PROVENANCE.basis))[4]
    assert (same.verdict, same.findings[0].stale, same.findings[0].remarks) == ("supported", "", ("changed: seed=3",))
    other = said(
        Evidence(studies={"ablation": ablation}, present=replace(PROVENANCE.basis, split="y" * 24, data="other"))
    )[4]
    assert (other.verdict, other.verdicts) == ("not measured", ("excluded",))
    assert "(split yyyyyyyy, data other)" in other.findings[0].stale
    assert other.findings[0].values == same.findings[0].values


def test_a_study_of_other_code_does_not_count_and_is_named(ablation):
    claim = said(Evidence(studies={"ablation": ablation}, present=replace(PROVENANCE.basis, code="new")))[4]
    assert claim.verdict == "not measured"
    assert claim.findings[0].stale == "made by other code or libraries (abcdef01): run the study again"


def test_a_study_of_an_earlier_version_does_not_count(ablation):
    for document in (ablation["variants"], {"account": {}, "arms": []}):
        assert said(Evidence(studies={"ablation": document}))[4].verdict == "not measured"


def test_what_is_left_out_is_no_part_of_a_claim():
    known, old = finding(), finding(stale="made on another split")
    assert BETTER.verdicts([known, old]) == ["supported", "excluded"]
    assert combined_verdict(["supported", "excluded"]) == "supported"
    assert combined_verdict(["excluded", "excluded"]) == "not measured"
    rows = {9: [json.loads(json.dumps(vars(part))) for part in (known, old)]}
    assert said(Evidence(findings=rows))[9].verdict == "supported"


def test_a_claim_of_which_a_part_is_left_out_cannot_hold(monkeypatch):
    parts = [finding(), finding(), finding(stale="made on another split")]
    monkeypatch.setattr(Evidence, "variants", lambda *_: parts)
    assert said(Evidence())[8].verdict == "inconclusive"


def test_a_part_that_makes_no_difference_makes_a_claim_equivalent(monkeypatch):
    same = finding(difference=0.0, interval=(-0.01, 0.01), p=0.8)
    monkeypatch.setattr(Evidence, "variants", lambda *_: [finding(), finding(), same])
    row = said(Evidence())[8]
    assert (row.verdict, row.verdicts) == ("equivalent", ("supported", "supported", "equivalent"))


def test_one_seed_decides_nothing():
    assert BETTER.verdicts([finding(seeds=1)]) == ["inconclusive"]


def test_a_study_whose_contrasts_changed_does_not_count(ablation):
    ablation["provenance"]["changed_contrasts"] = "The primary contrasts were fixed …"
    row = said(Evidence(studies={"ablation": ablation}, present=PROVENANCE.basis))[4]
    assert (row.verdict, row.findings[0].stale) == ("not measured", "The primary contrasts were fixed …")


def supervision(rates):
    """A study of supervision with these right answers of six; five of six sequences show fear."""
    variants = [Variant(name, name, "smile_vlm") for name in rates]
    rows = [(name, seed, 0, 1.0, 0.5) for name in rates for seed in range(2)]
    learned = pd.DataFrame(rows, columns=["variant", "seed", "epoch", "seconds", "unseen_accuracy"])
    table = predictions(rates)
    right = table["predicted"] == "anger"
    table["expression"] = ["fear" if place % 6 else "anger" for place in range(len(table))]
    table["predicted"] = table["expression"].where(right, "nothing")
    results = compare_variants(variants, table, learned, np.random.default_rng(0))
    return {"provenance": PROVENANCE.to_document(), "variants": as_document(results)}


def test_a_study_of_supervision_answers_reach_and_language():
    study = supervision({"smile_vlm": 6, "cross_entropy": 6, "untrained": 2, "zero_shot": 6, "free_text": 5})
    rows = said(Evidence(studies={"supervision": study}))
    assert rows[7].verdict == "supported"
    assert [finding.source for finding in rows[7].findings] == ["study_supervision"]
    assert rows[10].verdicts[0] == "supported"


def test_recognition_is_more_than_always_the_most_frequent_expression():
    study = supervision({"smile_vlm": 6, "zero_shot": 5, "free_text": 1})
    row = said(Evidence(studies={"supervision": study}))[10]
    assert [one.values[1] for one in row.findings] == pytest.approx([5 / 6, 5 / 6])
    assert row.verdicts == ("equivalent", "refuted")


def test_a_written_finding_answers_its_claim():
    row = json.loads(json.dumps(vars(finding(unit="UF1"))))
    assert said(Evidence(findings={9: [row]}))[9].verdict == "supported"


def test_few_people_decide_nothing():
    row = json.loads(json.dumps(vars(finding(subjects=9))))
    assert said(Evidence(findings={9: [row]}))[9].verdict == "inconclusive"


def test_claims_are_numbered_as_listed():
    assert [claim.number for claim in CLAIMS] == list(range(1, 11))


def answer(corpus, day, *verdicts, training_subjects=None):
    claims = [{"number": number, "verdict": word} for number, word in enumerate(verdicts, 1)]
    return {"corpus": corpus, "training_subjects": training_subjects, "day": day, "claims": claims}


def test_every_claim_has_a_row_and_every_corpus_a_column():
    found = claims_by_corpus(
        [answer("b", "2026-01-02", "supported", "inconclusive"), answer("a", "2026-01-01", "refuted")]
    )
    assert found.corpora == (("a", "2026-01-01"), ("b", "2026-01-02"))
    assert [number for number, _, _ in found.rows] == [claim.number for claim in CLAIMS]
    assert found.rows[0][2] == ("refuted", "supported")
    assert found.rows[1][2] == (NO_ANSWER, "inconclusive")


def test_each_number_of_training_subjects_has_a_column_and_the_later_answer_counts():
    found = claims_by_corpus(
        [
            answer("a", "2026-01-01", "refuted", training_subjects=40),
            answer("a", "2026-01-02", "inconclusive"),
            answer("a", "2026-01-03", "supported", training_subjects=40),
        ]
    )
    assert found.corpora == (("a", "2026-01-02"), ("a, 40 training subjects", "2026-01-03"))
    assert found.rows[0][2] == ("inconclusive", "supported")


def test_where_nobody_answered_there_are_no_columns():
    found = claims_by_corpus([])
    assert found.corpora == ()
    assert {verdicts for _, _, verdicts in found.rows} == {()}
