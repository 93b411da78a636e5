"""`kedro run` and `affect4d`: a user's error ends in its sentences; the exit code is 1 where no result was made."""

import dis
import logging
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.io import MemoryDataset
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from affect4d.left_out import LeftOut

DEFAULT = ("report",)
"""Pipelines whose results a run without ``--pipeline`` ends with."""
SPEAKING = ("affect4d", "kedro")
"""Packages whose own ``raise`` statements name what a user can do."""


@click.group()
def cli() -> None:
    """Commands of the project."""


def run_in_sentences(verbose: bool, **options: Any) -> Any:
    """Kedro's `run`; exits with code 1 after a user's error, or where no result of a pipeline could be made."""
    if verbose:
        logging.getLogger("kedro.pipeline.node").setLevel(logging.ERROR)
    try:
        outputs = kedro_run.callback(**options)  # type: ignore[misc]  # a command's callback may be None; this one is not
    except Exception as error:
        if verbose or isinstance(error, click.ClickException) or not is_users(error):
            raise
        click.secho(f"\n{error}", err=True)
        click.secho("--verbose shows where this was raised.", err=True, dim=True)
        sys.exit(1)
    if missing := results_left_out(outputs, (options["pipeline"], *options["pipelines"])):
        click.secho(f"\n{missing}", err=True)
        sys.exit(1)
    return outputs


run = click.Command(
    "run",
    params=[
        *kedro_run.params,
        click.Option(["--verbose"], is_flag=True, help="Show the traceback of an error that you can mend, too."),
    ],
    callback=run_in_sentences,
    help=kedro_run.help,
)
cli.add_command(run)


def is_users(error: BaseException) -> bool:
    """Whether an error was raised deliberately, by this package or Kedro, or is about a configuration."""
    if isinstance(error, ValidationError | YAMLError | OmegaConfBaseException | PermissionError):
        return True
    last = _last_frame(error.__traceback__)
    if last is None or last.tb_frame.f_globals.get("__name__", "").split(".")[0] not in SPEAKING:
        return False
    return last.tb_frame.f_code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _last_frame(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback


def results_left_out(outputs: Mapping[str, Any], pipelines: Iterable[str | None]) -> str:
    """Why a named pipeline has none of its results; empty where each has one. ``outputs``: datasets by name."""
    from affect4d.pipeline_registry import ON_REQUEST, RESULTS  # the pipelines' nodes cost a second

    found = {name: one.load() for name, one in outputs.items() if isinstance(one, MemoryDataset)}
    left_out = {name: value.reason for name, value in found.items() if isinstance(value, LeftOut)}
    for pipeline in [name for name in pipelines if name] or DEFAULT:
        results = outputs.keys() & {*RESULTS.get(pipeline, ()), *ON_REQUEST.get(pipeline, ())}
        if results and results <= left_out.keys():
            return left_out[min(results)]
    return ""
