"""Charts of the results: probabilities, their timeline, similarities with sentences, and views."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float32, UInt8
from PIL import Image
from plotly.subplots import make_subplots

from affect4d.app.predictions import ModelResult
from affect4d.views.channels import derive_channels

EXPRESSION_COLOURS: Mapping[str, str] = {
    "anger": "#c8452f",
    "disgust": "#6f8f3c",
    "fear": "#7d5ba6",
    "happiness": "#dfa126",
    "sadness": "#3f7cac",
    "surprise": "#2f9c95",
}
MODEL_COLOURS = ("#b4552d", "#3b6ea5", "#6f8f3c")
OTHER = "#8a8580"
PALE = 0.42
GRID = "rgba(128,128,128,0.22)"
IMAGE_SIDE = 192
SKIN = "skin"
CLEAR = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}


def probability_chart(probabilities: Mapping[str, float]) -> go.Figure:
    """One bar an expression, the most probable in full colour."""
    top = max(probabilities, key=lambda name: probabilities[name])
    figure = go.Figure(
        go.Bar(
            x=list(probabilities.values()),
            y=list(probabilities),
            orientation="h",
            marker_color=[EXPRESSION_COLOURS.get(name, OTHER) for name in probabilities],
            marker_opacity=[1.0 if name == top else PALE for name in probabilities],
            text=[f"{probability:.0%}" for probability in probabilities.values()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_layout(
        height=34 * len(probabilities) + 16,
        margin={"l": 0, "r": 34, "t": 4, "b": 4},
        bargap=0.35,
        xaxis={"range": [0, 1], "visible": False, "fixedrange": True},
        yaxis={"autorange": "reversed", "fixedrange": True},
        **CLEAR,
    )
    return figure


def timeline_chart(results: Sequence[ModelResult], place: int) -> go.Figure:
    """Probabilities over the frames of a sequence, one row a model; marks the current frame and the apex."""
    figure = make_subplots(len(results), 1, shared_xaxes=True, vertical_spacing=0.14,
                           subplot_titles=[result.title for result in results])  # fmt: skip
    for row, result in enumerate(results, 1):
        frames = [scan.frame for scan in result.prepared.usable]
        for name, probabilities in zip(result.predictor.expressions, result.probabilities().T, strict=True):
            figure.add_scatter(
                row=row, col=1, x=frames, y=probabilities, name=name, legendgroup=name, showlegend=row == 1,
                mode="lines",
                stackgroup=f"probabilities {row}", line={"width": 0.5, "color": EXPRESSION_COLOURS.get(name, OTHER)},
                hovertemplate=f"{name} %{{y:.0%}}<extra></extra>",
            )  # fmt: skip
        figure.add_vline(row=row, col=1, x=frames[place], line={"width": 2, "color": "#1c1a19"})
        figure.add_vline(row=row, col=1, x=frames[place], line={"width": 2, "color": "#ffffff", "dash": "dot"})
        moments = result.prepared.moments
        if moments is not None:
            figure.add_annotation(row=row, col=1, x=frames[moments.apex], y=1, text="apex ▾", showarrow=False, yshift=9)
    figure.for_each_annotation(lambda note: note.update(x=0, xanchor="left", font_size=13), selector={"yref": "paper"})
    figure.update_yaxes(range=[0, 1], tickformat=".0%", tickvals=[0, 0.5, 1], fixedrange=True, gridcolor=GRID)
    figure.update_xaxes(fixedrange=True, showgrid=False)
    figure.update_xaxes(title_text="frame", row=len(results), col=1)
    figure.update_layout(
        height=120 * len(results) + 100,
        margin={"l": 0, "r": 0, "t": 28, "b": 0},
        legend={"orientation": "h", "y": -0.28 / len(results) - 0.12, "x": 0},
        hovermode="x unified",
        **CLEAR,
    )
    return figure


def similarity_chart(sentences: Sequence[str], cosines: Mapping[str, Float32[np.ndarray, " sentences"]]) -> go.Figure:
    """Cosine of the face with each sentence, −1…1, models side by side."""
    figure = go.Figure()
    names = [f"{place}. {sentence}" for place, sentence in enumerate(sentences, 1)]
    for colour, (title, values) in zip(MODEL_COLOURS, cosines.items(), strict=False):
        figure.add_bar(
            name=title, y=names, x=values, orientation="h", marker_color=colour, cliponaxis=False,
            text=[f"{value:+.2f}" for value in values], textposition="outside",
            hovertemplate=f"{title}: %{{x:+.3f}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        barmode="group",
        height=(24 * len(cosines) + 34) * len(sentences) + 70,
        margin={"l": 0, "r": 20, "t": 4, "b": 0},
        bargap=0.42,
        xaxis={"range": [-1.12, 1.12], "zeroline": True, "tickvals": [-1, -0.5, 0, 0.5, 1], "fixedrange": True,
               "gridcolor": GRID},
        yaxis={"autorange": "reversed", "fixedrange": True, "showticklabels": False},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        **CLEAR,
    )  # fmt: skip
    for name, sentence in zip(names, sentences, strict=True):
        figure.add_annotation(x=-1.12, y=name, text=_short(sentence), showarrow=False, xanchor="left",
                              yshift=11 * len(cosines) + 12)  # fmt: skip
    return figure


def view_sheet(result: ModelResult, place: int) -> str:
    """Images of one frame: views from left to right, one row a name of :func:`sheet_rows`.

    Returns:
        A ``data:`` address: when a sequence plays, a file would be gone before the browser requests it.
    """
    render = result.predictor.description.render
    places = [list(render.angles).index(name) for name in view_order(result)]
    drawn = {channel: stack[place : place + 1] for channel, stack in result.prepared.pictures.items()}
    angles, pitches = list(render.angles.values()), [render.pitch(name) for name in render.angles]
    channels = _shapes(result)
    rows = [[drawn["texture"][0, view] for view in places]] if "texture" in drawn else []
    if channels:
        shapes = derive_channels(drawn, angles, channels, pitches)[0]
        rows += [[shapes[view, channel] for view in places] for channel in range(len(channels))]
    sheet = np.concatenate([np.concatenate([_enlarged(picture) for picture in row], axis=1) for row in rows], axis=0)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def sheet_rows(result: ModelResult) -> list[str]:
    """Names of the rows of :func:`view_sheet`: skin where it was rendered, then the channels of the shape."""
    return [*([SKIN] if "texture" in result.prepared.pictures else []), *_shapes(result)]


def view_order(result: ModelResult) -> list[str]:
    """Names of the views in :func:`view_sheet`, from left to right."""
    angles = result.predictor.description.render.angles
    return sorted(angles, key=lambda name: angles[name])


def _shapes(result: ModelResult) -> list[str]:
    """Channels of the shape: all but grey, which is the skin's."""
    return [channel for channel in result.predictor.description.inputs.channels if channel != "grey"]


def _enlarged(picture: UInt8[np.ndarray, "height width *components"]) -> UInt8[np.ndarray, "height width 3"]:
    side = (IMAGE_SIDE, IMAGE_SIDE)
    return np.asarray(Image.fromarray(picture).convert("RGB").resize(side, Image.Resampling.BICUBIC))


def _short(sentence: str, most: int = 70) -> str:
    shown = sentence if len(sentence) <= most else sentence[: most - 1] + "…"
    return shown.replace("<", "&lt;")
