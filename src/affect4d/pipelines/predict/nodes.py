"""Raw scans and a bundle → a row of answers for each, and a page to look at."""

import datetime
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from affect4d.engine import IN_PROCESS, EngineOptions
from affect4d.inference.recordings import Grouping, Recording
from affect4d.scans.readers.range_image import Intrinsics

Tables = tuple[pd.DataFrame, pd.DataFrame]


class PredictOptions(BaseModel):
    """What is predicted, and what is shown of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Path | None = Field(default=None, description="A scan, a folder of scans, or one of sequence folders.")
    layout: str = Field(default="folder", description="How the folder is laid out: folder, or a corpus' own layout.")
    grouping: Grouping = Field(default="auto", description="What makes a sequence of a folder's scans.")
    patterns: dict[str, str | None] = Field(default={}, description="By layout: how the paths of its scans are made.")
    cameras: dict[str, Intrinsics | None] = Field(default={}, description="By layout: what took its depth pictures.")
    faces: int = Field(default=60, ge=0, le=1000, description="Most faces on the page; 0 shows none.")

    @property
    def pattern(self) -> str | None:
        """Of the layout's paths; None where it says them itself."""
        return self.patterns.get(self.layout)

    def recordings(self) -> list[Recording]:
        """What lies at the input.

        Raises:
            ValueError: If no input is given, or the layout needs a pattern or a camera and has none.
            FileNotFoundError: If there is nothing at the path, or nothing in it that is a scan.
        """
        from affect4d.inference.recordings import find_recordings

        if self.input is None:
            raise ValueError("Nothing to predict: kedro run --pipeline=predict --params input=/folder/of/scans")
        camera = self.cameras.get(self.layout)
        return find_recordings(self.input.expanduser(), self.layout, self.grouping, self.pattern, camera)


def predict_scans(
    options: PredictOptions, bundle: Path, engine: EngineOptions = IN_PROCESS
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, bytes]]:
    """Read every scan at a path and name its expression; a bad one is a row that says why.

    Returns:
        Predictions, one row a recording, and timelines, one row a scan, each kept under its version and as the latest;
        and pictures of the first recordings.

    Raises:
        ValueError: If no input is given, or the layout needs a pattern or a camera and has none.
        FileNotFoundError: If there is nothing at the path, or nothing in it that is a scan.
    """
    from affect4d.inference.batch import predict_recordings
    from affect4d.inference.packaged_model import read_description
    from affect4d.inference.results import ResultTables

    recordings = options.recordings()
    told = read_description(bundle)
    tables, pictures = ResultTables(told.expressions, told.views), {}
    for answer, picture in predict_recordings(recordings, bundle, engine, options.faces):
        tables.add(answer)
        if picture:
            pictures[answer.name] = picture
    predictions, timelines = tables.tables()
    _print_summary(predictions, told.name)
    return predictions, predictions, timelines, timelines, pictures


def draw_gallery(
    predictions: pd.DataFrame,
    timelines: pd.DataFrame,
    pictures: dict[str, bytes],
    options: PredictOptions,
    bundle: Path,
) -> tuple[str, str]:
    """One self-contained page of the faces and what was said of them, kept under its version and as the latest."""
    from affect4d.inference.packaged_model import read_description
    from affect4d.reporting.gallery_page import GalleryContext, render_gallery_page

    told = read_description(bundle)
    page = render_gallery_page(
        GalleryContext(
            predictions=predictions,
            timelines=timelines,
            pictures=pictures,
            expressions=told.expressions,
            model=told.name,
            measured=None if told.scores is None else told.scores.model_dump(),
            source=str(options.input),
            command=command_for(options, bundle),
            made=datetime.datetime.now(tz=datetime.UTC),
        )
    )
    return page, page


def command_for(options: PredictOptions, bundle: Path) -> str:
    """What to type to get the same answers of the same model again."""
    told = {"input": options.input, "model": bundle, "layout": options.layout, "grouping": options.grouping}
    usual = PredictOptions()
    if options.pattern is not None:
        told["corpus_pattern"] = options.pattern
    said = [
        f"{name}={value}"
        for name, value in told.items()
        if name not in ("layout", "grouping") or value != getattr(usual, name)
    ]
    return f"kedro run --pipeline=predict --params {shlex.quote(','.join(said))}"


def _print_summary(predictions: pd.DataFrame, model: str) -> None:
    """How often each expression was named, on the terminal; and why scans were refused."""
    from rich.console import Console
    from rich.table import Table

    from affect4d.inference.preprocessing import NO_NEUTRAL

    shown = Table("answer", "recordings", title=f"{model} on {len(predictions)} recordings", title_justify="left")
    for answer, count in predictions["expression"].value_counts().items():
        shown.add_row(str(answer), str(count))
    refused: Any = predictions.loc[predictions["status"] == "refused", "code"].value_counts()
    for code, count in refused.items():
        shown.add_row(f"refused: {code}", str(count))
    console = Console()
    console.print(shown)
    alone = int(predictions["reason"].str.contains(NO_NEUTRAL, regex=False).sum())
    if alone:
        console.print(f"{alone} of {len(predictions)} without a neutral frame: little better than guessing.")
    console.print("data/07_model_output/predictions holds predictions.csv, timelines.csv and gallery.html.")
