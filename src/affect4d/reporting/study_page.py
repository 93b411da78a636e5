"""The page of a study: its question, the arms side by side, curves, and a verdict beside each arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from affect4d.experiments.account import Account, changes_told
from affect4d.experiments.setting import Study
from affect4d.experiments.verdicts import FEWEST, ArmResult
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
        study: Its question and arms.
        results: One an arm.
        curves: Columns ``arm``, ``seed``, ``epoch`` and what was measured.
        account: What it was run on.
        command: What to type to get this page again.
        versions: Of libraries.
    """

    study: Study
    results: Sequence[ArmResult]
    curves: pd.DataFrame
    account: Account
    command: str
    versions: Mapping[str, str]


def render_study(context: StudyContext) -> str:
    """The page as one self-contained HTML document."""
    return _render("study.html.jinja", context)


def render_study_markdown(context: StudyContext) -> str:
    """The tables of the page as Markdown, for ``docs/``."""
    return _render("study.md.jinja", context)


def _render(template: str, context: StudyContext) -> str:
    drawn = study_figures(context.curves, {row.arm: row.description for row in context.results})
    return (
        templates()
        .get_template(template)
        .render(
            context=context,
            first=context.results[0],
            paired=any(row.against not in ("", context.results[0].arm) for row in context.results),
            fewest=FEWEST,
            converges=bool(context.curves["unseen_accuracy"].notna().groupby(context.curves["arm"]).any().all()),
            titles=CURVES,
            account=context.account,
            changes=changes_told(context.account.changes or {}),
            figures={name: Markup(figure_json(figure)) for name, figure in drawn.items()},
            plotly=Markup(get_plotlyjs()),
        )
    )


def study_figures(curves: pd.DataFrame, names: Mapping[str, str]) -> dict[str, go.Figure]:
    """One figure a measured column: means over seeds, one line an arm; what does not move is left out."""
    drawn: dict[str, Any] = {}
    for column in CURVES:
        if column in curves and curves[column].notna().any():
            means = curves.pivot_table(index="epoch", columns="arm", values=column, aggfunc="mean")
            moving = [arm for arm in names if arm in means and means[arm].nunique() > 1]
            drawn[column] = lines(means[moving], names)
    return drawn
