"""A training run as a folder: everything that processes need to train it, on this machine or carried to another.

``job.json``, ``train.safetensors`` (and ``validation.safetensors``), ``bank.safetensors`` (a link to the view bank),
and the results: ``progress.jsonl``, ``checkpoints/``, ``logs/``, ``result/``. Copy it with ``cp -rL``.
"""

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from affect4d.training.dataset import SampleSplits, load_samples, save_samples
from affect4d.training.objectives import METHODS
from affect4d.training.options import CheckpointOptions, DistributedOptions, TrainingRecipe

JOB, TRAIN, VALIDATION, BANK = "job.json", "train.safetensors", "validation.safetensors", "bank.safetensors"
PROGRESS, LOGS, RESULT, CHECKPOINTS = "progress.jsonl", "logs", "result", "checkpoints"


@dataclass(frozen=True)
class StoredImages:
    """A view bank's images, memory-mapped; see :class:`affect4d.views.batches.ImageBank`."""

    images: Tensor
    neutral: Tensor
    views: tuple[str, ...]


@dataclass(frozen=True)
class TrainingJob:
    """A training run that processes of their own can carry out; ``identity`` are digests of configuration and data."""

    method: str
    recipe: TrainingRecipe
    views: tuple[str, ...]
    sequence_names: tuple[str, ...]
    identity: Mapping[str, str]
    checkpoints: CheckpointOptions
    distributed: DistributedOptions

    def save(self, folder: Path, samples: SampleSplits, bank: Path) -> None:
        """Write the job; ``job.json`` comes last, so that a job that is found is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in (JOB, PROGRESS, VALIDATION, BANK):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / RESULT, ignore_errors=True)
        save_samples(samples.train, folder / TRAIN)
        if samples.validation is not None:
            save_samples(samples.validation, folder / VALIDATION)
        (folder / BANK).symlink_to(bank.resolve())
        partial = folder / f"{JOB}.partial"
        partial.write_text(json.dumps(self._to_dict(), indent=1))
        partial.rename(folder / JOB)

    @classmethod
    def load(cls, folder: Path) -> "TrainingJob":
        """Read a job.

        Raises:
            FileNotFoundError: If the folder holds none.
        """
        values: dict[str, Any] = json.loads((folder / JOB).read_text())
        return cls(
            method=values["method"],
            recipe=TrainingRecipe.from_dict(values["recipe"], METHODS[values["method"]].options),
            views=tuple(values["views"]),
            sequence_names=tuple(values["sequence_names"]),
            identity=values["identity"],
            checkpoints=CheckpointOptions.model_validate(values["checkpoints"]),
            distributed=DistributedOptions.model_validate(values["distributed"]),
        )

    def _to_dict(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("method", "views", "sequence_names", "identity")}
        options = {name: getattr(self, name).model_dump(mode="json") for name in ("checkpoints", "distributed")}
        return {**plain, **options, "recipe": self.recipe.to_dict()}

    def load_samples(self, folder: Path) -> SampleSplits:
        """Training and validation samples."""
        validation = folder / VALIDATION
        return SampleSplits(load_samples(folder / TRAIN), load_samples(validation) if validation.exists() else None)

    def open_images(self, folder: Path) -> StoredImages:
        """Images of the view bank."""
        with safe_open(folder / BANK, framework="pt") as file:
            return StoredImages(file.get_tensor("images"), file.get_tensor("neutral"), self.views)


def find_job(folder: Path) -> Path:
    """The folder itself where it is a job, else the newest job below it.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = []
    for file in folder.rglob(JOB):
        with contextlib.suppress(FileNotFoundError):  # a finished job is removed meanwhile
            found.append((file.stat().st_mtime, file.parent))
    if not found:
        raise FileNotFoundError(f"There is no training job in {folder}: the first host has not started one yet.")
    return max(found)[1]
