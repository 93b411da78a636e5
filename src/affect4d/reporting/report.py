"""The report of a run: one self-contained page, readable on any screen, light or dark, without a network."""

import base64
import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any

import jinja2
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from PIL import Image
from plotly.offline import get_plotlyjs

from affect4d.evaluation.metrics import PseudoLabelScores
from affect4d.evaluation.significance import PairedComparison
from affect4d.evaluation.summary import display_name, result_rows
from affect4d.experiments.claims import ClaimsByCorpus
from affect4d.reporting import figures
from affect4d.scans.splits import SubjectSplit

HEADLINES: tuple[str, ...] = ("affect_vlm", "smile_vlm.linear_probe", "smile_vlm.zero_shot")


@dataclass(frozen=True)
class ReportPicture:
    """A picture of the report.

    Attributes:
        title: What it is.
        caption: What to see in it.
        image: Of synthetic faces, unless the reader of the report may see others.
    """

    title: str
    caption: str
    image: Image.Image


@dataclass(frozen=True)
class ReportComparison:
    """A paired comparison of two models, by their dotted names in the summary."""

    first: str
    second: str
    outcome: PairedComparison


@dataclass(frozen=True)
class Failure:
    """A sequence that was named wrongly, and surely.

    Attributes:
        model: Whose answer it is.
        sequence: Its name.
        expression: What it shows.
        predicted: What was said.
        confidence: How surely, 0…1.
        image: The face at its apex, where faces may be shown.
    """

    model: str
    sequence: str
    expression: str
    predicted: str
    confidence: float
    image: Image.Image | None = None


@dataclass(frozen=True)
class ReportContext:
    """Everything a report shows.

    Attributes:
        summary: See :func:`affect4d.evaluation.summary.write_summary`.
        split: Who was trained on and who was evaluated.
        corpus: What the corpus is, in a sentence.
        synthetic: Whether its faces are synthetic; the report then says what that limits.
        counts: Named counts worth telling: scans read, refused, sequences, pictures, prompts.
        histories: Learning history of each model, one row a step: ``epoch``, ``loss``, and terms.
        costs: What the training of each model cost; see :meth:`affect4d.training.cost.TrainingCost.summary`.
        view_weights: Weight of each view in each model.
        purity: Pseudo-labels against the truth.
        representations: Few-shot and retrieval scores of each model, see :mod:`affect4d.evaluation.representation`.
        embedding_maps: Maps of their representations.
        pictures: Contact sheets and the like.
        comparisons: Paired tests between models.
        claims: Answers to the papers' claims, as :func:`affect4d.experiments.claims.as_document` made them plain.
        corpora: The same of every corpus that has answered; None where that is not asked.
        validations: Cross-validations of this corpus; see :func:`affect4d.evaluation.fold_scores.score_folds`.
        levels: Scores by model and granularity; see :meth:`affect4d.evaluation.evaluator.Evaluator.at`.
        fairness: Of the headline models; see :mod:`affect4d.evaluation.fairness`.
        robustness: See :mod:`affect4d.experiments.robustness`; None where it was not measured.
        failures: What was named wrongly most surely.
        command: What to type to get this report again.
        made: When it was made.
    """

    summary: Mapping[str, Any]
    split: SubjectSplit
    corpus: str
    synthetic: bool
    counts: Mapping[str, int] = field(default_factory=dict)
    histories: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    costs: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    view_weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    purity: PseudoLabelScores | None = None
    representations: Mapping[str, Any] = field(default_factory=dict)
    embedding_maps: pd.DataFrame | None = None
    pictures: Sequence[ReportPicture] = ()
    comparisons: Sequence[ReportComparison] = ()
    claims: Sequence[Mapping[str, Any]] = ()
    corpora: ClaimsByCorpus | None = None
    validations: Sequence[Mapping[str, Any]] = ()
    levels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fairness: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    robustness: Mapping[str, Any] | None = None
    failures: Sequence[Failure] = ()
    command: str = "make run"
    made: datetime.datetime | None = None


def render_report(context: ReportContext) -> str:
    """Render the page.

    Returns:
        A whole HTML document. It holds everything it shows, and forbids the browser to load anything else.
    """
    rows = dict(result_rows(context.summary))
    drawn = _draw(context)
    return (
        templates()
        .get_template("report.html.jinja")
        .render(
            context=context,
            summary=context.summary,
            rows=rows,
            headlines=[(name, rows[name]) for name in HEADLINES if name in rows],
            models=list(dict(result_rows({**context.summary, "baselines": {}}))),
            curves={name: list(figures.learning_figures(history)) for name, history in context.histories.items()},
            retrievals=list(retrieval_rows(context.representations)),
            maps=[] if context.embedding_maps is None else list(context.embedding_maps["model"].unique()),
            figures={name: Markup(figures.figure_json(figure)) for name, figure in drawn.items()},
            pictures=[(picture, png_address(picture.image)) for picture in context.pictures],
            feature_names=figures.FEATURES_OF,
            plotly=Markup(get_plotlyjs()),
        )
    )


def render_report_markdown(context: ReportContext) -> str:
    """The tables of the page as Markdown."""
    rows = dict(result_rows(context.summary))
    models = list(dict(result_rows({**context.summary, "baselines": {}})))
    template = templates().get_template("report.md.jinja")
    return template.render(context=context, summary=context.summary, rows=rows, models=models)


@cache
def templates() -> jinja2.Environment:
    """The page templates; what is put into HTML is escaped, and a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("affect4d.reporting", "templates"),
        autoescape=lambda name: name is not None and name.endswith(".html.jinja"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, points=_points, display=display_name, p_value=_p_value, source=_source)
    environment.filters.update(figure=_figure_of, difference=_difference_of, picture=png_address)
    return environment


def png_address(image: Image.Image) -> str:
    """A picture as a ``data:`` address."""
    buffer = BytesIO()
    image.convert("RGB").save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _draw(context: ReportContext) -> dict[str, go.Figure]:
    """Every figure of the page by the name its place has there."""
    drawn = {"results": figures.results_figure(context.summary), "seconds": figures.seconds_figure(_seconds(context))}
    for name, scores in result_rows(context.summary):
        if name != "chance":
            drawn[f"confusion-{name}"] = figures.confusion_figure(scores)
    for model, history in context.histories.items():
        curves = figures.learning_figures(history).values()
        drawn.update({f"curve-{model}-{place}": figure for place, figure in enumerate(curves)})
    if context.view_weights:
        drawn["view-weights"] = figures.view_weights_figure(context.view_weights)
    if context.purity is not None:
        drawn["purity"] = figures.purity_figure(context.purity)
    for name, accuracies in (context.robustness or {}).get("curves", {}).items():
        drawn[f"robustness-{name}"] = figures.robustness_figure(accuracies)
    if context.representations:
        drawn["few-shot"] = figures.few_shot_figure(context.representations)
    if context.embedding_maps is not None:
        maps = context.embedding_maps.groupby("model", sort=False)
        drawn.update({f"map-{name}": figures.embedding_map_figure(table) for name, table in maps})
    return drawn


def retrieval_rows(representations: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, float]]]:
    """Model, kind of text, direction and scores of every retrieval."""
    for model, scores in representations.items():
        for texts, directions in scores.get("retrieval", {}).items():
            for direction, found in directions.items():
                yield model, texts.replace("_", " "), direction.replace("_", " "), found


def _seconds(context: ReportContext) -> Mapping[str, float]:
    seconds: Mapping[str, float] = context.summary["seconds"]
    return seconds


def _percent(share: float, places: int = 0) -> str:
    return f"{100 * share:.{places}f}"


def _points(difference: float, places: int = 0) -> str:
    return f"{100 * difference:+.{places}f}".replace("-", "\u2212")


def _figure_of(value: float | None, unit: str) -> str:
    """A measured value: epochs as they are, shares per cent; an end never reached has none."""
    if value is None:
        return "never"
    return f"{value:.1f}" if unit == "epochs" else _percent(value, 1)


def _difference_of(value: float | None, unit: str) -> str:
    if value is None:
        return "\u2013"
    return _points(value / 100 if unit == "epochs" else value, 1)


def _source(finding: Mapping[str, Any]) -> str:
    """Where a finding is from, as compactly as it can be said."""
    several = [f"{finding['seeds']} seeds"] if finding["seeds"] != 1 else []
    made = [finding["made"]] if finding["made"] else []
    return ", ".join([finding["source"], *several, f"{finding['subjects']} subjects", *made])


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
