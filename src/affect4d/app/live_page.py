"""Live mode: the newest scan of the watched folder, its answer, and the answers of the last minute."""

import os
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from affect4d.app import WATCH, figures
from affect4d.app.answer_elements import CALIBRATED, SHAPE, SKIN, UNCALIBRATED, show_action_units, show_answer
from affect4d.app.live_watch import BIN, SPAN, LiveState, LiveWatch
from affect4d.app.model_predictions import AvailableModel
from affect4d.app.select_recording import escape_markdown, open_predictor
from affect4d.inference.results import FramePrediction
from affect4d.inference.watch_folder import LiveAnswer, first_scans

STEADY = "<style>[data-stale=true] { opacity: 1 !important; transition: none !important }</style>"
"""Streamlit lets what it is about to redraw fade, which would flicker every second."""
TRIANGLES = 16_000  # of the face, which is sent every second
REFRESH = 1.0  # seconds from one look to the next
LISTED = 200  # scans that are offered as the neutral one
FIRST = "the first scan by name"


def watched_folder() -> Path | None:
    """The folder that the app was started with; None where it was started without."""
    given = os.environ.get(WATCH)
    return Path(given) if given else None


def show_watched(inputs: DeltaGenerator, folder: Path, available: dict[str, AvailableModel]) -> None:
    """Choice of model and neutral scan, in ``inputs``; below it the newest scan, looked at every second."""
    st.html(STEADY)
    with inputs:
        left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
        model = available[left.selectbox("Model", list(available), key="live model")]
        watch = live_watch(str(folder), *model.identity[1:])
        with middle:
            select_neutral(watch)
        paused = right.toggle("Pause", key="paused", help="Scans are answered all the same.")
    st.fragment(show_newest, run_every=None if paused else REFRESH)(watch, model)


@st.cache_resource(show_spinner="Loading a model …", max_entries=4, on_release=LiveWatch.stop)
def live_watch(folder: str, model: str, written: int) -> LiveWatch:
    """Watch of a folder with a model, one for all sessions."""
    return LiveWatch(open_predictor(model, written), Path(folder))


def select_neutral(watch: LiveWatch) -> None:
    """One of the folder's first scans as the neutral one, for everybody who looks at this folder with this model."""
    listed = first_scans(watch.folder, LISTED)
    if watch.chosen is not None and watch.chosen not in listed:
        listed.append(watch.chosen)
    scans = {_name(watch, scan): scan for scan in listed}
    st.session_state["live neutral"] = FIRST if watch.chosen is None else _name(watch, watch.chosen)
    st.selectbox(
        "Neutral scan", [FIRST, *scans], key="live neutral",
        on_change=lambda: watch.choose_neutral(scans.get(st.session_state["live neutral"])),
        help=f"Movement is seen relative to it. The first {LISTED} scans of the folder are listed.",
    )  # fmt: skip


def show_newest(watch: LiveWatch, model: AvailableModel) -> None:
    """The newest usable scan with its answer, the timeline, action units, and what could not be used."""
    state = watch.look()
    if state.error:
        st.error(f"No scan is answered any more: {escape_markdown(state.error)}")
    if not watch.folder.is_dir():
        st.warning(f"There is no folder **{escape_markdown(watch.folder.name)}** any more: make it again to go on.")
    elif state.newest is None:
        st.info(f"No usable scan in **{escape_markdown(watch.folder.name)}** yet.")
    if state.newest is not None:
        face, answer = st.columns([1.15, 1], gap="medium")
        with face:
            _show_face(watch, state, state.newest)
        with answer:
            _show_answer(watch, model, state, state.newest.frame)
    for line in _remarks(watch, state):
        st.caption(f":material/warning: {line}")
    if state.newest is not None:
        chart = figures.live_chart(state.seconds, state.probabilities, watch.predictor.expressions, SPAN, BIN)
        st.plotly_chart(chart, config=figures.FIXED, key="live timeline")
        if state.newest.frame.action_units is not None:
            show_action_units(model.title, state.newest.frame.action_units)


def _show_face(watch: LiveWatch, state: LiveState, newest: LiveAnswer) -> None:
    scan = Path(newest.frame.file)
    colouring = st.segmented_control(
        "Show", [SKIN, SHAPE], default=SKIN, required=True, key="live paint", label_visibility="collapsed"
    )
    if newest.face is not None:
        kind: figures.Colouring = "shape" if colouring == SHAPE else "skin"
        figure = figures.face_figure(newest.face, kind, triangles=TRIANGLES)
        st.plotly_chart(figure, config=figures.TURNABLE, key="live mesh")
    delay = f" · {newest.seconds:.2f} s after it was written" if newest.seconds < SPAN else ""
    st.caption(f"**{escape_markdown(_name(watch, scan))}**{delay} · {state.rate:.1f} answers a second")
    if st.button("Take this face as neutral", disabled=scan == state.neutral):
        watch.choose_neutral(scan)
        st.rerun()


def _show_answer(watch: LiveWatch, model: AvailableModel, state: LiveState, frame: FramePrediction) -> None:
    remarks = [f"{CALIBRATED if watch.predictor.description.calibration else UNCALIBRATED} {model.measured}"]
    if state.neutral is not None:
        remarks.append(f"Movement is since **{escape_markdown(_name(watch, state.neutral))}**.")
    remarks += [f":material/info: {escape_markdown(frame.reason)}"] if frame.reason else []
    show_answer(model.title, frame.expression, frame.probabilities, remarks)


def _remarks(watch: LiveWatch, state: LiveState) -> list[str]:
    """Why the neutral scan, and the last of the refused scans, are not used."""
    lines = [escape_markdown(state.remark)] if state.remark else []
    if state.refused:
        last = state.refused[-1]
        count = f"; {len(state.refused)} scans in the last minute" if len(state.refused) > 1 else ""
        name = escape_markdown(_name(watch, Path(last.file)))
        lines.append(f"**{name}** cannot be used: {escape_markdown(last.reason)}{count}.")
    return lines


def _name(watch: LiveWatch, scan: Path) -> str:
    """A scan's path in the folder."""
    return scan.relative_to(watch.folder).as_posix()
