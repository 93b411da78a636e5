"""The page of an ingest: what of a corpus was found, what was mended or refused and why, and how the faces stand."""

import base64
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pandas as pd
from PIL import Image

from affect4d.reporting.histograms import Histogram, histogram
from affect4d.reporting.report import templates
from affect4d.scans.canonical import TRUSTED
from affect4d.scans.ingest_report import counts_table, expressions_table, quantile_table, reasons_table

JPEG_QUALITY = 86
MOST_SIZES = 6


@dataclass(frozen=True)
class ScanPreview:
    """A scan to look at.

    Attributes:
        scan: Its name.
        method: What its pose was found by.
        confidence: 0 to 1.
        reason: What was found or mended, or why it cannot be drawn, in words.
        image: Its face, from several sides; None where it cannot be drawn.
    """

    scan: str
    method: str
    confidence: float
    reason: str
    image: Image.Image | None


@dataclass(frozen=True)
class IngestContext:
    """Everything the page of an ingest shows.

    Attributes:
        corpus: Name of the corpus.
        description: What it is, in a sentence.
        report: The ingest report, one row a scan.
        completeness: See :func:`affect4d.scans.corpora.completeness.completeness`; no rows where it is not known.
        protocols: See :func:`affect4d.scans.protocols.protocol_table`; likewise.
        previews: Scans to look at, the least confident first.
        no_previews: Why there are none, and how to get them.
        command: What to type to get this page again.
        made: When it was made.
    """

    corpus: str
    description: str
    report: pd.DataFrame
    completeness: pd.DataFrame
    protocols: pd.DataFrame
    previews: Sequence[ScanPreview] = ()
    no_previews: str = ""
    command: str = "kedro run --pipeline=ingest"
    made: datetime.datetime | None = None


def render_ingest_page(context: IngestContext) -> str:
    """Render the page.

    Returns:
        A whole HTML document. It holds everything it shows, has no script, and forbids the browser to load anything.
    """
    report = context.report
    usable = report[report["status"] != "refused"]
    return (
        templates()
        .get_template("ingest.html.jinja")
        .render(
            context=context,
            totals=_totals(report),
            reasons=reasons_table(report).to_dict("records"),
            expressions=expressions_table(report).to_dict("records"),
            counts=counts_table(report),
            methods=usable["method"].value_counts().to_dict(),
            turned_most=float(usable["turned"].max()) if len(usable) else 0.0,
            trusted=TRUSTED,
            spreads=[each for each in _histograms(usable) if each is not None],
            quantiles=quantile_table(report, ("raw_vertices", "vertices", "faces")).to_dict("records"),
            textures=_texture_sizes(usable),
            mended={name: int(usable[name].sum()) for name in ("spikes", "bridges", "debris")},
            completeness=context.completeness.to_dict("records"),
            protocols=context.protocols.to_dict("records"),
            previews=[(preview, preview.image and jpeg_address(preview.image)) for preview in context.previews],
        )
    )


def jpeg_address(image: Image.Image) -> str:
    """A picture as a ``data:`` address."""
    buffer = BytesIO()
    image.convert("RGB").save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _totals(report: pd.DataFrame) -> Mapping[str, Any]:
    """The numbers at the top of the page."""
    statuses = report["status"].value_counts()
    doubted = (report["confidence"] < TRUSTED) & (report["status"] != "refused")
    return {
        "scans": len(report),
        "subjects": report["subject"].nunique(),
        "sequences": report["sequence"].nunique(),
        "refused": int(statuses.get("refused", 0)),
        "repaired": int(statuses.get("repaired", 0)),
        "doubted": int(doubted.sum()),
    }


def _histograms(usable: pd.DataFrame) -> tuple[Histogram | None, ...]:
    def values(column: str) -> Any:
        return usable[column].to_numpy(dtype=float, na_value=float("nan"))

    return (
        histogram(
            "Confidence of the pose",
            values("confidence"),
            note=f"Below {TRUSTED:g} a pose is doubted: look at the previews.",
            bounds=(0.0, 1.0),
            doubt_below=TRUSTED,
        ),
        histogram(
            "Share of the face that is there",
            values("seen"),
            note="What is missing is holes, or was turned away from the scanner.",
            bounds=(0.0, 1.0),
        ),
        histogram(
            "Turn from the file to the canonical frame", values("turned"), "°", "0 is upright, looking at the camera."
        ),
        histogram("Vertices as read", values("raw_vertices"), note="Before neck, hair and shoulders are cropped."),
    )


def _texture_sizes(usable: pd.DataFrame) -> list[tuple[str, int]]:
    """Most frequent sizes of textures with their counts; the rest as one."""
    counts = usable["texture_size"].replace("", "none").value_counts()
    shown = [(str(size), int(count)) for size, count in counts.head(MOST_SIZES).items()]
    rest = int(counts.iloc[MOST_SIZES:].sum())
    return [*shown, ("other sizes", rest)] if rest else shown
