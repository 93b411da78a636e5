"""One of the processes that train together; torchrun starts ``-m affect4d.training.torchrun_worker FOLDER``.

FOLDER is a job, or a folder below which the newest job is taken: further hosts need not know its name. Needs torch,
open_clip, safetensors, pydantic, numpy and jaxtyping; no Kedro, MLflow, pandas or Dask.
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
from affect4d.training.distributed import Ranks, full_weights
from affect4d.training.launch import CHECKPOINTS, PROGRESS, RESULT, TrainingJob, end_with_parent, find_job
from affect4d.training.state_and_checkpoints import CheckpointFolder, CheckpointPolicy, TrainingState
from affect4d.training.trainer import Callbacks, train

PROGRESS_SECONDS = 0.5  # least time between two lines of progress


@record
def main() -> None:
    """Train one process's share of a job, as the rank that torchrun's environment variables name."""
    end_with_parent()
    folder = find_job(Path(sys.argv[1]))
    job = TrainingJob.load(folder)
    rank, size, local_size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    ranks = Ranks(rank, size, local_size, job.distributed.shard)
    device = choose_device(job.recipe.train.device)
    timeout = datetime.timedelta(minutes=job.distributed.timeout_minutes)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timeout)
    try:
        _check_same_job(job, ranks)
        _train(folder, job, ranks)
    finally:
        distributed.destroy_process_group()


def _check_same_job(job: TrainingJob, ranks: Ranks) -> None:
    """Refuse to train where another host found another job."""
    identities: list[Any] = [None] * ranks.world_size
    distributed.all_gather_object(identities, {"method": job.method, **job.identity})
    if any(identity != identities[0] for identity in identities):
        raise ValueError("The hosts found different jobs: name the job's own folder on the torchrun command.")


def _train(folder: Path, job: TrainingJob, ranks: Ranks) -> None:
    checkpoints = CheckpointFolder(folder / CHECKPOINTS, job.identity, job.checkpoints.checkpoints)
    policy = CheckpointPolicy(checkpoints, job.checkpoints, ranks)
    callbacks = Callbacks()
    if ranks.first:
        progress = ProgressWriter(folder / PROGRESS)
        callbacks = Callbacks(on_step=progress.on_step, on_epoch=progress.on_epoch)
    else:
        warnings.simplefilter("ignore")  # the first process warns for all
    samples, images = job.load_samples(folder), job.open_images(folder)
    model, state = train(job.method, samples, images, job.recipe, job.sequence_names, callbacks, policy, ranks)
    weights = full_weights(model)
    if ranks.first:
        _save_result(folder, model, weights, state)


def _save_result(folder: Path, model: Any, weights: dict[str, torch.Tensor], state: TrainingState) -> None:
    partial = folder / f"{RESULT}.partial"
    for leftover in (partial, folder / RESULT):
        shutil.rmtree(leftover, ignore_errors=True)
    save_model(model, partial, weights)
    document = {"history": state.history, "cost": vars(state.cost), "validation": state.validation}
    (partial / "state.json").write_text(json.dumps(document))
    partial.rename(folder / RESULT)


class ProgressWriter:
    """Writes steps and epochs for the program that launched the training: one JSON document a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0.0
        self._samples = 0

    def on_epoch(self, epoch: int, terms: dict[str, float]) -> None:
        """Write the mean terms of an epoch."""
        self._write(epoch=epoch, terms=terms)

    def on_step(self, done: int, loss: float, samples: int) -> None:
        """Write the position, at most twice a second."""
        self._samples += samples
        if time.monotonic() - self._written >= PROGRESS_SECONDS:
            self._write(done=done, loss=loss, samples=self._samples)
            self._written, self._samples = time.monotonic(), 0

    def _write(self, **values: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(values) + "\n")


if __name__ == "__main__":
    main()
