"""`kedro run` and `affect4d`: a user's error ends in its sentences; the exit code is 1 where no result was made."""

import csv
import dis
import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Event
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
    """Expressions of 3D and 4D faces. Without a command, `affect4d` runs pipelines: `affect4d --pipeline=NAME`."""


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


@cli.command()
@click.argument("scans", nargs=-1, type=click.Path(path_type=Path))
@click.option("--model", default="affect_vlm", help="affect_vlm, smile_vlm, or the folder of a packaged model.")
@click.option("--neutral", type=click.Path(path_type=Path), help="A neutral scan of the same face.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all columns as CSV.")
@click.option("--unsure", is_flag=True, help="Answer scans whose pose is doubtful, too.")
@click.option("--watch", type=click.Path(path_type=Path), metavar="FOLDER", help="Answer scans as they are written.")
def predict(
    scans: tuple[Path, ...], model: str, neutral: Path | None, as_csv: bool, unsure: bool, watch: Path | None
) -> None:
    """Predict the expression in SCANS: scans, folders of scans, or folders of sequence folders.

    With --watch, a line of JSON is printed for each scan that appears in FOLDER, once its files are complete.
    """
    if bool(scans) == bool(watch):
        raise click.UsageError("Give scans, or a folder to --watch.")
    try:
        if watch is None:
            _predict(scans, model, neutral, as_csv, unsure)
        else:
            _watch(watch, model, neutral, as_csv, unsure)
    except Exception as error:
        if not is_users(error):
            raise
        raise click.ClickException(str(error)) from error


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--ict", "ict_folder", required=True, help="A clone of ICT-FaceKit: the face that the motion is played on."
)
@click.option(
    "--port", default=11111, type=click.IntRange(0, 65535), show_default=True, help="The app's target has the same."
)
@click.option(
    "--host", default="0.0.0.0", show_default=True, help="Address to listen at; by default, all of this machine."
)
def receive(folder: Path, ict_folder: str, port: int, host: str) -> None:
    """Write the motion that Live Link Face sends over the network to FOLDER, as scans of a generated face.

    `affect4d predict --watch FOLDER` or the app's live mode answer them. The first frame is the neutral face.
    """
    from affect4d.synthetic.live_link_stream import open_port, receive_frames, write_frames
    from affect4d.synthetic.recipe import LiveLinkRecipe

    try:
        with open_port(host, port) as listening:
            click.echo(f"Waiting for Live Link Face at port {port}: look at rest when it begins. Ctrl-C ends it.")
            for number, path in enumerate(
                write_frames(receive_frames(listening), folder, LiveLinkRecipe(ict_folder=ict_folder))
            ):
                click.echo(f"\r{number + 1} scans, the newest {path.name}", nl=False)
    except KeyboardInterrupt:
        click.echo()
    except Exception as error:
        if not is_users(error):
            raise
        raise click.ClickException(str(error)) from error


def _predict(scans: Sequence[Path], model: str, neutral: Path | None, as_csv: bool, unsure: bool) -> None:
    from affect4d.hooks import show
    from affect4d.inference.batch import predict_recordings  # torch costs seconds
    from affect4d.inference.find_recordings import find_recordings
    from affect4d.inference.packaged_model_description import find_packaged_model, read_description
    from affect4d.inference.results import ResultTables

    folder = find_packaged_model(model)
    description = read_description(folder)
    tables = ResultTables(description.expressions, description.views, description.action_unit_names)
    recordings = [recording for scan in scans for recording in find_recordings(scan)]
    for prediction, _ in predict_recordings(recordings, folder, answer_unsure=unsure, neutral=neutral):
        tables.add(prediction)
    table, _ = tables.tables(by_name=False)
    if as_csv:
        click.echo(table.to_csv(index=False), nl=False)
    else:
        largest = table.filter(like="prob_").max(axis=1).map("{:.0%}".format, na_action="ignore")
        show(table.assign(probability=largest), columns=["recording", "expression", "probability", "status", "reason"])
    if (table["status"] == "refused").all():
        sys.exit(1)


def _watch(folder: Path, model: str, neutral: Path | None, as_csv: bool, unsure: bool) -> None:
    import torch

    from affect4d.inference import Predictor
    from affect4d.inference.watch_folder import answer_scans, watch_scans

    torch.set_num_threads(1)  # the next scans are read and aligned meanwhile
    predictor, stop = Predictor.load(model), Event()
    columns = [*(f"prob_{name}" for name in predictor.expressions), *predictor.description.action_unit_names]
    writer = None
    try:
        for answer in answer_scans(predictor, watch_scans(folder, stop=stop), neutral, answer_unsure=unsure):
            line = answer.line()
            if not as_csv:
                click.echo(json.dumps(line))
                continue
            if writer is None:
                fixed = [name for name in line if name not in columns]
                writer = csv.DictWriter(sys.stdout, [*fixed[:3], *columns, *fixed[3:]])
                writer.writeheader()
            writer.writerow(line)
            sys.stdout.flush()
    finally:
        stop.set()


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
