"""The stage: the face, turnable; beside it what each model says; below, time and the views the models see."""

from collections.abc import Mapping, Sequence

import streamlit as st

from affect4d.app.answering import Answered
from affect4d.app.charts import share_chart, sheet_rows, timeline_chart, view_order, view_sheet
from affect4d.app.choices import ModelChoice
from affect4d.app.mesh import Paint, face_figure
from affect4d.app.plain import plain

SKIN, SHAPE, LOOKS = "Skin", "Shape", "Where {} looks"
STILL = {"displayModeBar": False, "scrollZoom": False}
TURNABLE = {"displaylogo": False, "modeBarButtonsToRemove": ["toImage", "tableRotation", "resetCameraLastSave3d"]}
SECONDS_A_FRAME = 0.7
SHEET = 560
"""Width of the picture of views, in pixels; a narrow screen shrinks it."""
LOOKING = (
    "Red speaks for the answer, blue against it: integrated gradients of what changed since the neutral frame "
    "(of the whole face where there is none), scaled to each picture's strongest places."
)


def show_stage(key: str, answers: Sequence[Answered], models: Mapping[str, ModelChoice]) -> None:
    """Face, answers, timeline and views; what moves with time is drawn anew by itself while it plays."""
    playing = is_playing()
    several = len(answers[0].prepared.usable) > 1
    st.fragment(show_moment, run_every=SECONDS_A_FRAME if playing and several else None)(key, answers, models, playing)


def is_playing() -> bool:
    """Whether the frames follow one another by themselves."""
    return bool(st.session_state.get("playing"))


def show_moment(key: str, answers: Sequence[Answered], models: Mapping[str, ModelChoice], playing: bool) -> None:
    """One frame of the recording: its mesh beside the answers, its place in time, its views.

    Where the button was pressed since the stage was set, ``playing`` is not what it was set for: it is set anew.
    """
    if is_playing() != playing:
        st.rerun()
    places = len(answers[0].prepared.usable)
    face, verdicts = st.columns([1.15, 1], gap="medium")
    with face:
        place = show_face(key, answers, places)
    with verdicts:
        for answer in answers:
            show_verdict(answer, models[answer.title])
    if places > 1:
        st.plotly_chart(timeline_chart(answers, place), config=STILL, key="timeline")
    show_views(answers, place)


def show_face(key: str, answers: Sequence[Answered], places: int) -> int:
    """The face as it is painted, and the frame that is chosen below it."""
    looks: dict[str, Answered] = {LOOKS.format(answer.title): answer for answer in answers}
    paint = st.segmented_control(
        "Show", [SKIN, SHAPE, *looks], default=SKIN, required=True, key="paint", label_visibility="collapsed"
    )
    mesh = st.container()
    place = choose_moment(key, answers[0], places) if places > 1 else 0
    with mesh:
        show_mesh(answers[0], place, paint or SKIN, looks.get(paint or SKIN))
    return place


def show_verdict(answer: Answered, model: ModelChoice) -> None:
    """One model's answer, and how far to trust it."""
    prediction = answer.prediction
    with st.container(border=True):
        st.caption(answer.title)
        top = prediction.expression or "no answer"
        st.markdown(f"### {top} · {prediction.probabilities.get(top, 0.0):.0%}")
        chart = share_chart(prediction.probabilities)
        st.plotly_chart(chart, config=STILL, key=f"shares {answer.title}")
        trust = "Shares are calibrated." if prediction.calibrated else "Shares are not calibrated: read their order."
        st.caption(f"{trust} {model.measured}")
        if prediction.reason:
            st.caption(f":material/info: {plain(prediction.reason)}")


def choose_moment(key: str, answer: Answered, places: int) -> int:
    """Which frame: by hand, or the next one while it plays."""
    if st.session_state.get("recording") != key:
        moments = answer.prepared.moments
        st.session_state.update(recording=key, place=moments.apex if moments else 0)
    elif is_playing():
        st.session_state["place"] = (st.session_state["place"] + 1) % places
    button, slider = st.columns([1, 5], vertical_alignment="bottom")
    label = ":material/pause: Stop" if is_playing() else ":material/play_arrow: Play"
    button.button(label, key="play", width="stretch", on_click=_play, args=(not is_playing(),))
    return int(slider.slider("Frame", 0, places - 1, key="place"))


def _play(on: bool) -> None:
    """What the button says; heard twice, as a press may be while frames are drawn, it means the same."""
    st.session_state["playing"] = on


def show_mesh(answer: Answered, place: int, paint: str, looking: Answered | None) -> None:
    """The face, painted."""
    shown = looking or answer
    face = shown.prepared.usable[place].face
    if face is None:
        return
    how: Paint = "relevance" if looking is not None else ("shape" if paint == SHAPE else "skin")
    figure = face_figure(face, how, looking.relevance(place) if looking is not None else None)
    st.plotly_chart(figure, config=TURNABLE, key="mesh")
    if looking is not None:
        st.caption(f"{LOOKING} Answer: **{looking.prediction.expression}**.")


def show_views(answers: Sequence[Answered], place: int) -> None:
    """What the models see, and how much each view counts."""
    answer = answers[0]
    with st.expander("What the models see", expanded=len(answer.prepared.usable) == 1):
        told = f"{' · '.join(view_order(answer))}: {', '.join(sheet_rows(answer))}"
        st.image(view_sheet(answer, place), width=SHEET, caption=told)
        for one in answers:
            weights = " · ".join(f"{name} {share:.0%}" for name, share in one.prediction.view_weights.items())
            st.caption(f"How much each view counts for {one.title}: {weights}")
