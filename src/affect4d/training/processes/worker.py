"""One of the processes that train a model together; an agent starts it (``-m affect4d.training.processes.worker``).

Needs torch, open_clip, safetensors, pydantic, numpy and jaxtyping; no Kedro, MLflow, pandas or Dask.
"""

import datetime
import json
import os
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing.errors import record

from affect4d.models import save_model
from affect4d.training.device import choose_device
from affect4d.training.processes.job import CHECKPOINTS, REPORTS, RESULT, Job
from affect4d.training.processes.ranks import Ranks
from affect4d.training.processes.sharding import full_weights
from affect4d.training.run import run
from affect4d.training.saving.checkpoints import CheckpointFolder
from affect4d.training.saving.keeping import Keeper
from affect4d.training.state import TrainingState
from affect4d.training.watching.company import Company, ignore

SHOW_SECONDS = 0.5
"""Between two words on progress."""


@record
def main() -> None:
    """Train one process's share of a job."""
    work(Path(sys.argv[1]))


def work(folder: Path) -> None:
    """Train a job as the rank that the environment names (torchrun's variables)."""
    job = Job.load(folder)
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    device = choose_device(job.recipe.train.device)
    patience = datetime.timedelta(minutes=job.distributed.patience_minutes)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=patience)
    try:
        _train(folder, job, ranks)
    finally:
        distributed.destroy_process_group()


def _train(folder: Path, job: Job, ranks: Ranks) -> None:
    checkpoints = CheckpointFolder(folder / CHECKPOINTS, job.identity, job.keeping.checkpoints)
    reporter = Reporter(folder / REPORTS)
    company = Company(
        report=reporter.report if ranks.first else ignore,
        show=reporter.show if ranks.first else ignore,
        keeper=Keeper(checkpoints, job.keeping, ranks),
        ranks=ranks,
        processes_here=int(os.environ["LOCAL_WORLD_SIZE"]),
        shard=job.distributed.shard,
    )
    if not ranks.first:
        warnings.simplefilter("ignore")  # the first says it for all
    schedules, pictures = job.open_schedules(folder), job.open_pictures(folder)
    model, state = run(job.method, schedules, pictures, job.recipe, job.sequence_names, company)
    weights = full_weights(model)
    if ranks.first:
        _keep(folder, model, weights, state)


def _keep(folder: Path, model: Any, weights: dict[str, torch.Tensor], state: TrainingState) -> None:
    """Write the result; the folder is renamed into place, so that a result that is there is whole."""
    partial = folder / f"{RESULT}.partial"
    for leftover in (partial, folder / RESULT):
        shutil.rmtree(leftover, ignore_errors=True)
    save_model(model, partial, weights)
    told = {"history": state.history, "cost": state.cost.to_dict(), "validation": state.validation}
    (partial / "state.json").write_text(json.dumps(told))
    partial.rename(folder / RESULT)


class Reporter:
    """Writes what the program that asked for the training wants to know: one JSON document a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown = 0.0
        self._samples = 0

    def report(self, epoch: int, terms: dict[str, float]) -> None:
        """The mean terms of an epoch."""
        self._tell(epoch=epoch, terms=terms)

    def show(self, done: int, loss: float, samples: int) -> None:
        """How far it is; not every step is worth a word."""
        self._samples += samples
        if time.monotonic() - self._shown >= SHOW_SECONDS:
            self._tell(done=done, loss=loss, samples=self._samples)
            self._shown, self._samples = time.monotonic(), 0

    def _tell(self, **what: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(what) + "\n")


if __name__ == "__main__":
    main()
