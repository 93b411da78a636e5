"""The card of one model in its bundle: what it is, what it was trained on, how well it does, what it is not for."""

from collections.abc import Mapping
from typing import Any

from affect4d.reporting.model_card import METHODS
from affect4d.reporting.report import templates


def render_bundle_card(description: Mapping[str, Any]) -> str:
    """Write the card.

    Args:
        description: What ``bundle.json`` says.

    Returns:
        Markdown.
    """
    template = templates().get_template("bundle_card.md.jinja")
    return template.render(method=METHODS.get(description["name"], ""), **description)
