import datetime
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from affect4d.experiments.settings import StudyOptions
from affect4d.experiments.variant_comparison_and_provenance import (
    DataProvenance,
    RegisteredContrasts,
    StudyProvenance,
    as_document,
    compare_variants,
    convergence,
    describe_changes,
    from_document,
    verdict,
)
from affect4d.experiments.variants import Variant
from affect4d.scans.splits import SubjectSplit

FIRST, OTHER = Variant("first", "the first", "affect_vlm"), Variant("other", "the other", "affect_vlm")


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


def curves(accuracies):
    """One list of accuracies a variant and seed; an epoch takes two seconds."""
    rows = [
        (variant, seed, epoch, 2.0 * (epoch + 1), accuracy)
        for (variant, seed), values in accuracies.items()
        for epoch, accuracy in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "epoch", "seconds", "unseen_accuracy"])


CURVES = curves({(variant, seed): [0.1, 0.5] for variant in ("first", "other") for seed in range(2)})


def judged(rates, learned=CURVES):
    return compare_variants((FIRST, OTHER), predictions(rates), learned, np.random.default_rng(0))


def test_accuracy_and_difference_are_counted_by_hand():
    first, other = judged({"first": 5, "other": 3})
    assert (first.accuracy, other.accuracy) == pytest.approx((5 / 6, 3 / 6))
    assert other.difference == pytest.approx(2 / 6)
    assert (first.difference, first.verdict) == (0, "")


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"first": 5, "other": 3}, "supported"),
        ({"first": 3, "other": 5}, "refuted"),
        ({"first": 4, "other": 4}, "equivalent"),
    ],
)
def test_the_verdict_follows_the_difference(rates, said):
    assert judged(rates)[1].verdict == said


def test_one_lucky_subject_decides_nothing():
    table = predictions({"first": 4, "other": 4})
    lucky = (table["variant"] == "first") & (table["subject"] == "S00")
    table.loc[lucky, "predicted"] = "anger"
    assert compare_variants((FIRST, OTHER), table, CURVES, np.random.default_rng(0))[1].verdict != "supported"


def test_a_verdict_needs_interval_and_test_to_agree():
    assert verdict((0.01, 0.1), 0.04, 10, 2) == "supported"
    assert verdict((0.01, 0.1), 0.06, 10, 2) == "inconclusive"
    assert verdict((-0.01, 0.1), 0.04, 10, 2) == "inconclusive"
    assert verdict((0.01, 0.1), 0.04, 10, 1) == "inconclusive"


@pytest.mark.parametrize(
    ("interval", "word"),
    [((-0.019, 0.019), "equivalent"), ((-0.021, 0.01), "inconclusive"), ((0.001, 0.019), "supported")],
)
def test_equivalent_is_an_interval_within_the_margin_that_is_not_significant(interval, word):
    assert verdict(interval, 0.01 if interval[0] > 0 else 0.5, 300, 12) == word


def test_a_training_that_swings_with_its_seed_is_undecided_however_many_subjects_are_tested():
    table = predictions({"first": 4, "other": 3}, subjects=300, seeds=2)
    lucky = (table["variant"] == "other") & (table["seed"] == 1)
    table.loc[lucky, "predicted"] = predictions({"other": 5}, 300, 1)["predicted"].to_numpy()
    found = compare_variants((FIRST, OTHER), table, CURVES, np.random.default_rng(0))[1]
    assert found.verdict == "inconclusive"


def test_p_is_corrected_over_the_primary_contrasts_alone():
    names = ["other", "third", "fourth"]
    variants = (FIRST, OTHER, *(Variant(name, name, "affect_vlm") for name in names[1:]))
    generator = np.random.default_rng(1)
    table = predictions(dict.fromkeys(["first", *names], 4), seeds=5)
    wrong = (generator.random(len(table)) < 0.2) & (table["variant"] != "first")
    table.loc[wrong, "predicted"] = "fear"
    learned = curves({(name, seed): [0.1, 0.5] for name in ["first", *names] for seed in range(5)})
    rows = {row.variant: row for row in compare_variants(variants, table, learned, np.random.default_rng(0), ["other"])}
    assert [rows[name].primary for name in names] == [True, False, False]
    assert rows["other"].p == rows["other"].raw_p
    assert max(rows[name].p / rows[name].raw_p for name in names[1:]) == pytest.approx(2)


def test_a_missing_trial_is_named():
    table = predictions({"first": 4, "other": 4})
    table = table[(table["variant"] != "other") | (table["seed"] != 1) | (table["subject"] != "S03")]
    with pytest.raises(ValueError, match="'other' with seed 1 lacks predictions"):
        compare_variants((FIRST, OTHER), table, CURVES, np.random.default_rng(0))


def test_contrasts_are_fixed_by_the_first_run(tmp_path):
    options = StudyOptions(name="ablation", primary=("front", "unmixed"))
    file = tmp_path / "contrasts/ablation.json"
    first = RegisteredContrasts.fixed(file, options, "2026-01-02")
    later = StudyOptions(name="ablation", primary=("front",))
    again = RegisteredContrasts.fixed(file, later, "2026-02-03")
    assert again == first
    assert again.digest == first.digest
    assert again.changed(options) == ""
    changed = again.changed(later)
    assert "fixed on 2026-01-02 as front, unmixed, and are now front: no verdict" in changed
    assert "studies.ablation.primary" in changed


@pytest.mark.parametrize(("people", "said"), [(9, "inconclusive"), (10, "supported")])
def test_of_few_people_nothing_is_decided_as_in_the_claims_table(people, said):
    other = compare_variants(
        (FIRST, OTHER), predictions({"first": 6, "other": 0}, people), CURVES, np.random.default_rng(0)
    )[1]
    assert other.p < 0.05
    assert other.verdict == said


def test_convergence_is_the_first_epoch_at_nine_tenths_of_the_best_end():
    learned = curves({("first", 0): [0.2, 0.9, 1.0], ("other", 0): [0.1, 0.5, 0.85], ("first", 1): [0.9, 0.5, 1.0],
                      ("other", 1): [0.1, 0.2, 0.95]})  # fmt: skip
    found = convergence(learned)
    assert found.loc[("first", 0)].tolist() == [2, 4.0]
    assert found.loc[("first", 1)].tolist() == [1, 2.0]
    assert found.loc[("other", 0)].isna().all()
    assert found.loc[("other", 1)].tolist() == [3, 6.0]


def test_who_never_gets_there_is_later():
    learned = curves({("first", 0): [0.2, 1.0], ("other", 0): [0.1, 0.5], ("first", 1): [0.2, 1.0],
                      ("other", 1): [0.1, 0.95]})  # fmt: skip
    first, other = judged({"first": 5, "other": 3}, learned)
    assert (other.sooner, other.reached, other.sooner_p) == (1, 1, 0.5)
    assert first.reached == 2


def test_results_survive_json():
    results = judged({"first": 5, "other": 3})
    again = from_document(as_document(results))
    assert as_document(again) == as_document(results)


def test_a_variant_is_compared_with_the_one_it_names():
    variants = (FIRST, OTHER, Variant("baseline", "baseline of the other", "cross_entropy", against="other"),
            Variant("alone", "compared with nobody", "smile_vlm", against="alone"),
            Variant("left", "whose other was not run", "smile_vlm", against="missing"))  # fmt: skip
    names = [variant.name for variant in variants]
    learned = curves({(name, seed): [0.1, 0.5] for name in names for seed in range(2)})
    table = predictions({"first": 5, "other": 4, "baseline": 2, "alone": 1, "left": 1})
    rows = {row.variant: row for row in compare_variants(variants, table, learned, np.random.default_rng(0))}
    assert [rows[name].against for name in names] == ["", "first", "other", "", ""]
    assert rows["baseline"].difference == pytest.approx((4 - 2) / 6)
    assert rows["baseline"].verdict == "supported"
    assert (rows["alone"].verdict, rows["alone"].difference) == ("", 0)


def test_one_person_alone_is_undecided():
    table = predictions({"first": 5, "other": 1}, subjects=1)
    other = compare_variants((FIRST, OTHER), table, CURVES, np.random.default_rng(0))[1]
    assert other.verdict == "inconclusive"


CORPUS = {"name": "faces", "benchmark": {"name": "open", "version": 2, "verdict": "equal"}}
STARTED = {"changes": {"model.encoder.width": 64}, "commit": "abcdef0123456789"}


def basis(sequences, split, pictures="full"):
    views = sequences[["sequence"]].assign(checksum=pictures, views="front")
    return DataProvenance.of(CORPUS, split, sequences, views)


@pytest.fixture
def provenance(sequences, split):
    options = StudyOptions(name="convergence", seeds=(0, 1))
    tested = pd.DataFrame({"subject": ["A", "B", "A"]})
    made = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)
    registered = RegisteredContrasts("convergence", (), "2026-01-01")
    return StudyProvenance.of(basis(sequences, split), options, tested, STARTED, made, registered)


def test_an_account_tells_what_was_run_and_survives_json(provenance, sequences, split):
    assert (provenance.basis.subjects, provenance.basis.sequences) == (sequences["subject"].nunique(), len(sequences))
    assert (provenance.basis.split, provenance.basis.benchmark) == (split.digest, "open version 2")
    assert (provenance.seeds, provenance.tested, provenance.day) == ((0, 1), 2, "2026-01-02")
    assert StudyProvenance.from_document(json.loads(json.dumps(provenance.to_document()))) == provenance


def test_a_corpus_that_is_no_benchmark_has_none(sequences, split):
    assert DataProvenance.of({"name": "mine"}, split, sequences, sequences.assign(checksum="")).benchmark == ""


def test_the_same_data_are_not_stale(provenance, sequences, split):
    assert provenance.stale(basis(sequences, split)) == ""
    assert replace(provenance, changes={}).remarks(basis(sequences, split)) == ()


def test_other_data_are_named(provenance, sequences, split):
    fewer, turned = sequences.iloc[6:], SubjectSplit(split.test, split.train, 0)
    assert "the present data are faces with 9 subjects and 54 sequences" in provenance.stale(basis(fewer, split))
    assert split.digest[:8] in provenance.stale(basis(sequences, turned))
    voices = DataProvenance.of({"name": "voices"}, split, sequences, sequences.assign(checksum=""))
    assert "made on faces with 10 subjects" in provenance.stale(voices)
    relabelled = sequences.assign(expression=sequences["expression"].iloc[::-1].to_numpy())
    assert basis(relabelled, split).data[:8] in provenance.stale(basis(relabelled, split))


def test_other_images_and_parameters_are_remarked_on_and_count(provenance, sequences, split):
    present = basis(sequences, split, "drawn anew")
    assert provenance.stale(present) == ""
    assert provenance.remarks(present) == ("other images of the same scans", "changed: model.encoder.width=64")
    assert replace(provenance, changes=None).remarks(provenance.basis) == ("parameters not recorded",)


def test_a_corpus_that_is_not_as_frozen_says_so(sequences, split):
    made = {"name": "faces", "benchmark": {**CORPUS["benchmark"], "verdict": "changed recipe"}}
    found = DataProvenance.of(made, split, sequences, sequences.assign(checksum=""))
    assert found.benchmark == "open version 2 (changed recipe)"


def test_many_changes_are_told_by_a_few_and_their_number():
    changes = {"a": 1, "b.c": [0, 1], "d": "x"}
    assert describe_changes(changes) == "a=1, b.c=[0, 1], d=x"
    assert describe_changes(changes, most=2) == "a=1, b.c=[0, 1] and 1 more"
    assert describe_changes({}, most=2) == ""


def test_changed_code_is_told_from_the_commit(provenance, sequences, split):
    present = replace(basis(sequences, split), code="another")
    assert "other code or libraries (abcdef01+)" in replace(provenance, commit="abcdef01" * 5 + "+").stale(present)


def test_what_to_type_again_has_the_changed_parameters(provenance):
    changes = {"studies.ablation.seeds": [0, 1], "train.epochs": 3, "raw_corpus.subjects": 4}
    assert replace(provenance, changes=changes).command("ablation") == (
        f"kedro run --pipeline=study_ablation --params corpus={provenance.basis.corpus},"
        "studies.ablation.seeds=0+1,train.epochs=3"
    )
