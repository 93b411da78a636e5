"""The page of an ingest, and its tables on the terminal."""

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from affect4d.progress import console
from affect4d.scans.ingest_report import worth_a_look
from affect4d.store import ContentStore, code_version, content_key, table_digest

if TYPE_CHECKING:
    from affect4d.reporting.ingest_page import ScanPreview

LOOKED_AT = ["scan", "subject", "expression", "label", "status", "reason", "confidence", "raw_vertices"]
"""Columns of the ingest report that tell two of them apart."""
SHOWN = {
    "completeness": ["item", "found", "expected", "missing"],
    "protocols": ["protocol", "subjects", "sequences", "scans", "folds", "train", "test", "trained_on"],
}
Document = dict[str, Any]


class IngestPageOptions(BaseModel):
    """What the page of an ingest shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    previews: int = Field(default=12, ge=0, le=200, description="How many scans to show.")
    show_faces: bool = Field(default=False, description="Whether the faces of this corpus may be shown at all.")


def write_ingest_page(
    raw_corpus: Document,
    manifest: pd.DataFrame,
    report: pd.DataFrame,
    completeness: pd.DataFrame,
    options: IngestPageOptions,
    scan_store: ContentStore,
) -> tuple[str, str]:
    """One self-contained page, kept under its version and as the latest; its tables on the terminal.

    A page that was made from the same report, options and code is not made again.
    """
    from affect4d.scans.protocols import protocol_table

    found = completeness[:0] if raw_corpus["synthetic"] else completeness
    protocols = protocol_table(raw_corpus["layout"], manifest)
    _print("What of the corpus is there", found[SHOWN["completeness"]])
    _print("Protocols on the usable scans", protocols[SHOWN["protocols"]])
    for row in protocols[(protocols["folds"] == 0) & (protocols["trained_on"] == "")].itertuples():
        console.print(f"{row.protocol}: {row.description}", highlight=False)
    counts = report["status"].value_counts()
    told = ", ".join(f"{counts.get(status, 0):,} {status}" for status in ("ok", "repaired", "refused"))
    console.print(f"{len(report):,} scans: {told}. data/08_reporting/{raw_corpus['name']}/ingest.html shows them.")
    key = content_key(
        corpus=raw_corpus["name"],
        told=_describe(raw_corpus, report),
        report=table_digest(report[LOOKED_AT]),
        completeness=table_digest(found),
        protocols=table_digest(protocols),
        options=options,
        code=code_version(__name__),
    )
    name = f"pages/{key}.html"
    if not scan_store.has(name):
        with scan_store.write(name) as partial:
            partial.write_text(_render(raw_corpus, manifest, report, found, protocols, options))
    page = scan_store.path(name).read_text()
    return page, page


def _render(
    raw_corpus: Document,
    manifest: pd.DataFrame,
    report: pd.DataFrame,
    completeness: pd.DataFrame,
    protocols: pd.DataFrame,
    options: IngestPageOptions,
) -> str:
    from affect4d.reporting.commands import corpus_parameters
    from affect4d.reporting.ingest_page import IngestContext, render_ingest_page

    previews, why_none = _previews(raw_corpus, manifest, report, options)
    return render_ingest_page(
        IngestContext(
            corpus=raw_corpus["name"],
            description=_describe(raw_corpus, report),
            report=report,
            completeness=completeness,
            protocols=protocols,
            previews=previews,
            no_previews=why_none,
            command=f"kedro run --pipeline=ingest --params {corpus_parameters(raw_corpus)}",
            made=datetime.datetime.now(tz=datetime.UTC),
        )
    )


def _describe(raw_corpus: Document, report: pd.DataFrame) -> str:
    """What the corpus is, in a sentence."""
    if raw_corpus["synthetic"]:
        return f"Synthetic faces, made by this project in the layout of {raw_corpus['layout']}: nobody's face."
    named = f"named as those of {raw_corpus['layout']} are"
    return f"The {len(report):,} scans that lie in {raw_corpus['root']} and are {named}."


def _previews(
    raw_corpus: Document, manifest: pd.DataFrame, report: pd.DataFrame, options: IngestPageOptions
) -> "tuple[list[ScanPreview], str]":
    """Scans to look at; or none, and why."""
    if not options.show_faces:
        return [], (
            "The faces of this corpus are not shown, as is the rule for people's faces. To see them, set show_faces: "
            f"{{{raw_corpus['name']}: true}} in conf/local/globals.yml and run again; Kedro-Viz shows them then, too, "
            "and MLflow keeps them where its tracking_uri says, by default on this machine."
        )
    from affect4d.rendering.pictures import RenderError

    try:
        return list(_drawn(raw_corpus, manifest, worth_a_look(report, options.previews))), ""
    except RenderError as error:
        return [], f"Nothing can be drawn here. {error}"


def _drawn(raw_corpus: Document, manifest: pd.DataFrame, chosen: pd.DataFrame) -> "Iterator[ScanPreview]":
    from affect4d.rendering.previews import draw_previews
    from affect4d.reporting.ingest_page import ScanPreview
    from affect4d.synthetic.generated_source import open_source

    place = ["sequence", "frame"]  # a file may be in several sequences
    placed = manifest.set_index(place, drop=False).loc[list(chosen[place].itertuples(index=False, name=None))]
    rows = [{str(name): value for name, value in row.items()} for row in placed.to_dict("records")]
    images = draw_previews(open_source(raw_corpus), rows)
    for told, image in zip(chosen.to_dict("records"), images, strict=True):
        named = told["scan"], told["method"], told["confidence"]
        if isinstance(image, str):
            yield ScanPreview(*named, f"It cannot be drawn: {image}", None)
        else:
            yield ScanPreview(*named, told["reason"], image)


def _print(title: str, table: pd.DataFrame) -> None:
    """A table on the terminal."""
    from rich.table import Table

    if table.empty:
        return
    shown = Table(title=title, title_justify="left")
    for name, column in table.items():
        shown.add_column(str(name), justify="right" if pd.api.types.is_numeric_dtype(column) else "left")
    for row in table.itertuples(index=False, name=None):
        shown.add_row(*("–" if pd.isna(value) or value == "" else str(value) for value in row))
    console.print(shown)
