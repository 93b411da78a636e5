"""The page, from top to bottom: inputs, face and predictions, similarities with sentences, tables to download."""

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from affect4d.app import figures
from affect4d.app.answer_elements import CALIBRATED, SHAPE, SKIN, UNCALIBRATED, show_action_units, show_answer
from affect4d.app.live_page import show_watched, watched_folder
from affect4d.app.model_predictions import AvailableModel, ModelResult, available_models, result_table, result_timeline
from affect4d.app.select_recording import (
    SAMPLE,
    UPLOAD,
    SelectedRecording,
    escape_markdown,
    open_predictor,
    predict_selected,
    select_recording,
)
from affect4d.inference.sandboxed_upload_reader import Upload
from affect4d.pretrained_files import PretrainedModelMissingError

TIGHT = (
    "<style>.stMainBlockContainer { padding: 2rem clamp(0.9rem, 4vw, 4rem) 3rem; max-width: 84rem }"
    ".stButtonGroup [role=radiogroup] { flex-wrap: wrap; row-gap: 0.25rem }</style>"
)  # narrow margins; on a phone, buttons wrap to a second line
LEAD = "Vision-language models that read facial **expressions** from 3D scans and 4D sequences."
INTENDED_USE = (
    "**Intended use.** For research. The prediction names the *expression* a face shows, not the emotion a person "
    "feels, and no attribute of a person is inferred. Not for decisions about people; emotion inference at work and in "
    "education is prohibited in the EU since February 2025. Results on synthetic faces say little about real ones."
)
PRIVACY = "An upload is read in a confined process, stays in memory while this page is open, and is kept nowhere."
NO_MODELS = (
    "There is no model: this installation came without packaged ones, and none was trained here. "
    "Train both with `make run`, then reload this page."
)
ATTRIBUTION = "Attribution of {}"
WATCHED = "A watched folder"
SECONDS_A_FRAME = 0.7
SHEET_WIDTH = 560  # pixels; a narrow screen shrinks it
EXPLANATION = (
    "Red speaks for the answer, blue against it: integrated gradients of what changed since the neutral frame "
    "(of the whole face where there is none), scaled to each picture's strongest places."
)
SENTENCES = ("a joyful smiling face", "a surprised face", "an angry face", "")
"""Initial sentences, of words that both packaged models know."""
LONGEST = 200


def main() -> None:
    """Show the page."""
    st.set_page_config("Affect4D", page_icon="🙂", layout="wide", initial_sidebar_state="collapsed")
    st.html(TIGHT)
    st.title("Affect4D", anchor=False)
    st.markdown(LEAD)
    available = available_models()
    if not available:
        st.warning(NO_MODELS)
        return
    inputs, folder = st.container(border=True), watched_folder()
    with inputs:
        offered = [SAMPLE, UPLOAD, *([WATCHED] if folder is not None else [])]
        where = st.segmented_control(
            "Look at", offered, default=WATCHED if folder is not None else SAMPLE, required=True, key="where"
        )
    if folder is not None and where == WATCHED:
        show_watched(inputs, folder, available)
    else:
        show_recording(inputs, where, available)
    st.divider()
    st.caption(f"{INTENDED_USE}  \n{PRIVACY}")


def show_recording(inputs: DeltaGenerator, where: str, available: dict[str, AvailableModel]) -> None:
    """A sample or an upload: its choice, in ``inputs``, and everything below."""
    with inputs:
        above, models = st.container(), select_models(available)
        with above:
            selected = select_recording(where, max((model.texels for model in models), default=0))
    if selected is not None and models:
        show_predictions(selected, models)


def select_models(available: dict[str, AvailableModel]) -> list[AvailableModel]:
    """Models to compare, side by side."""
    titles = st.multiselect(
        "Models", list(available), default=list(available)[:2], max_selections=3, key="models",
        help="Packaged models, and those trained in this project.",
    )  # fmt: skip
    if not titles:
        st.info("Choose a model.")
    return [available[title] for title in titles]


def show_predictions(selected: SelectedRecording, models: list[AvailableModel]) -> None:
    """Everything below the inputs."""
    predictors = {model.title: open_predictor(*model.identity[1:]) for model in models}
    results = predict_selected(selected, tuple(model.identity for model in models), predictors)
    if results:
        show_result(selected.key, results, {model.title: model for model in models})
        show_similarities(results)
        show_tables(results, selected.upload)


def show_tables(results: list[ModelResult], upload: Upload | None) -> None:
    """Tables to download, and the outcome of every scan."""
    table, timeline = result_table(results, upload), result_timeline(results, upload)
    st.subheader("Take it along", anchor=False)
    with st.container(horizontal=True):
        st.download_button("Answers (CSV)", table.to_csv(index=False), "answers.csv", "text/csv", on_click="ignore")
        st.download_button(
            "Frame by frame (CSV)", timeline.to_csv(index=False), "frames.csv", "text/csv", on_click="ignore"
        )
    with st.expander("What became of every scan"):
        first = timeline[timeline["model"] == timeline["model"].iloc[0]]
        named = [] if upload is None else ["file"]
        st.dataframe(first[[*named, "frame", "status", "reason", "activity", "in_window"]], hide_index=True)


def show_result(key: str, results: Sequence[ModelResult], models: Mapping[str, AvailableModel]) -> None:
    """Face, predictions, timeline and views; the part that changes with time is redrawn alone while it plays."""
    playing = is_playing()
    several = len(results[0].prepared.usable) > 1
    st.fragment(show_frame, run_every=SECONDS_A_FRAME if playing and several else None)(key, results, models, playing)


def is_playing() -> bool:
    """Whether the frames advance by themselves."""
    return bool(st.session_state.get("playing"))


def show_frame(key: str, results: Sequence[ModelResult], models: Mapping[str, AvailableModel], playing: bool) -> None:
    """One frame of the recording; reruns the page if the button was pressed since ``playing`` was read."""
    if is_playing() != playing:
        st.rerun()
    frames = len(results[0].prepared.usable)
    face, predictions = st.columns([1.15, 1], gap="medium")
    with face:
        place = show_face(key, results, frames)
    with predictions:
        for result in results:
            show_prediction(result, models[result.title], place)
    if frames > 1:
        st.plotly_chart(figures.timeline_chart(results, place), config=figures.FIXED, key="timeline")
    show_views(results, place)


def show_face(key: str, results: Sequence[ModelResult], frames: int) -> int:
    """The coloured face, and the frame selected below it."""
    attributions: dict[str, ModelResult] = {ATTRIBUTION.format(result.title): result for result in results}
    options = [SKIN, SHAPE, *attributions]
    colouring = st.segmented_control(
        "Show", options, default=SKIN, required=True, key="paint", label_visibility="collapsed"
    )
    landmarks = st.toggle("Landmarks", key="landmarks")
    mesh = st.container()
    place = select_frame(key, results[0], frames) if frames > 1 else 0
    with mesh:
        show_mesh(results[0], place, colouring or SKIN, attributions.get(colouring or SKIN), landmarks)
    return place


def show_prediction(result: ModelResult, model: AvailableModel, place: int) -> None:
    """One model's prediction, how reliable it is, and the action units of one frame."""
    prediction = result.prediction
    remarks = [f"{CALIBRATED if prediction.calibrated else UNCALIBRATED} {model.measured}"]
    remarks += [f":material/info: {escape_markdown(prediction.reason)}"] if prediction.reason else []
    strengths = prediction.usable_frames[place].action_units
    with show_answer(result.title, prediction.expression, prediction.probabilities, remarks):
        if strengths is not None:
            with st.expander("Action units", expanded=True):
                show_action_units(result.title, strengths)


def select_frame(key: str, result: ModelResult, frames: int) -> int:
    """The frame: selected by hand, or the next one while it plays."""
    if st.session_state.get("recording") != key:
        moments = result.prepared.moments
        st.session_state.update(recording=key, place=moments.apex if moments else 0)
    elif is_playing():
        st.session_state["place"] = (st.session_state["place"] + 1) % frames
    button, slider = st.columns([1, 5], vertical_alignment="bottom")
    label = ":material/pause: Stop" if is_playing() else ":material/play_arrow: Play"
    button.button(label, key="play", width="stretch", on_click=_set_playing, args=(not is_playing(),))
    return int(slider.slider("Frame", 0, frames - 1, key="place"))


def _set_playing(on: bool) -> None:
    """Set, not toggled: a press that is handled twice has the same effect."""
    st.session_state["playing"] = on


def show_mesh(result: ModelResult, place: int, colouring: str, attributed: ModelResult | None, landmarks: bool) -> None:
    """The mesh with its texture, plain, or with the attribution of one model; with its landmarks if wanted."""
    face = (attributed or result).prepared.usable[place].face
    if face is None:
        return
    kind: figures.Colouring = "attribution" if attributed is not None else ("shape" if colouring == SHAPE else "skin")
    attribution = attributed.attribution(place) if attributed is not None else None
    figure = figures.face_figure(face, kind, attribution, landmarks)
    st.plotly_chart(figure, config=figures.TURNABLE, key="mesh")
    if attributed is not None:
        st.caption(f"{EXPLANATION} Answer: **{attributed.prediction.expression}**.")


def show_views(results: Sequence[ModelResult], place: int) -> None:
    """Model input, and the weight of each view."""
    result = results[0]
    with st.expander("What the models see", expanded=len(result.prepared.usable) == 1):
        caption = f"{' · '.join(figures.view_order(result))}: {', '.join(figures.sheet_rows(result))}"
        st.image(figures.view_sheet(result, place), width=SHEET_WIDTH, caption=caption)
        for one in results:
            weights = " · ".join(f"{name} {weight:.0%}" for name, weight in one.prediction.view_weights.items())
            st.caption(f"How much each view counts for {one.title}: {weights}")


@st.fragment
def show_similarities(results: Sequence[ModelResult]) -> None:
    """Text fields, and the similarity of each sentence with the face, updated while typing."""
    st.subheader("In your own words", anchor=False)
    st.caption("How near a sentence comes to this face in each model's joint space: the cosine, −1 to 1.")
    left, right = st.columns([1, 1.3], gap="medium")
    with left:
        typed = [_text_field(place, first) for place, first in enumerate(SENTENCES)]
    sentences = [sentence.strip() for sentence in typed if sentence.strip()]
    with right:
        if sentences:
            _show_cosines(results, sentences)


def _show_cosines(results: Sequence[ModelResult], sentences: list[str]) -> None:
    """Similarities by model, and below them each remark about a sentence, or about a model without its encoder."""
    cosines, remarks = {}, []
    for result in results:
        try:
            cosines[result.title] = result.predictor.embed_texts(sentences) @ result.embedding.fused
            remarks += [remark for sentence in sentences for remark in result.predictor.remarks(sentence)]
        except PretrainedModelMissingError as error:
            remarks.append(f"{result.title}: {error}")
    if cosines:
        st.plotly_chart(figures.similarity_chart(sentences, cosines), config=figures.FIXED, key="likeness")
    for remark in dict.fromkeys(remarks):
        st.caption(f":material/help: {escape_markdown(remark)}")


def _text_field(place: int, first: str) -> str:
    return st.text_input(
        f"Sentence {place + 1}", first, LONGEST, key=f"sentence {place}", live=True,
        label_visibility="collapsed", placeholder="Type a sentence about the face …",
    )  # fmt: skip
