import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from affect4d.experiments.variant_comparison_and_provenance import (
    DataProvenance,
    StudyProvenance,
    as_document,
    compare_variants,
)
from affect4d.experiments.variants import study_named
from affect4d.reporting.pages import render_study, size_curves, size_studies

BASIS = DataProvenance("<open>", "", subjects=12, sequences=12, split="s" * 24, data="d", views="v", code="c" * 24)
PROVENANCE = StudyProvenance(
    BASIS,
    (0, 1),
    None,
    tested=12,
    primary=(),
    contrasts="d",
    changed_contrasts="",
    changes={"render.size": 48},
    commit="abc+",
    made="2026-01-02T03:04:05",
)


def page_of(context):
    return render_study(**context)[0]


def markdown_of(context):
    return render_study(**context)[1]


@pytest.fixture
def context():
    study = study_named("convergence", ("cross_entropy",))
    rows = [
        (
            variant,
            seed,
            f"{subject}/anger",
            subject,
            "anger",
            "anger" if variant == "affect_vlm" or subject == "S0" else "fear",
        )
        for variant in ("affect_vlm", "cross_entropy")
        for seed in range(2)
        for subject in (f"S{number}" for number in range(12))
    ]
    predictions = pd.DataFrame(rows, columns=["variant", "seed", "sequence", "subject", "expression", "predicted"])
    curves = pd.DataFrame(
        {
            "variant": ["affect_vlm"] * 4 + ["cross_entropy"] * 4,
            "seed": [0, 0, 1, 1] * 2,
            "epoch": [0, 1] * 4,
            "seconds": [1.0, 2.0] * 4,
            "unseen_accuracy": [0.5, 1.0] * 2 + [0.02, 0.08] * 2,
            "accuracy": [0.9] * 8,
            "alpha": [0.3, 0.2] * 2 + [np.nan] * 4,
        }
    )
    return {
        "study": study,
        "results": compare_variants(study.variants, predictions, curves, np.random.default_rng(0)),
        "curves": curves,
        "provenance": PROVENANCE,
        "command": "kedro run",
        "versions": {"affect4d": "0"},
    }


def test_curves_over_numbers_of_subjects_are_drawn_in_order_and_by_part_of_a_mixture(context):
    study = study_named("scale")
    small, large = (replace(context["results"][0], variant=f"affect_vlm_{size}", parts={}) for size in (20, 160))
    points = size_curves(study, [large, small])
    assert [size for size, *_ in points["AffectVLM"]] == [20, 160]
    parted = [replace(row, parts={"one": 0.25, "two": 0.75}) for row in (small, large)]
    assert list(size_curves(study, parted)) == ["AffectVLM, tested on one", "AffectVLM, tested on two"]
    page, tables = render_study(**{**context, "study": study, "results": parted})
    assert 'data-figure="sizes"' in page
    assert "<th>on one</th>" in page
    assert tables.count(" 25.0 | 75.0 |\n") == 2
    assert 'data-figure="sizes"' not in page_of(context)


def test_a_study_without_learning_curves_has_results_and_no_speed(context):
    """As of untracked variants, baselines and a start that is not trained."""
    flat = (
        context["curves"]
        .drop_duplicates(["variant", "seed"])
        .assign(unseen_accuracy=np.nan)[["variant", "seed", "epoch", "seconds", "unseen_accuracy"]]
    )
    rows = [
        (variant, seed, f"one:S{number}/anger", f"one:S{number}", "anger", "anger" if number < 6 else "fear")
        for variant in ("affect_vlm", "cross_entropy")
        for seed in range(2)
        for number in range(12)
    ]
    predictions = pd.DataFrame(rows, columns=["variant", "seed", "sequence", "subject", "expression", "predicted"])
    results = compare_variants(context["study"].variants, predictions, flat, np.random.default_rng(0))
    assert [(row.accuracy, row.reached, row.parts) for row in results] == [(0.5, 0, {"one": 0.5})] * 2
    page, _ = render_study(**{**context, "results": results, "curves": flat})
    assert 'id="speed"' not in page


def test_the_report_draws_stored_studies_over_numbers_of_subjects_alone(context):
    document = {"provenance": PROVENANCE.to_document(), "variants": as_document(context["results"])}
    assert size_studies({"convergence": document, "scale": {"variants": []}}) == {}
    (first, second) = context["results"]
    sized = as_document([replace(first, variant="tuned_3"), replace(second, variant="scratch_3")])
    (found,) = size_studies({"fine_tuning": {**document, "variants": sized}}).values()
    assert list(found["curves"]) == ["fine-tuned", "from scratch"]
    assert found["provenance"].command("fine_tuning").startswith("kedro run --pipeline=study_fine_tuning")


def test_the_page_says_what_was_judged(context):
    page = page_of(context)
    assert "&lt;open&gt;" in page
    assert "<open>" not in page
    assert "never" in page  # cross-entropy does not get to 90 % of the best
    assert page.count("<td>supported</td>") == 1


def test_the_markdown_has_one_row_a_variant_in_both_tables(context):
    rows = [line for line in markdown_of(context).splitlines() if line.startswith("|")]
    assert sum("cross-entropy" in row for row in rows) == 2
    assert len({row.count("|") for row in rows[:4]}) == 1


def test_the_curve_on_unseen_subjects_is_not_the_one_on_training_subjects(context):
    page = page_of(context)
    assert 'id="figure-unseen_accuracy"' in page
    assert 'id="figure-accuracy"' not in page


@pytest.mark.parametrize("render", [page_of, markdown_of])
def test_what_intervals_and_tests_do_not_say_is_told(context, render):
    text = " ".join(render(context).split())
    assert "Intervals cover training seeds and test subjects" in text
    assert "fewer than 10 test subjects" in text
    assert "within ±2 points" in text


@pytest.mark.parametrize("render", [page_of, markdown_of])
def test_the_provenance_is_told(context, render):
    text = render(context)
    assert "<open>" in text.replace("&lt;", "<").replace("&gt;", ">")
    for told in (BASIS.split, "render.size=48", "abc+", "2026-01-02"):
        assert told in text


@pytest.mark.parametrize("render", [page_of, markdown_of])
@pytest.mark.parametrize(("changes", "told"), [(None, "not recorded"), ({}, "conf/base")])
def test_parameters_are_told_even_where_none_was_changed_or_nobody_knows(context, render, changes, told):
    text = render({**context, "provenance": replace(PROVENANCE, changes=changes)})
    assert told in text
    assert "render.size" not in text


def cells(text, heading):
    """Rows of the table under a heading of the page, as lists of words."""
    part = text[text.index(heading) :]
    rows = re.findall(r"<tr.*?</tr>", part[: part.index("</table>")], re.DOTALL)
    return [[re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<td>.*?</td>", row)] for row in rows[1:]]


def test_the_speed_table_counts_epochs_seconds_and_seeds(context):
    first, other = cells(page_of(context), "How soon")
    assert first == ["AffectVLM: L_align + L_mc + L_mt", "2.0", "2", "2 of 2", "–", "–"]
    assert other == ["cross-entropy", "never", "never", "0 of 2", "2 of 2", "0.250"]


def test_the_markdown_says_of_speed_what_the_page_says(context):
    page = cells(page_of(context), "How soon")
    lines = [line for line in markdown_of(context).splitlines() if line.startswith("|")]
    speed = lines[[line.startswith("| variant | epochs") for line in lines].index(True) + 2 :]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in speed] == page


def test_a_study_that_is_not_watched_has_no_speed(context):
    unwatched = context["curves"].assign(unseen_accuracy=np.nan)
    page = page_of({**context, "curves": unwatched})
    assert "How soon" not in page
    assert 'href="#speed"' not in page


@pytest.fixture
def few_labels(context):
    """Label efficiency: each number of labelled subjects has its own pair."""
    study = study_named("label_efficiency", ("scratch_3", "smile_5", "scratch_5"))
    right = {"smile_3": 3, "scratch_3": 1, "smile_5": 3, "scratch_5": 4}
    rows = [
        (variant, seed, f"S{subject}/{number}", f"S{subject}", "anger", "anger" if number < rate else "fear")
        for variant, rate in right.items()
        for seed in range(2)
        for subject in range(12)
        for number in range(4)
    ]
    table = pd.DataFrame(rows, columns=["variant", "seed", "sequence", "subject", "expression", "predicted"])
    learned = [
        (variant, seed, 0, 1.0, 0.5 if variant.startswith("scratch") else np.nan)
        for variant in right
        for seed in range(2)
    ]
    curves = pd.DataFrame(learned, columns=["variant", "seed", "epoch", "seconds", "unseen_accuracy"])
    results = compare_variants(study.variants, table, curves, np.random.default_rng(0))
    return {**context, "study": study, "results": results, "curves": curves}


def test_few_labels_are_compared_within_their_pairs_and_the_page_says_with_whom(few_labels, context):
    page = page_of(few_labels)
    assert "the one in bold above" in page
    assert page.count('<tr class="model"><td>SMILE-VLM, then a linear probe on') == 2
    assert "in bold" not in page_of(context)
    rows = {row[0]: row for row in cells(page, "Accuracy, and what")}
    alone = [rows[f"SMILE-VLM, then a linear probe on {count} labelled subjects"] for count in (3, 5)]
    assert [row[4:] for row in alone] == [["–"] * 4] * 2
    fewer, more = (rows[f"cross-entropy from scratch on {count} labelled subjects"] for count in (3, 5))
    assert (fewer[4], fewer[7]) == ("+50.0", "supported")
    assert (more[4], more[7]) == ("−25.0", "refuted")
    assert "refuted (“smile_5”)" in markdown_of(few_labels)


def test_a_peer_of_another_variant_is_not_told_to_be_later_than_the_first(few_labels):
    watched = {**few_labels, "curves": few_labels["curves"].fillna({"unseen_accuracy": 0.5})}
    rows = {row[0]: row[4:] for row in cells(page_of(watched), "How soon")}
    assert rows["cross-entropy from scratch on 5 labelled subjects"] == ["–", "–"]
    assert rows["cross-entropy from scratch on 3 labelled subjects"] != ["–", "–"]


@pytest.mark.parametrize("render", [page_of, markdown_of])
def test_primary_contrasts_are_marked_and_changed_ones_are_told(context, render):
    assert "● cross-entropy" not in render(context)
    fixed = replace(PROVENANCE, primary=("cross_entropy",), changed_contrasts="The contrasts changed.")
    text = render({**context, "provenance": fixed})
    assert "● cross-entropy" in text
    assert "The contrasts changed." in text


def test_the_page_draws_every_contrast(context):
    assert 'id="figure-contrasts"' in page_of(context)
