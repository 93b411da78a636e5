import base64
import datetime
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from affect4d.evaluation.metrics import chance_scores, score_folds, score_predictions
from affect4d.evaluation.significance import compare_predictions
from affect4d.evaluation.summary import write_summary
from affect4d.experiments.claims import (
    Evidence,
    Finding,
    claims_by_corpus,
    evaluate_claims,
)
from affect4d.experiments.variant_comparison_and_provenance import VariantResult, as_document
from affect4d.reporting.pages import (
    forest_plots,
    render_claims,
    render_model_card,
    render_report,
    render_report_markdown,
)
from affect4d.training.state_and_checkpoints import TrainingCost

SECTIONS = (
    "results",
    "trained",
    "confusion",
    "learning",
    "inside",
    "representation",
    "pictures",
    "cost",
    "versions",
    "use",
)


class Page(HTMLParser):
    """Elements of a page with their attributes, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.open_script = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open_script = dict(attributes).get("id") if tag == "script" else None

    def handle_data(self, data):
        if self.open_script:
            self.scripts[self.open_script] = data
            self.open_script = None


@pytest.fixture
def context(predictions, split, generator):
    scores = score_predictions(predictions, split, generator)
    one = {"accuracy": 0.5125, "interval": [0.4, 0.6], "macro_f1": 0.5}
    inset = {**scores, "settings": {"sequence": one, "apex_neutral": one, "single_scan": one}}
    still = {**scores, "settings": {"sequence": one, "apex_neutral": one}}
    summary = write_summary(
        corpus="synthetic <&>",
        protocol="subject-independent hold-out",
        split=split,
        seed=0,
        models={"affect_vlm": inset, "smile_vlm": {"linear_probe": scores, "knn": scores, "zero_shot": scores}},
        baselines={"chance": chance_scores(predictions), "pixel_knn": still},
        seconds={"ingest": 12.5, "render": 30.0},
        versions={"affect4d": "0.1.0", "git": "abc"},
    )
    shots = {"accuracy": 0.5, "interval": [0.4, 0.6], "spread": 0.02, "draws": 20}
    found = {"recall_1": 0.31, "recall_5": 0.8, "mean_average_precision": 0.4, "chance": 0.17, "queries": 24}
    retrieval = {"free_text": {"text_to_scan": found, "scan_to_text": found}}
    few = {"1": shots, "5": {**shots, "accuracy": 0.55}}
    representations = {"smile_vlm": {"few_shot": few, "retrieval": retrieval}, "untrained_encoder": {"few_shot": few}}
    places = predictions[["sequence", "subject", "expression"]].assign(x=0.1, y=-0.2)
    epochs = np.repeat(np.arange(3), 2)
    history = pd.DataFrame({"epoch": epochs, "step": range(6), "loss": 1.0, "align": 0.5, "alpha": 0.4})
    return {
        "summary": summary,
        "split": split,
        "corpus": "Invented faces.",
        "synthetic": True,
        "counts": {"Scans read": 1234},
        "histories": {"affect_vlm": history},
        "costs": {
            "affect_vlm": TrainingCost(2.5e9, 4000, 20.0, 0.5, peak_bytes=2**30).summary(),
            "smile_vlm": TrainingCost().summary(),
        },
        "view_weights": {"affect_vlm": {"front": 0.6, "left": 0.4}},
        "purity": {"coverage": 0.9, "accuracy": 0.7, "by_expression": {"anger": 0.7}, "sequences": 10},
        "pictures": [{"title": "A sheet", "caption": "Two views.", "image": Image.new("RGB", (8, 4), "teal")}],
        "comparisons": [
            {
                "first": "affect_vlm",
                "second": "pixel_knn",
                **asdict(compare_predictions(predictions, predictions, generator)),
            }
        ],
        "representations": representations,
        "embedding_maps": pd.concat([places.assign(model=name) for name in ("smile_vlm", "untrained_encoder")]),
        "made": datetime.datetime(2026, 1, 2, 3, 4),
    }


@pytest.fixture
def text(context):
    return render_report(context)


@pytest.fixture
def page(text):
    return Page(text)


def test_every_section_is_there_and_reachable(page):
    assert [attributes["id"] for tag, attributes in page.elements if tag == "section"] == list(SECTIONS)
    links = {attributes["href"] for tag, attributes in page.elements if tag == "a"}
    assert links == {f"#{section}" for section in SECTIONS}


def test_the_page_loads_nothing_from_anywhere(page):
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "embed"}
        address = attributes.get("src")
        assert address is None or address.startswith("data:")
        assert tag != "script" or address is None
    policies = [attributes["content"] for tag, attributes in page.elements if attributes.get("http-equiv")]
    assert policies[0].startswith("default-src 'none'")


def test_every_place_for_a_figure_has_one(page):
    places = {attributes["data-figure"] for _, attributes in page.elements if "data-figure" in attributes}
    assert {"results", "seconds", "view-weights", "purity", "confusion-affect_vlm", "curve-affect_vlm-1"} <= places
    assert {"few-shot", "map-smile_vlm", "map-untrained_encoder"} <= places
    for place in places:
        assert json.loads(page.scripts[f"figure-{place}"])["data"]


def test_results_stand_beside_chance_with_their_interval(text, context):
    rows = re.findall(r"<td>([^<]+)</td><td>([\d.]+)</td><td>([^<]+)</td>", text)
    scores = context["summary"]["models"]["affect_vlm"]
    low, high = (f"{100 * bound:.0f}" for bound in scores["interval"])
    assert ("AffectVLM", f"{100 * scores['accuracy']:.1f}", f"{low} – {high}") in rows
    assert ("Chance", "16.7", "–") in rows


def test_retrieval_stands_beside_chance(text):
    rows = re.findall(r"<td>SMILE-VLM</td><td>(free text)</td><td>([^<]+)</td>\s*<td>(\d+)</td>", text)
    assert rows == [("free text", "text to scan", "31"), ("free text", "scan to text", "31")]


def test_names_from_outside_are_escaped(text):
    assert "synthetic &lt;&amp;&gt;" in text
    assert "synthetic <&>" not in text


def test_split_prohibition_and_synthetic_faces_are_told(text, context):
    assert context["split"].digest in text
    assert "February 2025" in text
    assert "These faces are synthetic" in text


def test_pictures_come_back_as_they_went_in(page):
    address = next(attributes["src"] for tag, attributes in page.elements if tag == "img")
    picture = Image.open(BytesIO(base64.b64decode(address.partition(",")[2])))
    assert picture.size == (8, 4)
    assert picture.getpixel((0, 0)) == (0, 128, 128)


def test_what_a_run_has_not_is_left_out(context, split):
    page = Page(
        render_report({"summary": context["summary"], "split": split, "corpus": "Invented faces.", "synthetic": False})
    )
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert sections == [name for name in SECTIONS if name not in {"learning", "inside", "representation", "pictures"}]


def test_a_model_card_tells_results_use_and_limits(context):
    card = render_model_card(
        "smile_vlm", context["summary"], corpus="Invented faces.", synthetic=True, text_encoder="minilm"
    )
    assert "Text encoder: minilm" in card
    assert card.startswith("# Model card: SMILE-VLM")
    assert "| **SMILE-VLM, zero-shot** |" in card
    assert "AffectVLM" not in card
    assert "## Limits" in card
    assert "February 2025" in card.replace("\n", " ")


def test_a_card_for_an_unknown_model_names_those_there_are(context):
    with pytest.raises(ValueError, match="affect_vlm, smile_vlm"):
        render_model_card("clip", context["summary"], corpus="", synthetic=True, text_encoder="minilm")


def test_the_cost_of_every_training_is_on_the_page(context):
    page = render_report(context)
    section = page[page.index('<section id="cost">') : page.index('<section id="versions">')]
    cells = re.findall(r"<td>(.*?)</td>", section)
    assert cells[:7] == ["AffectVLM", "2.5", "10.0", "200.0", "2.5 %", "cpu", "1.0"]
    assert cells[7] == "SMILE-VLM"
    assert cells[10] == "not measured"


@pytest.fixture
def judged(context, predictions, generator):
    """The same report with everything other runs may have left."""
    folded = predictions.assign(fold=0, round=0, side="test", model="affect_vlm")
    validation = {
        **score_folds(folded, generator),
        "protocol": {"name": "10-fold", "description": "ten folds"},
        "folds": [{}],
        "options": {"seed": 0, "trained_on": None},
    }
    gap = {"attribute": "gender", "groups": [{"group": "F", "subjects": 2, "sequences": 12, "accuracy": None}]}
    damage = {
        "clean": 0.8,
        "mean": {"holes": 0.6},
        "intervals": {"none": (0.7, 0.9), "holes": (0.41, 0.79)},
        "mce": 0.9,
    }
    asked = Evidence()
    unit = {"shown": 0.3, "f1": 0.75, "pearson": None, "icc": 0.5}
    means = {"f1": 0.75, "f1_interval": [0.7, 0.8], "pearson": None, "pearson_interval": None}
    units = {**means, "icc": 0.5, "icc_interval": [0.4, 0.6], "frames": 60, "subjects": 4}
    units |= {"frequent": ["AU12_l"], "units": {"AU12_l": unit}}
    said = {"auc": 0.84, "auc_interval": [0.8, 0.88], "units": {"AU12_l": 0.84}}
    failure = {"model": "affect_vlm", "sequence": "S06/fear", "expression": "fear", "predicted": "anger"}
    failure |= {"confidence": 0.97, "image": Image.new("RGB", (4, 4))}
    return context | {
        "claims": [asdict(result) for result in evaluate_claims(asked)],
        "validations": [validation],
        "action_units": {"sequence": {"affect_vlm": units | {"sentences": said}, "landmark_ridge": units}},
        "fairness": {"affect_vlm": [{**gap, "worst": None, "gap": None, "interval": None, "p": None}]},
        "robustness": {
            "subjects": 4, "sequences": 24, "corruptions": ["holes"], "models": {"affect_vlm": damage},
            "curves": {"holes": {"affect_vlm": [0.8, 0.7, 0.6, 0.5, 0.4, 0.3]}},
            "pose_stability": {"affect_vlm": {"yaw": 0.0625, "rotation": 0.03125}},
        },
        "failures": [failure],
    }  # fmt: skip


def test_action_units_are_listed_with_their_means_and_intervals(judged):
    assert "<td>AU12_l</td><td>30.0</td><td>0.75</td><td>–</td><td>0.50</td>" in render_report(judged)
    text = render_report_markdown(judged)
    assert "| AffectVLM | 0.75 (0.70–0.80) | – | 0.50 (0.40–0.60) | 0.84 (0.80–0.88) |" in text
    assert "| Landmarks, ridge regression | 0.75 (0.70–0.80) | – | 0.50 (0.40–0.60) | – |" in text


def test_what_other_runs_left_has_its_sections(judged):
    page = Page(render_report(judged))
    sections = {attributes["id"] for tag, attributes in page.elements if tag == "section"}
    links = {attributes["href"] for tag, attributes in page.elements if tag == "a"}
    assert {"claims", "validation", "action-units", "fairness", "robustness", "failures"} <= sections
    assert links == {f"#{section}" for section in sections}
    assert json.loads(page.scripts["figure-robustness-holes"])["data"]


@pytest.mark.parametrize("render", [render_report, render_report_markdown])
def test_a_model_without_scores_is_named_with_the_reason(context, render):
    summary = context["summary"]
    models = {"affect_vlm": summary["models"]["affect_vlm"]}
    left_out = {"smile_vlm": "No sequence has landmarks."}
    text = render({**context, "summary": {**summary, "models": models, "left_out": left_out}})
    assert re.search(r"SMILE-VLM: not measured\.(\*\*|</b>) No sequence has landmarks\.", text)


@pytest.mark.parametrize("render", [render_report, render_report_markdown])
def test_a_run_without_any_scores_is_reported(context, render):
    left_out = {"smile_vlm": "No labels."}
    summary = {**context["summary"], "models": {}, "baselines": {}, "left_out": left_out}
    assert "No labels." in render({**context, "summary": summary})


@pytest.mark.parametrize("render", [render_report, render_report_markdown])
def test_claims_gaps_and_calibration_are_told_in_words(judged, render):
    text = render(judged)
    assert "41–79" in text  # the interval over four subjects
    assert "6.2" in text  # per cent of sequences that change with the yaw
    assert text.count("not measured") >= 9
    assert "Zero-shot recognition through language is above chance" in text
    assert "kedro run --pipeline=study_ablation" in text
    assert "too few" in text
    assert "too small" in text
    assert "apex + neutral" in text


def test_the_markdown_has_every_row_of_the_page(judged):
    text = render_report_markdown(judged)
    for name in ("AffectVLM", "SMILE-VLM, zero-shot", "Chance", "## Cross-validation: 10-fold", "## Robustness"):
        assert name in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def with_findings(context, *findings):
    rows = [asdict(one) for one in findings]
    return {**context, "claims": [asdict(result) for result in evaluate_claims(Evidence(findings={9: rows}))]}


FOUND = Finding("ours", "theirs", (0.8, 0.7), 0.1, (0.02, 0.2), 0.01, "permutation", 5, 64, "study_of_faces",
                made="2026-11-22")  # fmt: skip


@pytest.mark.parametrize("render", [render_report, render_report_markdown])
def test_a_finding_says_where_it_is_from_in_one_place(context, render):
    text = render(with_findings(context, FOUND, replace(FOUND, seeds=1, made="", source="this run, seed 0")))
    assert "study_of_faces, 5 seeds, 64 subjects, 2026-11-22" in text
    assert "this run, seed 0, 64 subjects" in text


@pytest.mark.parametrize("render", [render_report, render_report_markdown])
def test_what_is_left_out_says_why_and_what_to_run(context, render):
    text = render(with_findings(context, replace(FOUND, stale="made on another split", remarks=("other code",))))
    assert "excluded" in text
    assert "made on another split" in text
    assert "other code" in text
    assert "train_smile --params corpus=open-4dmer" in text


@pytest.mark.parametrize("render", [render_report, render_report_markdown])
def test_claims_stand_beside_those_of_other_corpora_where_there_are_any(judged, render):
    own = {"corpus": "faces", "training_subjects": None, "day": "2026-01-02", "claims": judged["claims"]}
    refuted = [{"number": 4, "verdict": "refuted"}]
    other = {"corpus": "others", "training_subjects": 40, "day": "2026-01-01", "claims": refuted}
    alone = render({**judged, "corpora": claims_by_corpus([own])})
    text = render({**judged, "corpora": claims_by_corpus([own, other])})
    assert "others, 40 training subjects" in text
    assert "other corpora" not in alone
    assert "other corpora" in text
    row = next(line for line in text[text.index("other corpora") :].splitlines() if "Several views beat one" in line)
    assert row.index("refuted") > row.index("not measured")
    assert "2026-01-01" in text


def study_document(difference):
    row = VariantResult(
        variant="unmixed", description="− mixing of views between scans", accuracy=0.7, interval=(0.6, 0.8),
        seed_spread=0.01, difference=difference, difference_interval=(difference - 0.01, difference + 0.01),
        p=0.01, verdict="supported", epochs=0.0, seconds=0.0, reached=0, sooner=0, sooner_p=1.0, against="full",
    )  # fmt: skip
    return {"provenance": {"contrasts": "c"}, "variants": as_document([replace(row, against=""), row])}


def test_contrasts_stand_in_one_forest_plot_for_every_number_of_training_subjects():
    studies = {"40": {"ablation": study_document(0.02)}, "400": {"ablation": study_document(0.05)}}
    claims = {"corpus": "faces", "training_subjects": 40, "day": "2026-01-01", "claims": []}
    plot = forest_plots(studies)["forest-ablation"]
    assert [(trace.name, list(trace.x)) for trace in plot.data] == [
        ("40 training subjects", [2.0]), ("400 training subjects", [5.0])
    ]  # fmt: skip
    page = render_claims(claims, studies, claims_by_corpus([claims]), datetime.datetime(2026, 1, 1))
    assert "faces, 40 training subjects" in page
    assert 'id="figure-forest-ablation"' in page
    assert "http" not in page.split("<footer>")[0].split("</style>")[1]


@pytest.mark.parametrize("render", [render_report, render_report_markdown])
def test_the_three_settings_stand_beside_each_other(context, render):
    text = render(context)
    assert [name for name in ("sequence", "apex + neutral", "single scan") if name in text][2:]
    assert text.count("51.2") >= 5
