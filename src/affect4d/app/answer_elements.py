"""Elements of the page that recordings and live mode share: an answer with its probabilities and action units."""

from collections.abc import Iterable, Mapping

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from affect4d.app import figures

SKIN, SHAPE = "Skin", "Shape"
CALIBRATED = "Probabilities are calibrated."
UNCALIBRATED = "Probabilities are not calibrated: read their order."


def show_answer(
    title: str, expression: str | None, probabilities: Mapping[str, float], remarks: Iterable[str]
) -> DeltaGenerator:
    """One model's answer in a frame that is returned: the expression, class probabilities, and remarks (Markdown)."""
    frame = st.container(border=True)
    with frame:
        st.caption(title)
        top = expression or "no answer"
        st.markdown(f"### {top} · {probabilities.get(top, 0.0):.0%}")
        chart = figures.probability_chart(probabilities)
        st.plotly_chart(chart, config=figures.FIXED, key=f"probabilities {title}")
        for remark in remarks:
            st.caption(remark)
    return frame


def show_action_units(title: str, strengths: Mapping[str, float]) -> None:
    """Strengths of action units as bars."""
    st.plotly_chart(figures.action_unit_chart(strengths), config=figures.FIXED, key=f"action units {title}")
