"""The page of a study: its question, the variants side by side with a verdict on each, and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from affect4d.experiments.provenance import StudyProvenance, describe_changes
from affect4d.experiments.study_results import FEWEST_SUBJECTS, VariantResult
from affect4d.experiments.variants import Study
from affect4d.reporting.figures import figure_json, lines
from affect4d.reporting.report import templates

CURVES: Mapping[str, str] = {
    "unseen_accuracy": "Accuracy on unseen subjects after each epoch",
    "gradient_norm": "Norm of the gradient, before clipping",
    "alpha": "The learnable margin α",
}
"""Columns of the curves that are drawn, each with its title."""


@dataclass(frozen=True)
class StudyContext:
    """Everything the page of a study shows.

    Attributes:
        study: Its question and variants.
        results: One per variant.
        curves: Columns ``variant``, ``seed``, ``epoch`` and what was measured.
        provenance: Data, code and parameters.
        command: What to type to get this page again.
        versions: Of libraries.
    """

    study: Study
    results: Sequence[VariantResult]
    curves: pd.DataFrame
    provenance: StudyProvenance
    command: str
    versions: Mapping[str, str]


def render_study(context: StudyContext) -> str:
    """The page as one self-contained HTML document."""
    return _render("study.html.jinja", context)


def render_study_markdown(context: StudyContext) -> str:
    """The tables of the page as Markdown, for ``docs/``."""
    return _render("study.md.jinja", context)


def _render(template: str, context: StudyContext) -> str:
    drawn = study_figures(context.curves, {row.variant: row.description for row in context.results})
    return (
        templates()
        .get_template(template)
        .render(
            context=context,
            first=context.results[0],
            paired=any(row.against not in ("", context.results[0].variant) for row in context.results),
            fewest=FEWEST_SUBJECTS,
            converges=bool(context.curves["unseen_accuracy"].notna().groupby(context.curves["variant"]).any().all()),
            titles=CURVES,
            provenance=context.provenance,
            changes=describe_changes(context.provenance.changes or {}),
            figures={name: Markup(figure_json(figure)) for name, figure in drawn.items()},
            plotly=Markup(get_plotlyjs()),
        )
    )


def study_figures(curves: pd.DataFrame, names: Mapping[str, str]) -> dict[str, go.Figure]:
    """One figure a measured column: means over seeds, one line per variant; constant curves are left out."""
    drawn: dict[str, Any] = {}
    for column in CURVES:
        if column in curves and curves[column].notna().any():
            means = curves.pivot_table(index="epoch", columns="variant", values=column, aggfunc="mean")
            moving = [name for name in names if name in means and means[name].nunique() > 1]
            drawn[column] = lines(means[moving], names)
    return drawn
