"""Page of an ingest: counts, protocols and previews of the least certain poses."""

import datetime
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from affect4d.scans.ingest_report import worth_a_look
from affect4d.store import ContentStore, cached, table_digest

if TYPE_CHECKING:
    from affect4d.reporting.ingest_page import ScanPreview

REPORT_COLUMNS = ["scan", "subject", "expression", "label", "status", "reason", "confidence", "raw_vertices"]
"""Columns of the ingest report that distinguish one report from another."""


class IngestPageOptions(BaseModel):
    """What the page of an ingest shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    previews: int = Field(default=12, ge=0, le=200, description="How many scans to show.")
    show_faces: bool = Field(default=False, description="Whether the faces of this corpus may be shown at all.")


def write_ingest_page(
    raw_corpus: dict[str, Any],
    manifest: pd.DataFrame,
    report: pd.DataFrame,
    completeness: pd.DataFrame,
    protocols: pd.DataFrame,
    options: IngestPageOptions,
    scan_store: ContentStore,
    run_info: dict[str, Any],
) -> tuple[str, str]:
    """One self-contained page, and a summary in a few lines.

    A page made from the same report, options and code is kept; its date is that of the run that made it.
    """
    page = cached(
        scan_store,
        "pages",
        partial(_render, raw_corpus, manifest, report, completeness, protocols, options, run_info),
        corpus=raw_corpus["name"],
        description=_describe(raw_corpus, report),
        report=table_digest(report[REPORT_COLUMNS]),
        completeness=table_digest(completeness),
        protocols=table_digest(protocols),
        options=options,
    )
    return page, _summarise(raw_corpus, report, protocols)


def _summarise(raw_corpus: dict[str, Any], report: pd.DataFrame, protocols: pd.DataFrame) -> str:
    """Counts of the scans, and the protocols that the corpus cannot serve."""
    counts = report["status"].value_counts()
    told = ", ".join(f"{counts.get(status, 0):,} {status}" for status in ("ok", "repaired", "refused"))
    absent = protocols[(protocols["folds"] == 0) & (protocols["trained_on"] == "")]
    lines = [f"{row.protocol}: {row.description}" for row in absent.itertuples()]
    lines.append(f"{len(report):,} scans: {told}. data/08_reporting/{raw_corpus['name']}/ingest.html shows them.")
    return "\n\n".join(lines)


def _render(
    raw_corpus: dict[str, Any],
    manifest: pd.DataFrame,
    report: pd.DataFrame,
    completeness: pd.DataFrame,
    protocols: pd.DataFrame,
    options: IngestPageOptions,
    run_info: dict[str, Any],
) -> str:
    from affect4d.reporting.commands import corpus_parameters
    from affect4d.reporting.ingest_page import render_ingest_page

    previews, why_none = _previews(raw_corpus, manifest, report, options)
    return render_ingest_page(
        report,
        completeness,
        protocols,
        corpus=raw_corpus["name"],
        description=_describe(raw_corpus, report),
        previews=previews,
        no_previews=why_none,
        command=f"kedro run --pipeline=ingest --params {corpus_parameters(raw_corpus)}",
        made=datetime.datetime.fromisoformat(run_info["made"]),
    )


def _describe(raw_corpus: dict[str, Any], report: pd.DataFrame) -> str:
    """What the corpus is, in a sentence."""
    if raw_corpus["synthetic"]:
        return f"Synthetic faces, made by this project in the layout of {raw_corpus['layout']}: nobody's face."
    named = f"named as those of {raw_corpus['layout']} are"
    return f"The {len(report):,} scans that lie in {raw_corpus['root']} and are {named}."


def _previews(
    raw_corpus: dict[str, Any], manifest: pd.DataFrame, report: pd.DataFrame, options: IngestPageOptions
) -> "tuple[list[ScanPreview], str]":
    """Scans to look at; or none, and why."""
    if not options.show_faces:
        return [], (
            "The faces of this corpus are not shown, as is the rule for people's faces. To see them, set show_faces: "
            f"{{{raw_corpus['name']}: true}} in conf/local/globals.yml and run again; Kedro-Viz shows them then, too, "
            "and MLflow keeps them where its tracking_uri says, by default on this machine."
        )
    from affect4d.rendering.renderer import RenderError

    try:
        return list(_drawn(raw_corpus, manifest, worth_a_look(report, options.previews))), ""
    except RenderError as error:
        return [], f"Nothing can be drawn here. {error}"


def _drawn(raw_corpus: dict[str, Any], manifest: pd.DataFrame, chosen: pd.DataFrame) -> "Iterator[ScanPreview]":
    from affect4d.rendering.renderer import render_previews
    from affect4d.reporting.ingest_page import ScanPreview
    from affect4d.synthetic.generated_source import open_source

    place = ["sequence", "frame"]  # a file may be in several sequences
    placed = manifest.set_index(place, drop=False).loc[list(chosen[place].itertuples(index=False, name=None))]
    rows = [{str(name): value for name, value in row.items()} for row in placed.to_dict("records")]
    images = render_previews(open_source(raw_corpus), rows)
    for told, image in zip(chosen.to_dict("records"), images, strict=True):
        named = told["scan"], told["method"], told["confidence"]
        if isinstance(image, str):
            yield ScanPreview(*named, f"It cannot be drawn: {image}", None)
        else:
            yield ScanPreview(*named, told["reason"], image)
