"""Model cards (Mitchell et al. 2019): of a run's models, and of a packaged model."""

from collections.abc import Mapping
from typing import Any

from affect4d.evaluation.summary import display_name, result_rows
from affect4d.reporting.pages import templates

METHODS: Mapping[str, str] = {
    "affect_vlm": "Supervised: views and prompts of one expression are drawn together (image-text alignment, pair and "
    "triplet terms under a learnable margin). After AffectVLM, arXiv 2504.19739.",
    "smile_vlm": "Self-supervised: multiview decorrelation, vision-language contrast with pseudo-labeled prompts, and "
    "cross-modal redundancy minimisation; no human label is used. After SMILE-VLM, arXiv 2506.01203.",
}


def render_model_card(model: str, summary: Mapping[str, Any], *, corpus: str, synthetic: bool) -> str:
    """Card of a model as a run measured it, in Markdown.

    Args:
        model: Its name in the summary, e.g. ``"affect_vlm"``.
        summary: See :func:`affect4d.evaluation.summary.write_summary`.

    Raises:
        ValueError: If the summary has no such model; lists those it has.
    """
    if model not in summary["models"]:
        raise ValueError(f"The summary has no model {model!r}; it has: {', '.join(summary['models'])}.")
    own = dict(result_rows({"models": {model: summary["models"][model]}, "baselines": {}}))
    baselines = dict(result_rows({"models": {}, "baselines": summary["baselines"]}))
    return (
        templates()
        .get_template("model_card.md.jinja")
        .render(
            name=display_name(model),
            method=METHODS.get(model, ""),
            summary=summary,
            own=own,
            rows={**own, **baselines},
            corpus=corpus,
            synthetic=synthetic,
        )
    )


def render_packaged_model_card(description: Mapping[str, Any]) -> str:
    """Card of a packaged model, in Markdown, from the contents of ``bundle.json``."""
    template = templates().get_template("packaged_model_card.md.jinja")
    return template.render(method=METHODS.get(description["name"], ""), **description)
