"""Interactive figures of the report; the page gives them its own colours, light or dark, and its fonts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from affect4d.evaluation.metrics import PseudoLabelScores, Scores
from affect4d.evaluation.summary import display_name, result_rows
from affect4d.experiments.variant_comparison_and_provenance import VariantResult
from affect4d.scans.expression import EXPRESSIONS

TEAL, AMBER, SLATE, GREY = "#2a9d8f", "#d9844a", "#6f83b5", "#9aa1a8"
CYCLE: tuple[str, ...] = (TEAL, AMBER, SLATE, "#b86f9c", "#8a9a3b", "#5aa6d6")
"""Hues that read on white and on black paper; neighbours differ in lightness, too."""

SYMBOLS: tuple[str, ...] = ("circle", "diamond", "square", "triangle-up", "x", "star")
"""Expressions differ in shape as well as in hue."""
FEATURES_OF: Mapping[str, str] = {"untrained_encoder": "Untrained encoder", "affect_vlm": "AffectVLM (saw all labels)"}
"""What a model is called where only its features are looked at."""

STEERING = ("alpha", "active_pairs", "active_triplets")
"""Margin of the losses and fractions of active terms; drawn apart from the terms."""
BESIDE_THE_POINT = ("epoch", "step", "scale", "learning_rate", "gradient_norm", "accuracy")
TERM_NAMES: Mapping[str, str] = {
    "loss": "whole loss",
    "align": "image–text alignment",
    "pairs": "pairs, L_mc",
    "triplets": "triplets, L_mt",
    "alpha": "margin α",
    "active_pairs": "active pairs",
    "active_triplets": "active triplets",
    "decorrelation": "multiview decorrelation",
    "alignment": "vision–language alignment",
    "redundancy": "cross-modal redundancy",
}


def contrasts_figure(results: Mapping[str, Sequence[VariantResult]], margin: float) -> go.Figure:
    """Forest plot: difference in accuracy of every contrast with its interval, in points; primary ones are filled.

    ``results`` are by the name of their series; a legend names several.
    """
    series = {name: [row for row in rows if row.against][::-1] for name, rows in results.items()}
    contrasts = {row.description for rows in series.values() for row in rows}
    height = 90 + (22 + 14 * len(series)) * len(contrasts)
    figure = _figure(height=height, margin={"l": 8, "r": 24, "t": 8, "b": 40}, scattermode="group")
    figure.add_vrect(x0=-100 * margin, x1=100 * margin, fillcolor=GREY, opacity=0.18, line_width=0)
    figure.add_vline(x=0, line={"width": 1, "color": GREY})
    for place, (name, rows) in enumerate(series.items()):
        low, high = ([100 * abs(row.difference_interval[side] - row.difference) for row in rows] for side in (0, 1))
        colour = CYCLE[place % len(CYCLE)]
        figure.add_scatter(
            x=[100 * row.difference for row in rows],
            y=[row.description for row in rows],
            name=name,
            orientation="h",
            mode="markers",
            marker={"size": 9, "color": colour, "symbol": ["circle" if row.primary else "circle-open" for row in rows]},
            error_x={"type": "data", "array": high, "arrayminus": low, "color": colour, "thickness": 1.5, "width": 4},
            customdata=[row.verdict for row in rows],
            hovertemplate="%{y}<br>%{x:+.1f} points, %{customdata}<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(showlegend=len(series) > 1)
    figure.update_xaxes(showgrid=True, zeroline=False)
    figure.update_yaxes(showgrid=False, ticksuffix="  ")
    return figure


def results_figure(summary: Mapping[str, Any]) -> go.Figure:
    """Accuracy of every model and baseline, per cent, with its interval over subjects; chance is the dotted line."""
    rows = [(name, scores) for name, scores in result_rows(summary) if name != "chance"][::-1]
    accuracies = [100 * scores["accuracy"] for _, scores in rows]
    figure = _figure(height=64 + 34 * len(rows), margin={"l": 8, "r": 48, "t": 8, "b": 40})
    figure.add_bar(
        x=accuracies,
        y=[display_name(name) for name, _ in rows],
        orientation="h",
        width=0.62,
        marker={"color": [_hue(name) for name, _ in rows], "cornerradius": 4},
        error_x=_interval_bars([scores for _, scores in rows]),
        customdata=[[100 * bound for bound in scores["interval"]] for _, scores in rows],
        hovertemplate="%{y}<br>%{x:.1f} % (%{customdata[0]:.0f} – %{customdata[1]:.0f})<extra></extra>",
    )
    _add_values(figure, rows)
    chance = 100 * summary["baselines"].get("chance", {"accuracy": 1 / len(EXPRESSIONS)})["accuracy"]
    figure.add_vline(x=chance, line={"dash": "dot", "width": 1.5, "color": GREY})
    figure.update_xaxes(range=[0, 108], dtick=20, ticksuffix=" %", showgrid=True)
    figure.update_yaxes(showgrid=False, ticksuffix="  ")
    return figure


def confusion_figure(scores: Scores) -> go.Figure:
    """Confusion matrix, per cent of each true expression; the counts are in the hover."""
    shares = [[count / max(sum(row), 1) * 100 for count in row] for row in scores["confusion"]]
    figure = _figure(height=360, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    figure.add_heatmap(
        z=shares,
        x=list(EXPRESSIONS),
        y=list(EXPRESSIONS),
        customdata=scores["confusion"],
        zmin=0,
        zmax=100,
        xgap=2,
        ygap=2,
        showscale=False,
        texttemplate="%{z:.0f}",
        hovertemplate="%{y} read as %{x}<br>%{z:.0f} % (%{customdata:.0f} sequences)<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, ticksuffix=" ")
    figure.update_xaxes(showgrid=False, tickangle=-35)
    return figure


def learning_figures(history: pd.DataFrame) -> dict[str, go.Figure]:
    """Epoch means of a model's terms and, where it has one, of its margin; ``history`` has one row a step."""
    means = history.select_dtypes("number").groupby("epoch").mean()
    terms = [name for name in means if name not in {*STEERING, *BESIDE_THE_POINT}]
    steering = [name for name in STEERING if name in means]
    figures = {"Loss and its terms": lines(means[terms])}
    if steering:
        figures["Margin and active shares"] = lines(means[steering]).update_yaxes(range=[0, 1.02])
    return figures


def view_weights_figure(weights: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """Weight of each view in each model's fused embedding, per cent."""
    names = list(next(iter(weights.values()))) if weights else []
    figure = _figure(height=300)
    for place, (model, shares) in enumerate(weights.items()):
        figure.add_bar(
            x=names,
            y=[100 * shares.get(name, 0.0) for name in names],
            name=display_name(model),
            marker={"color": CYCLE[place % len(CYCLE)], "cornerradius": 4},
            hovertemplate="%{x}: %{y:.1f} %<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(barmode="group", bargap=0.35)
    return figure.update_yaxes(ticksuffix=" %", rangemode="tozero").update_xaxes(showgrid=False)


def purity_figure(purity: PseudoLabelScores) -> go.Figure:
    """Accuracy of pseudo-labels for each true expression, per cent."""
    shares = purity["by_expression"]
    figure = _figure(height=300)
    figure.add_bar(
        x=list(shares),
        y=[100 * share for share in shares.values()],
        marker={"color": AMBER, "cornerradius": 4},
        hovertemplate="%{x}: %{y:.0f} %<extra></extra>",
    )
    figure.update_layout(bargap=0.45)
    return figure.update_yaxes(range=[0, 102], ticksuffix=" %").update_xaxes(showgrid=False)


def few_shot_figure(representations: Mapping[str, Any]) -> go.Figure:
    """Accuracy of a linear probe by the number of labelled subjects, per cent, with its interval; one line a model."""
    figure = _figure(height=320)
    for model, scores in representations.items():
        shots = scores["few_shot"]
        accuracies = [100 * each["accuracy"] for each in shots.values()]
        name, bars = FEATURES_OF.get(model, display_name(model)), _interval_bars(shots.values())
        hover = "%{x} labelled: %{y:.1f} %<extra>%{fullData.name}</extra>"
        _add_line(figure, list(map(int, shots)), accuracies, name, hover, mode="lines+markers", error_y=bars)
    figure.update_yaxes(ticksuffix=" %", rangemode="tozero")
    return figure.update_xaxes(
        title={"text": "labelled subjects"}, tickmode="array", tickvals=[1, 5, 10], showgrid=False
    )


def sizes_figure(curves: Mapping[str, Sequence[tuple[int, float, float, float]]]) -> go.Figure:
    """Accuracy by the number of subjects trained on, per cent, one line a curve; points (size, accuracy, interval)."""
    figure = _figure(height=380)
    for name, points in curves.items():
        scores = [{"accuracy": accuracy, "interval": (low, high)} for _, accuracy, low, high in points]
        accuracies = [100 * accuracy for _, accuracy, *_ in points]
        hover = "%{x} subjects: %{y:.1f} %<extra>%{fullData.name}</extra>"
        sizes, bars = [size for size, *_ in points], _interval_bars(scores)
        _add_line(figure, sizes, accuracies, name, hover, mode="lines+markers", error_y=bars)
    sizes = sorted({size for points in curves.values() for size, *_ in points})
    figure.update_yaxes(ticksuffix=" %")
    return figure.update_xaxes(
        title={"text": "subjects trained on"}, showgrid=False, type="category", categoryarray=sizes
    )


def embedding_map_figure(table: pd.DataFrame) -> go.Figure:
    """Unseen sequences of one model in the plane, one colour and one symbol an expression."""
    figure = _figure(height=420)
    for place, (expression, rows) in enumerate(table.groupby("expression")):
        figure.add_scatter(
            x=rows["x"].tolist(),
            y=rows["y"].tolist(),
            name=str(expression),
            mode="markers",
            marker={"color": CYCLE[place % len(CYCLE)], "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 9},
            customdata=rows["subject"].tolist(),
            hovertemplate="%{fullData.name}, %{customdata}<extra></extra>",
        )
    hidden = {"showgrid": False, "showticklabels": False, "range": [-1.08, 1.08]}
    return figure.update_xaxes(**hidden).update_yaxes(**hidden, scaleanchor="x")


def robustness_figure(accuracies: Mapping[str, Sequence[float]]) -> go.Figure:
    """Accuracy over the strength of a corruption, per cent, from none to five; one line per model."""
    figure = _figure(height=280)
    hover = "strength %{x}: %{y:.1f} %<extra>%{fullData.name}</extra>"
    for model, values in accuracies.items():
        strengths, percent = list(range(len(values))), [100 * value for value in values]
        _add_line(figure, strengths, percent, display_name(model), hover, mode="lines+markers")
    figure.update_yaxes(ticksuffix=" %", range=[0, 102])
    return figure.update_xaxes(title={"text": "strength"}, dtick=1, showgrid=False)


def seconds_figure(seconds: Mapping[str, float]) -> go.Figure:
    """Seconds each stage took, in the order they ran."""
    stages = list(seconds)[::-1]
    figure = _figure(height=56 + 30 * len(stages), margin={"l": 8, "r": 48, "t": 8, "b": 8})
    figure.add_bar(
        x=[seconds[stage] for stage in stages],
        y=[stage.replace("_", " ") for stage in stages],
        text=[f"{seconds[stage]:.1f} s" for stage in stages],
        textposition="outside",
        cliponaxis=False,
        orientation="h",
        width=0.55,
        marker={"color": SLATE, "cornerradius": 4},
        hovertemplate="%{y}: %{x:.1f} s<extra></extra>",
    )
    figure.update_yaxes(showgrid=False, ticksuffix="  ")
    return figure.update_xaxes(visible=False)


def figure_json(figure: go.Figure) -> str:
    """The figure as JSON that may stand inside a ``<script>`` element."""
    text: str = figure.to_json()
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _figure(**layout: Any) -> go.Figure:
    """An empty figure without a theme of its own, on transparent paper."""
    shared = {
        "template": None,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": {"automargin": True, "zeroline": False},
        "yaxis": {"automargin": True, "zeroline": False},
    }
    return go.Figure(layout={**shared, **layout})


def _add_line(
    figure: go.Figure,
    x: list[int],
    y: list[float],
    name: str,
    hover: str,
    mode: str = "lines",
    width: float = 2,
    **more: Any,
) -> None:
    line = {"color": CYCLE[len(figure.data) % len(CYCLE)], "width": width}
    figure.add_scatter(x=x, y=y, name=name, mode=mode, line=line, hovertemplate=hover, **more)


def lines(means: pd.DataFrame, names: Mapping[str, str] = TERM_NAMES) -> go.Figure:
    """One line a column, over epochs (the index, from 0), under the column's name in ``names``."""
    figure = _figure(height=320, hovermode="x unified")
    epochs = [int(epoch) + 1 for epoch in means.index]
    for name in map(str, means):
        shown, width = names.get(name, name.replace("_", " ")), 2.5 if name == "loss" else 1.8
        _add_line(figure, epochs, means[name].tolist(), shown, "%{y:.3f}", width=width)
    return figure.update_xaxes(title={"text": "epoch"}, showgrid=False)


def _interval_bars(scores: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    scores = list(scores)
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (each["interval"][1] - each["accuracy"]) for each in scores],
        "arrayminus": [100 * (each["accuracy"] - each["interval"][0]) for each in scores],
        "thickness": 1.4,
        "width": 4,
    }


def _add_values(figure: go.Figure, rows: Sequence[tuple[str, Scores]]) -> None:
    figure.add_scatter(
        x=[100 * max(scores["interval"][1], scores["accuracy"]) + 1.2 for _, scores in rows],
        y=[display_name(name) for name, _ in rows],
        text=[f"{100 * scores['accuracy']:.0f}" for _, scores in rows],
        mode="text",
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    figure.update_layout(showlegend=False)


def _hue(name: str) -> str:
    """Teal for AffectVLM, amber for SMILE-VLM, slate for the network it is compared with, grey for the rest."""
    hues = {"affect_vlm": TEAL, "smile_vlm": AMBER, "cross_entropy": SLATE}
    return hues.get(name.split(".")[0], GREY)


def timeline_figure(timeline: pd.DataFrame, expressions: Sequence[str]) -> go.Figure:
    """Probability of every expression over the frames of a sequence; the frames in its window are shaded."""
    usable = timeline[timeline["status"] != "refused"]
    figure = _figure(height=250, hovermode="x unified", margin={"l": 8, "r": 8, "t": 8, "b": 36})
    for name in expressions:
        percent = (100 * usable[f"prob_{name}"]).round(2).tolist()
        _add_line(figure, usable["frame"].tolist(), percent, name, "%{y:.0f} %")
    chosen = usable.loc[usable["in_window"].astype(bool), "frame"]
    if len(chosen):
        first, last = chosen.min() - 0.5, chosen.max() + 0.5
        figure.add_vrect(x0=first, x1=last, fillcolor=GREY, opacity=0.14, line_width=0, layer="below")
    figure.update_yaxes(range=[0, 102], ticksuffix=" %", dtick=50, showgrid=True)
    return figure.update_xaxes(title={"text": "frame"}, showgrid=False)
