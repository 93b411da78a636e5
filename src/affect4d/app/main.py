"""The page, from top to bottom: choose a face, see it, read the answers, ask in your own words, take results along."""

import streamlit as st

from affect4d.app.answering import Answered, result_table, result_timeline
from affect4d.app.choices import ModelChoice, model_choices
from affect4d.app.sources import Chosen, choose_recording, open_predictor, understood
from affect4d.app.stage import show_stage
from affect4d.app.words import show_words
from affect4d.inference.uploads import Upload

TIGHT = (
    "<style>.stMainBlockContainer { padding: 2rem clamp(0.9rem, 4vw, 4rem) 3rem; max-width: 84rem }"
    ".stButtonGroup [role=radiogroup] { flex-wrap: wrap; row-gap: 0.25rem }</style>"
)
"""Narrow margins; on a phone, choices go on in a second line instead of off the screen."""
LEAD = "Vision-language models that read facial **expressions** from 3D scans and 4D sequences."
INTENDED_USE = (
    "**Intended use.** For research. The answer names the *expression* a face shows, not the emotion a person feels, "
    "and no attribute of a person is inferred. Not for decisions about people; emotion inference at work and in "
    "education is prohibited in the EU since February 2025. Results on synthetic faces say little about real ones."
)
PRIVACY = "An upload is read in a confined process, stays in memory while this page is open, and is kept nowhere."
NO_MODELS = (
    "There is no model to ask: this installation came without packaged ones, and none was trained here. "
    "Train both with `make run`, then reload this page."
)


def main() -> None:
    """The page."""
    st.set_page_config("Affect4D", page_icon="🙂", layout="wide", initial_sidebar_state="collapsed")
    st.html(TIGHT)
    st.title("Affect4D", anchor=False)
    st.markdown(LEAD)
    choices = model_choices()
    if not choices:
        st.warning(NO_MODELS)
        return
    with st.container(border=True):
        above, models = st.container(), choose_models(choices)
        with above:
            chosen = choose_recording(max((model.texels for model in models), default=0))
    if chosen is not None and models:
        show_answers(chosen, models)
    st.divider()
    st.caption(f"{INTENDED_USE}  \n{PRIVACY}")


def choose_models(choices: dict[str, ModelChoice]) -> list[ModelChoice]:
    """Which models to ask, side by side."""
    picked = st.multiselect(
        "Models", list(choices), default=list(choices)[:2], max_selections=3, key="models",
        help="Packaged models, and those trained in this project.",
    )  # fmt: skip
    if not picked:
        st.info("Choose a model to ask.")
    return [choices[title] for title in picked]


def show_answers(chosen: Chosen, models: list[ModelChoice]) -> None:
    """Everything there is to say about a recording."""
    predictors = {model.title: open_predictor(*model.identity[1:]) for model in models}
    answers = understood(chosen, tuple(model.identity for model in models), predictors)
    if not answers:
        return
    show_stage(chosen.key, answers, {model.title: model for model in models})
    show_words(answers)
    show_results(answers, chosen.upload)


def show_results(answers: list[Answered], upload: Upload | None) -> None:
    """What became of every scan, and the tables to take along."""
    table, timeline = result_table(answers, upload), result_timeline(answers, upload)
    st.subheader("Take it along", anchor=False)
    with st.container(horizontal=True):
        st.download_button("Answers (CSV)", table.to_csv(index=False), "answers.csv", "text/csv", on_click="ignore")
        st.download_button(
            "Frame by frame (CSV)", timeline.to_csv(index=False), "frames.csv", "text/csv", on_click="ignore"
        )
    with st.expander("What became of every scan"):
        told = timeline[timeline["model"] == timeline["model"].iloc[0]]
        named = [] if upload is None else ["file"]
        st.dataframe(told[[*named, "frame", "status", "reason", "activity", "in_window"]], hide_index=True)


if __name__ == "__main__":
    main()
