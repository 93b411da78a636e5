"""Your own sentences: how near each comes to the face, as you type."""

from collections.abc import Sequence

import streamlit as st

from affect4d.app.answering import Answered
from affect4d.app.charts import likeness_chart
from affect4d.app.stage import STILL

FIRST = ("a joyful smiling face", "a surprised face", "an angry face", "")
"""What stands there at first: words that both packaged models know."""
LONGEST = 200


@st.fragment
def show_words(answers: Sequence[Answered]) -> None:
    """Fields to type into, and the likeness of each sentence, drawn anew at every pause."""
    st.subheader("In your own words", anchor=False)
    st.caption("How near a sentence comes to this face in each model's joint space: the cosine, −1 to 1.")
    left, right = st.columns([1, 1.3], gap="medium")
    with left:
        typed = [_field(place, first) for place, first in enumerate(FIRST)]
    sentences = [sentence.strip() for sentence in typed if sentence.strip()]
    with right:
        if sentences:
            cosines = {one.title: one.predictor.embed_texts(sentences) @ one.seen.fused for one in answers}
            st.plotly_chart(likeness_chart(sentences, cosines), config=STILL, key="likeness")
    for answer in answers:
        strange = [word for sentence in sentences for word in answer.predictor.unknown_words(sentence)]
        if strange:
            words = ", ".join(f"“{word}”" for word in dict.fromkeys(strange))
            st.caption(f":material/help: {answer.title} never saw {words}: these words say nothing to it.")


def _field(place: int, first: str) -> str:
    return st.text_input(
        f"Sentence {place + 1}", first, LONGEST, key=f"sentence {place}", live=True,
        label_visibility="collapsed", placeholder="Type a sentence about the face …",
    )  # fmt: skip
