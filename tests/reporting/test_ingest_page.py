import datetime
import html
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from affect4d.reporting.ingest_page import ScanPreview, histogram, render_ingest_page
from affect4d.scans.corpora.corpus_class_and_scan_table import COMPLETENESS_COLUMNS
from affect4d.scans.ingest_tables import ingest_report, reasons_table
from affect4d.scans.protocols import TABLE_COLUMNS

SECTIONS = ("faces", "counts", "completeness", "reasons", "spread", "protocols", "steps")


class Page(HTMLParser):
    """Elements of a page with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))


@pytest.fixture
def report():
    usable = {"method": "shape", "confidence": 0.4, "residual": 2.0, "seen": 0.9, "unit": "mm", "turned": 12.0}
    usable |= {"spikes": 2, "bridges": 0, "debris": 1, "raw_vertices": 35_000, "vertices": 20_000, "faces": 39_000}
    rows = [
        {"scan": f"<b>{number}</b>.wrl", "sequence": "F001/Angry", "subject": "F001", "expression": "anger",
         "frame": number, "status": "ok", "code": "", "reason": "", "texture_size": "8 × 6", **usable}
        for number in range(9)
    ]  # fmt: skip
    rows[3] |= {
        "status": "repaired",
        "code": "turned",
        "reason": "the face stands upside down & is turned; texture missing",
    }
    rows[4] = {name: rows[4][name] for name in ("scan", "sequence", "subject", "expression", "frame")}
    rows[4] |= {"status": "refused", "code": "truncated", "reason": "cut off in line 7"}
    return ingest_report(rows)


@pytest.fixture
def context(report):
    completeness = pd.DataFrame(
        [["subjects", 1, 101, 100, "F002, F003", "published"], ["scans", 9, pd.NA, pd.NA, "", ""]],
        columns=list(COMPLETENESS_COLUMNS),
    ).astype(dict.fromkeys(("found", "expected", "missing"), "Int64"))
    protocols = pd.DataFrame(
        [["ten_fold_all", 1, 1, 8, 10, "90–91", "10–11", "", "recalled", "all subjects, ten folds"]],
        columns=list(TABLE_COLUMNS),
    )
    preview = ScanPreview(
        "<b>3</b>.wrl", "shape", 0.4, "upside down & turned", Image.new("RGB", (16, 4), "teal"), "landmarks found"
    )
    return {
        "report": report,
        "completeness": completeness,
        "protocols": protocols,
        "corpus": "bu4dfe <&>",
        "description": "Scans on a disk.",
        "previews": [preview],
        "made": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
    }


@pytest.fixture
def text(context):
    return render_ingest_page(**context)


def test_every_section_is_there_and_reachable(text):
    elements = Page(text).elements
    assert [attributes["id"] for tag, attributes in elements if tag == "section"] == list(SECTIONS)
    assert {attributes["href"] for tag, attributes in elements if tag == "a"} == {f"#{name}" for name in SECTIONS}


def test_the_page_loads_and_runs_nothing(text):
    elements = Page(text).elements
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in elements}
    assert all(attributes["src"].startswith("data:") for _, attributes in elements if "src" in attributes)
    policy = next(attributes["content"] for _, attributes in elements if attributes.get("http-equiv"))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_names_from_files_are_escaped(text):
    assert "bu4dfe &lt;&amp;&gt;" in text
    assert "&lt;b&gt;3&lt;/b&gt;.wrl" in text
    assert "<b>3</b>" not in text


def test_page_and_report_agree(text, report):
    numbers = re.findall(r'<p class="number">([\d,]+)</p>', text)
    usable = report["status"] != "refused"
    doubted = (report["confidence"] < 0.5).sum()
    assert numbers == [
        str(len(report)),
        str((~usable).sum()),
        str((report["status"] == "repaired").sum()),
        str(doubted),
    ]
    for row in reasons_table(report).to_dict("records"):
        assert row["code"] in text
        assert row["remedy"].split(".")[0] in text
        assert all(html.escape(note) in text for note, _ in row["notes"])
    assert text.count('<span class="times">1 ×</span>') == 2
    assert "8 faces of" in text
    bars = [int(count.replace(",", "")) for count in re.findall(r": ([\d,]+) scans</title>", text)]
    assert sum(bars) == 4 * usable.sum()


def test_tables_and_previews_are_there(text):
    assert "shape, 0.40; landmarks found" in text
    for words in ("F002, F003", "ten_fold_all", "90–91 / 10–11", "cut off in line 7", "35,000", "Texture 8 × 6"):
        assert words in text
    assert text.count('class="preview doubted"') == 1


def test_a_scan_that_cannot_be_drawn_says_why(context):
    lost = ScanPreview("4.wrl", "shape", 0.9, "It cannot be drawn: the file is gone", None)
    text = render_ingest_page(**{**context, "previews": [*context["previews"], lost]})
    assert "It cannot be drawn: the file is gone" in text
    assert text.count("<img") == 1


def test_what_is_not_known_is_left_out(context):
    none = {"completeness": context["completeness"][:0], "protocols": context["protocols"][:0], "previews": ()}
    text = render_ingest_page(**{**context, **none, "no_previews": "Ask."})
    sections = [attributes["id"] for tag, attributes in Page(text).elements if tag == "section"]
    assert sections == [name for name in SECTIONS if name not in {"completeness", "protocols"}]
    assert "Ask." in text


def test_a_page_of_refused_scans_only_can_be_drawn(context):
    refused = context["report"][context["report"]["status"] == "refused"]
    text = render_ingest_page(**{**context, "report": refused, "previews": ()})
    assert "No scan is usable" in text
    assert "0 faces of" in text


def test_a_histogram_holds_every_value_in_bars_of_round_width():
    values = np.append(np.random.default_rng(0).normal(30_000, 4_000, 500), np.nan)
    drawn = histogram("vertices", values)
    assert sum(bar.count for bar in drawn.bars) == 500
    assert max(bar.height for bar in drawn.bars) == 1
    widths = {round(bar.high - bar.low, 6) for bar in drawn.bars}
    assert widths <= {1000.0, 2000.0, 500.0}
    assert len(drawn.bars) <= 26


def test_histograms_of_one_value_none_and_doubt():
    assert [bar.count for bar in histogram("one", np.array([7.0, 7.0])).bars] == [2]
    assert histogram("none", np.array([np.nan])) is None
    bars = histogram("shares", np.array([0.1, 0.9]), bounds=(0, 1), doubt_below=0.5).bars
    assert [bar.doubted for bar in bars if bar.count] == [True, False]
    assert (bars[0].low, bars[-1].high) == (0, pytest.approx(1))
