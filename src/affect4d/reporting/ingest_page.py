"""Page of an ingest: what was found, repaired or refused and why, and how the faces are aligned."""

import base64
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from PIL import Image

from affect4d.reporting.pages import templates
from affect4d.scans.alignment import TRUSTED
from affect4d.scans.ingest_tables import counts_table, expressions_table, quantile_table, reasons_table

JPEG_QUALITY = 86
MOST_SIZES = 6
BARS = 24
ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class ScanPreview:
    """A scan on the page: how it was aligned, and its face from several sides; None where it cannot be rendered."""

    scan: str
    method: str
    confidence: float
    reason: str
    image: Image.Image | None
    landmarks: str = ""  # source of the landmarks that are drawn, in words; empty where there are none


@dataclass(frozen=True)
class HistogramBar:
    """Bar from ``low`` to ``high``; its height is relative to the highest bar."""

    low: float
    high: float
    count: int
    height: float
    doubted: bool  # whether it lies below the histogram's threshold


@dataclass(frozen=True)
class Histogram:
    """Histogram that the page draws as SVG."""

    title: str
    unit: str
    bars: Sequence[HistogramBar]
    note: str

    @property
    def ends(self) -> tuple[float, float]:
        """Start of the first bar and end of the last."""
        return self.bars[0].low, self.bars[-1].high


def render_ingest_page(
    report: pd.DataFrame,
    completeness: pd.DataFrame,
    protocols: pd.DataFrame,
    *,
    corpus: str,
    description: str,
    previews: Sequence[ScanPreview] = (),
    no_previews: str = "",
    command: str = "kedro run --pipeline=ingest",
    made: datetime.datetime | None = None,
) -> str:
    """The page as a self-contained HTML document without script; ``completeness`` and ``protocols`` may be empty."""
    usable = report[report["status"] != "refused"]
    return (
        templates()
        .get_template("ingest.html.jinja")
        .render(
            corpus=corpus,
            description=description,
            command=command,
            made=made,
            no_previews=no_previews,
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
            repaired={name: int(usable[name].sum()) for name in ("spikes", "bridges", "debris")},
            completeness=completeness.to_dict("records"),
            protocols=protocols.to_dict("records"),
            previews=[(preview, preview.image and jpeg_address(preview.image)) for preview in previews],
        )
    )


def jpeg_address(image: Image.Image) -> str:
    """An image as a ``data:`` address."""
    buffer = BytesIO()
    image.convert("RGB").save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _totals(report: pd.DataFrame) -> Mapping[str, Any]:
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

    doubted = f"Below {TRUSTED:g} a pose is doubted: look at the previews."
    missing = "What is missing is holes, or was turned away from the scanner."
    upright = "0 is upright, looking at the camera."
    cropped = "Before neck, hair and shoulders are cropped."
    return (
        histogram("Confidence of the pose", values("confidence"), "", doubted, (0.0, 1.0), doubt_below=TRUSTED),
        histogram("Share of the face that is there", values("seen"), "", missing, (0.0, 1.0)),
        histogram("Turn from the file to the canonical frame", values("turned"), "°", upright),
        histogram("Vertices as read", values("raw_vertices"), "", cropped),
    )


def histogram(
    title: str,
    values: Float64[np.ndarray, " values"],
    unit: str = "",
    note: str = "",
    bounds: tuple[float, float] | None = None,
    doubt_below: float = -np.inf,
) -> Histogram | None:
    """Histogram of finite values in bars of a round width; None if there is none."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return None
    edges = _edges(*(bounds or (float(finite.min()), float(finite.max()))))
    counts = np.histogram(finite, edges)[0]
    highest = max(int(counts.max()), 1)
    bars = [
        HistogramBar(float(low), float(high), int(count), int(count) / highest, bool(high <= doubt_below + 1e-9))
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return Histogram(title, unit, bars, note)


def _edges(low: float, high: float) -> Float64[np.ndarray, " edges"]:
    """Edges of at most ``BARS`` bars of a round width from ``low`` to ``high``."""
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    rough = (high - low) / BARS
    magnitude = 10.0 ** np.floor(np.log10(rough))
    step = next(each * magnitude for each in ROUND_STEPS if each * magnitude >= rough * (1 - 1e-9))
    first = np.floor(low / step + 1e-9)
    return np.asarray(step * np.arange(first, max(np.ceil(high / step - 1e-9), first + 1) + 1))


def _texture_sizes(usable: pd.DataFrame) -> list[tuple[str, int]]:
    counts = usable["texture_size"].replace("", "none").value_counts()
    shown = [(str(size), int(count)) for size, count in counts.head(MOST_SIZES).items()]
    rest = int(counts.iloc[MOST_SIZES:].sum())
    return [*shown, ("other sizes", rest)] if rest else shown
