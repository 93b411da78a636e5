"""The first page of the app: choose a sample, see its views and both models' answers, type your own sentences.

Run with ``make app``. The catalog and the models are loaded once; after that the page calls plain functions.
"""

from pathlib import Path
from typing import Any, cast

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.utils import find_kedro_project

from affect4d.scans.expression import EXPRESSIONS
from affect4d.serving.bank_predictor import Answer
from affect4d.serving.bank_predictor import BankPredictor as Predictor
from affect4d.views.bank import ViewBank, load_view_bank
from affect4d.views.inputs import InputOptions

MODEL_TITLES = {"affect_vlm": "AffectVLM", "smile_vlm": "SMILE-VLM"}
COLOURS = {"affect_vlm": "#3b6ea5", "smile_vlm": "#b5651d"}
FIRST_SENTENCES = "a joyful smiling face\na face with brows raised and mouth open\nan angry frown"
INTENDED_USE = (
    "Output is the *expression* a face shows, not the emotion a person feels. For research; not for decisions about "
    "people. "
    "Emotion inference at work and in education is prohibited in the EU since February 2025."
)


def find_project() -> Path:
    """The Kedro project the page was started in; the one this file lies in where it was started elsewhere."""
    return find_kedro_project(Path.cwd()) or Path(__file__).resolve().parents[2]


def trained_corpora() -> list[str]:
    """Corpora with a finished run, newest first."""
    summaries = find_project().glob("data/08_reporting/*/summary.json")
    return [path.parent.name for path in sorted(summaries, key=lambda path: -path.stat().st_mtime)]


@st.cache_resource(show_spinner="Loading views and models …")
def open_corpus(corpus: str) -> tuple[ViewBank, pd.DataFrame, dict[str, Predictor]]:
    """Views of the test subjects, their manifest, and the newest model of each kind."""
    project = find_project()
    bootstrap_project(project)
    with KedroSession.create(project, runtime_params={"corpus": corpus}) as session:
        context = cast(KedroSession, session).load_context()
        catalog = context.catalog
        manifest: pd.DataFrame = catalog.load("view_manifest")
        subjects = catalog.load("subject_split")["test"]
        unseen = manifest[manifest["subject"].isin(subjects)].reset_index(drop=True)
        inputs = InputOptions.model_validate(_plain(context.params["inputs"]))
        bank = load_view_bank(unseen, catalog.load("view_store"), inputs)
        store = catalog.load("model_store")
        records = {name: catalog.load(f"{name}_model") for name in MODEL_TITLES}
        predictors = {
            name: Predictor.load(store.path(record["entry"]), bank, inputs) for name, record in records.items()
        }
    return bank, unseen, predictors


def _plain(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else value


def probability_chart(answers: dict[str, Answer]) -> go.Figure:
    """Both models' probabilities beside each other."""
    figure = go.Figure()
    for name, answer in answers.items():
        shares = [answer.probabilities[expression] for expression in EXPRESSIONS]
        figure.add_bar(
            name=MODEL_TITLES[name],
            y=list(EXPRESSIONS),
            x=shares,
            orientation="h",
            marker_color=COLOURS[name],
            text=[f"{share:.0%}" for share in shares],
        )
    figure.update_layout(
        barmode="group",
        height=340,
        margin={"l": 0, "r": 10, "t": 10, "b": 0},
        xaxis={"range": [0, 1.05], "tickformat": ".0%"},
        yaxis={"autorange": "reversed"},
        legend={"orientation": "h", "y": -0.15},
    )
    return figure


def choose_sample(manifest: pd.DataFrame) -> str:
    """Subject and recording, in the side bar."""
    subject = st.sidebar.selectbox("Subject (never seen in training)", sorted(manifest["subject"].unique()))
    recordings = manifest[manifest["subject"] == subject].set_index("expression")["sequence"]
    chosen = st.sidebar.selectbox("Recording", list(recordings.index))
    return str(recordings[chosen])


def show_views(bank: ViewBank, sequence: str, channel: int) -> None:
    """One frame from every view, and a slider through the sequence."""
    rows = bank.rows_of(sequence)
    frame = st.slider("Frame", 0, len(rows) - 1, len(rows) // 2)
    columns = st.columns(len(bank.views))
    for view, (column, name) in enumerate(zip(columns, bank.views, strict=True)):
        picture = bank.pictures[rows[frame], view, channel].numpy()
        column.image(picture, caption=name, width="stretch", clamp=True)


def show_answers(sequence: str, predictors: dict[str, Predictor]) -> None:
    """What both models make of the sequence."""
    answers = {name: predictor.answer(sequence) for name, predictor in predictors.items()}
    st.caption("AffectVLM learnt from labels; SMILE-VLM from geometry and sentences made without any.")
    st.plotly_chart(probability_chart(answers), width="stretch", key="probabilities")
    weights = pd.DataFrame({MODEL_TITLES[name]: answer.view_weights for name, answer in answers.items()})
    st.caption("How much each view counts in the fused embedding")
    st.dataframe(weights.style.format("{:.2f}"), width="stretch")


def show_sentences(sequence: str, predictors: dict[str, Predictor]) -> None:
    """Similarity of the sequence with sentences the user types."""
    typed = st.text_area("Your own sentences, one a line", FIRST_SENTENCES, height=110)
    sentences = [line.strip() for line in typed.splitlines() if line.strip()]
    if sentences:
        similarity = {
            MODEL_TITLES[name]: predictor.similarity(sequence, sentences) for name, predictor in predictors.items()
        }
        table = pd.DataFrame(similarity, index=pd.Index(sentences, name="sentence"))
        st.dataframe(table.style.format("{:+.2f}").background_gradient(axis=0, cmap="Blues"), width="stretch")
        st.caption("Cosine between the fused embedding and each sentence; −1 … 1.")


def main() -> None:
    """The page."""
    st.set_page_config("Affect4D", page_icon="🙂", layout="wide")
    st.title("Affect4D")
    corpora = trained_corpora()
    if not corpora:
        st.warning("There is no trained model yet. Make one with `make run`, then reload this page.")
        return
    bank, manifest, predictors = open_corpus(st.sidebar.selectbox("Corpus", corpora))
    sequence = choose_sample(manifest)
    left, right = st.columns([1, 1])
    with left:
        show_views(bank, sequence, channel=0)
        show_sentences(sequence, predictors)
    with right:
        st.subheader(f"{sequence}")
        show_answers(sequence, predictors)
    st.caption(INTENDED_USE)


if __name__ == "__main__":
    main()
