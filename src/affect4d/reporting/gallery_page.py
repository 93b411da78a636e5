"""The page of a prediction: every face beside what was said of it, how sequences unfold, what was refused and why."""

import base64
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from affect4d.reporting import figures
from affect4d.reporting.report import templates

MOST_TIMELINES = 24
MOST_REFUSED = 200


@dataclass(frozen=True)
class GalleryContext:
    """Everything the page shows.

    Attributes:
        predictions: One row a recording, as ``docs/predict.md`` describes.
        timelines: One row a scan.
        pictures: Recording → JPEG of its face from every view; the recordings without one are counted, not shown.
        expressions: What could be answered.
        model: Name of the model.
        measured: What is known of its accuracy; None where nothing is.
        source: What was predicted.
        command: What to type to get this page again.
        made: When it was made.
    """

    predictions: pd.DataFrame
    timelines: pd.DataFrame
    pictures: Mapping[str, bytes]
    expressions: Sequence[str]
    model: str
    measured: Mapping[str, Any] | None
    source: str
    command: str
    made: datetime.datetime | None = None


def render_gallery_page(context: GalleryContext) -> str:
    """Render the page.

    Returns:
        A whole HTML document. It holds everything it shows, and forbids the browser to load anything else.
    """
    table = context.predictions
    answered = table[table["status"] != "refused"]
    refused = table[table["status"] == "refused"]
    sequences = answered[answered["frames"] > 1].head(MOST_TIMELINES)
    drawn = {
        f"timeline-{place}": figures.timeline_figure(
            context.timelines[context.timelines["recording"] == recording], context.expressions
        )
        for place, recording in enumerate(sequences["recording"])
    }
    shown = answered[answered["recording"].isin(list(context.pictures))]
    return (
        templates()
        .get_template("gallery.html.jinja")
        .render(
            context=context,
            cards=[_card(row, context) for row in shown.to_dict("records")],
            hidden=len(answered) - len(shown),
            counts={name: int((answered["expression"] == name).sum()) for name in context.expressions},
            answered=len(answered),
            scans=int(table["frames"].sum()),
            refused=refused.head(MOST_REFUSED).to_dict("records"),
            refused_count=len(refused),
            bad_frames=_bad_frames(context.timelines, set(refused["recording"])),
            timelines=list(zip(drawn, sequences.to_dict("records"), strict=True)),
            sequences=int((answered["frames"] > 1).sum()),
            figures={name: Markup(figures.figure_json(figure)) for name, figure in drawn.items()},
            plotly=Markup(get_plotlyjs()) if drawn else "",
        )
    )


def _card(row: Mapping[Any, Any], context: GalleryContext) -> dict[str, Any]:
    """One face: its picture, its answer, its shares in falling order."""
    shares = sorted(((name, row[f"prob_{name}"]) for name in context.expressions), key=lambda share: -share[1])
    picture = base64.b64encode(context.pictures[row["recording"]]).decode()
    return {
        "name": row["recording"],
        "expression": row["expression"],
        "shares": shares,
        "picture": f"data:image/jpeg;base64,{picture}",
        "prompt": str(row["nearest_prompts"]).split(" | ")[0],
        "frames": row["frames"],
        "noted": row["status"] != "ok",
        "reason": row["reason"],
    }


def _bad_frames(timelines: pd.DataFrame, wholly_refused: set[str]) -> list[dict[Any, Any]]:
    """Refused scans of recordings that were answered all the same."""
    bad = timelines[(timelines["status"] == "refused") & ~timelines["recording"].isin(wholly_refused)]
    return list(bad.head(MOST_REFUSED).to_dict("records"))
