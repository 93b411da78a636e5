"""The pipelines: each folder one part of the way from raw scans to results; they share nothing but the catalog."""

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node, node


def named_node(
    function: Callable[..., Any], inputs: str | list[str] | dict[str, str], outputs: str | list[str]
) -> Node:
    """A node that is named after its function."""
    return node(function, inputs, outputs, name=function.__name__)
