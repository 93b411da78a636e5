"""Elements of the page that recordings and live mode share: an answer with its probabilities and action units."""

from collections.abc import Iterable, Mapping

import streamlit as st

from affect4d.app import figures

SKIN, SHAPE = "Skin", "Shape"
CALIBRATED = "Probabilities are calibrated."
UNCALIBRATED = "Probabilities are not calibrated: read their order."


def show_answer(
    title: str,
    expression: str | None,
    probabilities: Mapping[str, float],
    remarks: Iterable[str],
    strengths: Mapping[str, float] | None,
) -> None:
    """One model's answer: the expression, class probabilities, remarks (Markdown), and action units if it has them."""
    with st.container(border=True):
        st.caption(title)
        top = expression or "no answer"
        st.markdown(f"### {top} · {probabilities.get(top, 0.0):.0%}")
        chart = figures.probability_chart(probabilities)
        st.plotly_chart(chart, config=figures.FIXED, key=f"probabilities {title}")
        for remark in remarks:
            st.caption(remark)
        if strengths is not None:
            with st.expander("Action units", expanded=True):
                chart = figures.action_unit_chart(strengths)
                st.plotly_chart(chart, config=figures.FIXED, key=f"action units {title}")
