"""Charts of answers: shares of the expressions, how they pass over a sequence, likeness to sentences, views."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float32, UInt8
from PIL import Image
from plotly.subplots import make_subplots

from affect4d.app.answering import Answered
from affect4d.views.channels import derive_channels
from affect4d.views.inputs import ChannelName

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
PICTURE_SIDE = 192
SKIN = "skin"
CLEAR = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}


def share_chart(shares: Mapping[str, float]) -> go.Figure:
    """One bar an expression, the likeliest in full colour."""
    top = max(shares, key=lambda name: shares[name])
    figure = go.Figure(
        go.Bar(
            x=list(shares.values()),
            y=list(shares),
            orientation="h",
            marker_color=[EXPRESSION_COLOURS.get(name, OTHER) for name in shares],
            marker_opacity=[1.0 if name == top else PALE for name in shares],
            text=[f"{share:.0%}" for share in shares.values()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_layout(
        height=34 * len(shares) + 16,
        margin={"l": 0, "r": 34, "t": 4, "b": 4},
        bargap=0.35,
        xaxis={"range": [0, 1], "visible": False, "fixedrange": True},
        yaxis={"autorange": "reversed", "fixedrange": True},
        **CLEAR,
    )
    return figure


def timeline_chart(answers: Sequence[Answered], place: int) -> go.Figure:
    """Shares over the frames of a sequence, one row a model, with the frame that is shown and the apex."""
    figure = make_subplots(len(answers), 1, shared_xaxes=True, vertical_spacing=0.14,
                           subplot_titles=[answer.title for answer in answers])  # fmt: skip
    for row, answer in enumerate(answers, 1):
        frames = [scan.frame for scan in answer.prepared.usable]
        for name, shares in zip(answer.predictor.expressions, answer.shares().T, strict=True):
            figure.add_scatter(
                row=row, col=1, x=frames, y=shares, name=name, legendgroup=name, showlegend=row == 1, mode="lines",
                stackgroup=f"shares {row}", line={"width": 0.5, "color": EXPRESSION_COLOURS.get(name, OTHER)},
                hovertemplate=f"{name} %{{y:.0%}}<extra></extra>",
            )  # fmt: skip
        figure.add_vline(row=row, col=1, x=frames[place], line={"width": 2, "color": "#1c1a19"})
        figure.add_vline(row=row, col=1, x=frames[place], line={"width": 2, "color": "#ffffff", "dash": "dot"})
        moments = answer.prepared.moments
        if moments is not None:
            figure.add_annotation(row=row, col=1, x=frames[moments.apex], y=1, text="apex ▾", showarrow=False, yshift=9)
    figure.for_each_annotation(lambda note: note.update(x=0, xanchor="left", font_size=13), selector={"yref": "paper"})
    figure.update_yaxes(range=[0, 1], tickformat=".0%", tickvals=[0, 0.5, 1], fixedrange=True, gridcolor=GRID)
    figure.update_xaxes(fixedrange=True, showgrid=False)
    figure.update_xaxes(title_text="frame", row=len(answers), col=1)
    figure.update_layout(
        height=120 * len(answers) + 100,
        margin={"l": 0, "r": 0, "t": 28, "b": 0},
        legend={"orientation": "h", "y": -0.28 / len(answers) - 0.12, "x": 0},
        hovermode="x unified",
        **CLEAR,
    )
    return figure


def likeness_chart(sentences: Sequence[str], cosines: Mapping[str, Float32[np.ndarray, " sentences"]]) -> go.Figure:
    """Cosine of the face with each sentence, −1…1, models beside each other."""
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


def view_sheet(answer: Answered, place: int) -> str:
    """What was drawn of one frame: views from left to right, one row a name of :func:`sheet_rows`.

    Returns:
        A picture that carries its own bytes (a ``data:`` address): when a sequence plays, one that the browser had to
        ask for would be gone before it does.
    """
    render = answer.predictor.bundle.render
    places = [list(render.angles).index(name) for name in view_order(answer)]
    drawn = {channel: stack[place : place + 1] for channel, stack in answer.prepared.pictures.items()}
    angles, pitches = list(render.angles.values()), [render.pitch(name) for name in render.angles]
    channels = _shapes(answer)
    rows = [[drawn["texture"][0, view] for view in places]] if "texture" in drawn else []
    if channels:
        shapes = derive_channels(drawn, angles, channels, pitches)[0]
        rows += [[shapes[view, channel] for view in places] for channel in range(len(channels))]
    sheet = np.concatenate([np.concatenate([_enlarged(picture) for picture in row], axis=1) for row in rows], axis=0)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def sheet_rows(answer: Answered) -> list[str]:
    """Names of the rows of :func:`view_sheet`, from above: skin where it was drawn, then what is seen of the shape."""
    return [*([SKIN] if "texture" in answer.prepared.pictures else []), *_shapes(answer)]


def view_order(answer: Answered) -> list[str]:
    """Names of the views as :func:`view_sheet` shows them, from left to right."""
    angles = answer.predictor.bundle.render.angles
    return sorted(angles, key=lambda name: angles[name])


def _shapes(answer: Answered) -> list[ChannelName]:
    """The model's channels but grey, which is the skin's."""
    return [channel for channel in answer.predictor.bundle.inputs.channels if channel != "grey"]


def _enlarged(picture: UInt8[np.ndarray, "height width *components"]) -> UInt8[np.ndarray, "height width 3"]:
    side = (PICTURE_SIDE, PICTURE_SIDE)
    return np.asarray(Image.fromarray(picture).convert("RGB").resize(side, Image.Resampling.BICUBIC))


def _short(sentence: str, most: int = 70) -> str:
    shown = sentence if len(sentence) <= most else sentence[: most - 1] + "…"
    return shown.replace("<", "&lt;")
