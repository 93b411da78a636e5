import pandas as pd
import pytest

from affect4d.scans.ingest_tables import (
    OTHERWISE,
    REMEDIES,
    REPORT_COLUMNS,
    counts_table,
    expressions_table,
    ingest_report,
    quantile_table,
    reasons_table,
    scans_to_inspect,
)


def row(subject, expression, frame, status="ok", code="", confidence=0.8, reason=""):
    sequence = f"{subject}/{expression}"
    told = {"scan": f"{sequence}/{frame}", "sequence": sequence, "subject": subject, "expression": expression}
    told |= {"frame": frame, "status": status, "code": code, "reason": reason}
    return told if status == "refused" else {**told, "confidence": confidence, "vertices": 100 * (frame + 1)}


@pytest.fixture
def report():
    rows = [row(subject, word, frame) for subject in "AB" for word in ("anger", "fear") for frame in range(3)]
    rows[0] = row("A", "anger", 0, "refused", "truncated", reason="cut off")
    rows[1] = row("A", "anger", 1, "refused", "truncated", reason="cut off")
    rows[4] = row("A", "fear", 1, "repaired", "low-confidence", confidence=0.2, reason="may be wrong")
    rows[11] = row("B", None, 9)
    return ingest_report(rows)


def test_a_report_has_all_columns_and_types_even_when_it_is_empty(report):
    for table in (report, ingest_report([])):
        assert {name: str(kind) for name, kind in table.dtypes.items()} == dict(REPORT_COLUMNS)
    assert report["confidence"].isna().sum() == 2


def test_reasons_are_grouped_refused_ones_first(report):
    table = reasons_table(report)
    assert table[["status", "code", "scans"]].values.tolist() == [
        ["refused", "truncated", 2],
        ["repaired", "low-confidence", 1],
    ]
    assert table["notes"].tolist() == [(("cut off", 2),), (("may be wrong", 1),)]
    assert table["examples"].iloc[0] == ("A/anger/0", "A/anger/1")
    assert table["remedy"].tolist() == [OTHERWISE, REMEDIES["low-confidence"]]
    assert table["share"].sum() == pytest.approx(3 / 12)
    assert reasons_table(report[report["status"] == "ok"]).empty


def test_each_kind_of_note_is_told_with_its_scans():
    reasons = ["texture missing", "3 spikes pressed down; texture missing", "12 spikes pressed down", "ends, 1.5 mm"]
    rows = [row("A", "fear", frame, "repaired", "repaired", reason=reason) for frame, reason in enumerate(reasons)]
    assert reasons_table(ingest_report(rows))["notes"].iloc[0] == (
        ("texture missing", 2),
        ("3 spikes pressed down", 2),
        ("ends, 1.5 mm", 1),
    )


def test_a_label_that_is_no_expression_is_counted_under_its_own_name(report):
    report.loc[11, "label"] = "neutral"
    assert counts_table(report).loc["B", "neutral"] == 1
    assert expressions_table(report)["expression"].tolist() == ["anger", "fear", "neutral"]


def test_every_scan_is_counted_once(report):
    assert counts_table(report).to_numpy().sum() == expressions_table(report)["scans"].sum() == len(report)
    assert counts_table(report).loc["B", "unlabelled"] == 1
    assert expressions_table(report).set_index("expression").loc["anger", "refused"] == 2


def test_the_least_confident_scans_are_looked_at_first(report):
    chosen = scans_to_inspect(report, 4)
    assert chosen["scan"].iloc[0] == "A/fear/1"
    assert chosen["sequence"].is_unique
    turned = report.assign(code=report["code"].where(report["scan"] != "B/fear/1", "turned"))
    assert scans_to_inspect(turned, 4)["scan"].iloc[:2].tolist() == ["A/fear/1", "B/fear/1"]
    assert list(chosen.columns) == list(report.columns)
    assert "refused" not in set(chosen["status"])
    assert len(scans_to_inspect(report, 100)) == report.loc[report["status"] != "refused", "sequence"].nunique()
    assert scans_to_inspect(report, 0).empty
    assert scans_to_inspect(ingest_report([]), 4).empty


def test_quantiles_leave_refused_scans_out(report):
    vertices = quantile_table(report, ["vertices"]).iloc[0]
    assert (vertices["least"], vertices["median"], vertices["largest"]) == (100, 200, 1000)
    assert pd.isna(quantile_table(ingest_report([]), ["vertices"]).iloc[0]["median"])
