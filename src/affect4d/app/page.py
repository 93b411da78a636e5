"""The page, from top to bottom: inputs, predictions, similarities with sentences, tables to download."""

import streamlit as st

from affect4d.app.model_list import AvailableModel, available_models
from affect4d.app.predictions import ModelResult, result_table, result_timeline
from affect4d.app.result_view import show_result, show_similarities
from affect4d.app.samples_and_uploads import SelectedRecording, open_predictor, predict_selected, select_recording
from affect4d.inference.uploads import Upload

TIGHT = (
    "<style>.stMainBlockContainer { padding: 2rem clamp(0.9rem, 4vw, 4rem) 3rem; max-width: 84rem }"
    ".stButtonGroup [role=radiogroup] { flex-wrap: wrap; row-gap: 0.25rem }</style>"
)
"""Narrow margins; on a phone, buttons wrap to a second line."""
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
    with st.container(border=True):
        above, models = st.container(), select_models(available)
        with above:
            selected = select_recording(max((model.texels for model in models), default=0))
    if selected is not None and models:
        show_predictions(selected, models)
    st.divider()
    st.caption(f"{INTENDED_USE}  \n{PRIVACY}")


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
