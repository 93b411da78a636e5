"""Raw corpus → manifest of canonical scans → page of the ingest, subject split, rendered views."""

import datetime
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
from PIL import Image
from pydantic import BaseModel, Field

from affect4d.configuration_layers_and_checks import corpus_parameters
from affect4d.left_out import MissingInputError
from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.rendering.cameras_and_render_backends import RenderError
from affect4d.rendering.options import BlendshapeOptions, RenderOptions
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.scans.ingest_tables import scans_to_inspect
from affect4d.scans.protocols import protocol_table
from affect4d.scans.scan_source_and_corpus_folder import PART_JOINT, part_names
from affect4d.scans.splits import SubjectSplit, draw_split
from affect4d.store import ContentStore, cached, table_digest

if TYPE_CHECKING:
    from affect4d.reporting.ingest_page import ScanPreview

SEQUENCE_COLUMNS = [
    "sequence", "subject", "expression", "gender", "age_group", "skin_tone", "ethnicity",
    "label", "level", "task", "onset", "apex", "offset",
]  # fmt: skip
REPORT_COLUMNS = ["scan", "subject", "expression", "label", "status", "reason", "confidence", "raw_vertices"]
"""Columns of the ingest report that distinguish one report from another."""


class SplitOptions(BaseModel, frozen=True, extra="forbid"):
    """Division of the subjects, where the corpus does not bring one of its own."""

    test_share: float = Field(default=0.375, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    use_given: bool = Field(default=True, description="a split of the corpus's own goes first")


class IngestPageOptions(BaseModel, frozen=True, extra="forbid"):
    """Parameters `ingest_page`."""

    previews: int = Field(default=12, ge=0, le=200, description="how many scans to show")
    show_faces: bool = Field(default=False, description="whether the faces of this corpus may be shown at all")


def ingest_scans(
    raw_corpus: dict[str, Any], options: IngestOptions, scan_store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read, check and align scans; returns their manifest, sequences, ingest report and completeness of the corpus.

    Sequences of a mixture have a column ``part``, the name of their corpus.
    """
    from affect4d.synthetic.generated_scan_source import open_source  # scipy costs half a second

    ingest = ingest_source(open_source(raw_corpus), options, scan_store, engine)
    sequences = ingest.manifest[SEQUENCE_COLUMNS].drop_duplicates("sequence").reset_index(drop=True)
    if "parts" in raw_corpus:
        sequences["part"] = part_names(sequences["sequence"])
    completeness = ingest.completeness[:0] if raw_corpus["synthetic"] else ingest.completeness
    return ingest.manifest, sequences, ingest.report, completeness


def split_subjects(sequences: pd.DataFrame, raw_corpus: dict[str, Any], options: SplitOptions) -> dict[str, Any]:
    """Set subjects aside for the test; a split of the corpus's own is kept, less subjects without usable scans.

    Every part of a mixture is split as it would be alone. One subject alone is set aside for the test; training refuses
    that.
    """
    present = set(sequences["subject"])
    if len(present) == 1:
        return {"train": [], "test": sorted(present), "seed": options.seed}
    return _split(present, raw_corpus, options).to_dict()


def _split(present: set[str], raw_corpus: dict[str, Any], options: SplitOptions) -> SubjectSplit:
    if "parts" in raw_corpus:
        return _split_parts(present, raw_corpus["parts"], options)
    if options.use_given and "split" in raw_corpus:
        return _given_split(present, raw_corpus)
    return draw_split(present, options.test_share, options.seed)


def _given_split(present: set[str], raw_corpus: dict[str, Any]) -> SubjectSplit:
    given = SubjectSplit.from_dict(raw_corpus["split"])
    train, test = present & set(given.train), present & set(given.test)
    if not train or not test:
        raise MissingInputError(
            f"No {'test' if train else 'training'} subject of the given split has usable scans: draw another split "
            "with --params split.use_given=false."
        )
    return SubjectSplit(tuple(train), tuple(test), given.seed)


def _split_parts(present: set[str], parts: dict[str, dict[str, Any]], options: SplitOptions) -> SubjectSplit:
    train: list[str] = []
    test: list[str] = []
    for name, part in parts.items():
        prefix = f"{name}{PART_JOINT}"
        own = {subject.removeprefix(prefix) for subject in present if subject.startswith(prefix)}
        split = _split(own, part, options)
        train += (prefix + subject for subject in split.train)
        test += (prefix + subject for subject in split.test)
    return SubjectSplit(tuple(train), tuple(test), options.seed)


def list_protocols(raw_corpus: dict[str, Any], scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Evaluation protocols of the corpus and their size on the usable scans."""
    return protocol_table(raw_corpus["layout"], scan_manifest)


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
    """One self-contained page, and a summary in a few lines; the same report, options and code give the same page."""
    from affect4d.reporting.ingest_page import render_ingest_page

    description = _describe_corpus(raw_corpus, report)

    def render() -> str:
        previews, why_none = _previews(raw_corpus, manifest, report, options)
        return render_ingest_page(
            report,
            completeness,
            protocols,
            corpus=raw_corpus["name"],
            description=description,
            previews=previews,
            no_previews=why_none,
            command=f"kedro run --pipeline=ingest --params {corpus_parameters(raw_corpus)}",
            made=datetime.datetime.fromisoformat(run_info["made"]),
        )

    page = cached(
        scan_store,
        "pages",
        render,
        corpus=raw_corpus["name"],
        description=description,
        report=table_digest(report[REPORT_COLUMNS]),
        completeness=table_digest(completeness),
        protocols=table_digest(protocols),
        options=options,
    )
    return page, _summarise_ingest(raw_corpus, report, protocols)


def _summarise_ingest(raw_corpus: dict[str, Any], report: pd.DataFrame, protocols: pd.DataFrame) -> str:
    counts = report["status"].value_counts()
    summary = ", ".join(f"{counts.get(status, 0):,} {status}" for status in ("ok", "repaired", "refused"))
    absent = protocols[(protocols["folds"] == 0) & (protocols["trained_on"] == "")]
    lines = [f"{row.protocol}: {row.description}" for row in absent.itertuples()]
    lines.append(f"{len(report):,} scans: {summary}. data/08_reporting/{raw_corpus['name']}/ingest.html shows them.")
    return "\n\n".join(lines)


def _describe_corpus(raw_corpus: dict[str, Any], report: pd.DataFrame) -> str:
    if "parts" in raw_corpus:
        own = report.groupby(part_names(report["sequence"]))
        parts = (f"{name}: {_describe_corpus(part, own.get_group(name))}" for name, part in raw_corpus["parts"].items())
        return " ".join(["A mixture.", *parts])
    if "recordings" in raw_corpus:
        return "Motion of people, recorded by Live Link Face, on synthetic faces made by this project: nobody's face."
    if raw_corpus["synthetic"]:
        return f"Synthetic faces, made by this project in the layout of {raw_corpus['layout']}: nobody's face."
    named = f"named as those of {raw_corpus['layout']} are"
    return f"The {len(report):,} scans that lie in {raw_corpus['root']} and are {named}."


def _previews(
    raw_corpus: dict[str, Any], manifest: pd.DataFrame, report: pd.DataFrame, options: IngestPageOptions
) -> "tuple[list[ScanPreview], str]":
    if not options.show_faces:
        return [], (
            "The faces of this corpus are not shown, as is the rule for people's faces. To see them, set show_faces: "
            f"{{{raw_corpus['name']}: true}} in conf/local/globals.yml and run again; Kedro-Viz shows them then, too, "
            "and MLflow keeps them where its tracking_uri says, by default on this machine."
        )
    try:
        return list(_draw_previews(raw_corpus, manifest, scans_to_inspect(report, options.previews))), ""
    except RenderError as error:
        return [], f"Nothing can be drawn here. {error}"


def _draw_previews(raw_corpus: dict[str, Any], manifest: pd.DataFrame, chosen: pd.DataFrame) -> "Iterator[ScanPreview]":
    from affect4d.rendering.cameras_and_render_backends import render_previews
    from affect4d.reporting.ingest_page import ScanPreview
    from affect4d.synthetic.generated_scan_source import open_source

    place = ["sequence", "frame"]  # a file may be in several sequences
    placed = manifest.set_index(place, drop=False).loc[list(chosen[place].itertuples(index=False, name=None))]
    rows = [{str(name): value for name, value in row.items()} for row in placed.to_dict("records")]
    images = render_previews(open_source(raw_corpus), rows)
    for scan, image in zip(chosen.to_dict("records"), images, strict=True):
        named = scan["scan"], scan["method"], scan["confidence"]
        if isinstance(image, str):
            yield ScanPreview(*named, f"It cannot be drawn: {image}", None)
        else:
            yield ScanPreview(*named, scan["reason"], image, _describe_landmarks(scan))


def _describe_landmarks(scan: dict[Any, Any]) -> str:
    """Source of a report row's landmarks, in words; empty where it has none."""
    if pd.isna(scan["landmark_source"]):
        return ""
    if scan["landmark_source"] == "given":
        return "landmarks given"
    return f"landmarks found, ± {scan['landmark_uncertainty']:.1f} mm"


def render_views(
    scan_manifest: pd.DataFrame,
    raw_corpus: dict[str, Any],
    options: RenderOptions,
    view_store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Render every sequence from every view; returns the view manifest, and the scans that could not be rendered."""
    from affect4d.rendering.render_corpus import render_corpus, render_report
    from affect4d.synthetic.generated_scan_source import open_source

    views = render_corpus(scan_manifest, open_source(raw_corpus), options, view_store, engine)
    return views, render_report(views)


def score_blendshapes(
    scan_manifest: pd.DataFrame,
    raw_corpus: dict[str, Any],
    options: BlendshapeOptions,
    cache_store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
) -> pd.DataFrame:
    """Blendshape scores of the scans: one row a scored frame, ``sequence``, ``frame`` and one column a blendshape."""
    from affect4d.rendering.blendshape_scores import cached_scores
    from affect4d.synthetic.generated_scan_source import open_source

    return cached_scores(scan_manifest, open_source(raw_corpus), options, cache_store, engine)


def draw_view_sheet(view_manifest: pd.DataFrame, sequences: pd.DataFrame, view_store: ContentStore) -> Image.Image:
    """Contact sheet: every expression of a few subjects at its apex from every view; micro-expressions as strips."""
    from affect4d.views.contact_sheets import view_sheet

    given = {
        "views": table_digest(view_manifest[["sequence", "subject", "checksum"]]),
        "sequences": table_digest(sequences),
    }
    return cached(view_store, "sheets", partial(view_sheet, view_manifest, sequences, view_store), **given)
