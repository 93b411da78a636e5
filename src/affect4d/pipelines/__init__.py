"""The pipelines: each folder one part of the way from raw scans to results; they share nothing but the catalog.

A node whose function ends in a :class:`~affect4d.left_out.MissingInputError` has :class:`~affect4d.left_out.LeftOut`
for its outputs, and so have the nodes that need them. A function is given a left-out input where its annotation of
that input admits it: ``metrics: dict[str, Any] | LeftOut``.
"""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, get_args

from kedro.pipeline import Node
from kedro.pipeline import node as kedro_node

from affect4d.left_out import LeftOut, MissingInputError

LOGGER = logging.getLogger(__name__)


def node(
    function: Callable[..., Any],
    inputs: str | list[str] | dict[str, str],
    outputs: str | list[str],
    *,
    name: str,
    tags: str | None = None,
) -> Node:
    """A node that leaves its outputs out where the corpus lacks what it needs."""
    places = None if isinstance(outputs, str) else len(outputs)
    return kedro_node(_leaving_out(function, places), inputs, outputs, name=name, tags=tags)


def named_node(
    function: Callable[..., Any], inputs: str | list[str] | dict[str, str], outputs: str | list[str]
) -> Node:
    """A node that is named after its function."""
    return node(function, inputs, outputs, name=function.__name__)


def _leaving_out(function: Callable[..., Any], places: int | None) -> Callable[..., Any]:
    """The function with ``LeftOut`` for its result, or for each of its results, where an input is missing."""
    signature = inspect.signature(function)
    optional = {name for name, one in signature.parameters.items() if LeftOut in get_args(one.annotation)}

    @functools.wraps(function)
    def run(*inputs: Any, **named: Any) -> Any:
        given = signature.bind(*inputs, **named).arguments
        absent = (value for name, value in given.items() if isinstance(value, LeftOut) and name not in optional)
        left_out = next(absent, None)
        if left_out is None:
            try:
                return function(*inputs, **named)
            except MissingInputError as error:
                left_out = LeftOut(str(error))
                LOGGER.warning("%s is left out. %s", function.__name__, error)
        return left_out if places is None else (left_out,) * places

    return run
