"""A training run as a folder: all that processes of their own need, on this machine or carried to another.

``job.json``, ``trained.safetensors`` (and ``held_out.safetensors``), ``bank.safetensors`` (a link to the bank), and
what comes of it: ``reports.jsonl``, ``checkpoints/``, ``logs/``, ``result/``. Copy it with ``cp -rL`` to carry it.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from affect4d.training.data.schedule import StoredPictures, load_schedule, save_schedule
from affect4d.training.methods import METHODS
from affect4d.training.options import DistributedOptions, KeepingOptions
from affect4d.training.recipe import TrainingRecipe
from affect4d.training.run import Schedules

JOB, TRAINED, HELD_OUT, BANK = "job.json", "trained.safetensors", "held_out.safetensors", "bank.safetensors"
REPORTS, LOGS, RESULT, FAILURE, CHECKPOINTS = "reports.jsonl", "logs", "result", "failure.json", "checkpoints"


@dataclass(frozen=True)
class Job:
    """A training run that processes of their own can carry out.

    Attributes:
        method: One of :data:`affect4d.training.methods.METHODS`.
        recipe: How.
        views: Names of the rendered views.
        sequence_names: For error messages.
        identity: Digests of configuration and data.
        keeping: How often checkpoints are written, and how many are kept.
        distributed: How many processes.
    """

    method: str
    recipe: TrainingRecipe
    views: tuple[str, ...]
    sequence_names: tuple[str, ...]
    identity: Mapping[str, str]
    keeping: KeepingOptions
    distributed: DistributedOptions

    def save(self, folder: Path, schedules: Schedules, bank: Path) -> None:
        """Write the job; ``job.json`` comes last, so that who waits for it finds everything."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in (JOB, REPORTS, FAILURE, HELD_OUT, BANK):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / RESULT, ignore_errors=True)
        save_schedule(schedules.trained, folder / TRAINED)
        if schedules.held_out is not None:
            save_schedule(schedules.held_out, folder / HELD_OUT)
        (folder / BANK).symlink_to(bank.resolve())
        partial = folder / f"{JOB}.partial"
        partial.write_text(json.dumps(self._to_dict(), indent=1))
        partial.rename(folder / JOB)

    @classmethod
    def load(cls, folder: Path) -> "Job":
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
            keeping=KeepingOptions.model_validate(values["keeping"]),
            distributed=DistributedOptions.model_validate(values["distributed"]),
        )

    def _to_dict(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("method", "views", "sequence_names", "identity")}
        options = {name: getattr(self, name).model_dump(mode="json") for name in ("keeping", "distributed")}
        return {**plain, **options, "recipe": self.recipe.to_dict()}

    def open_schedules(self, folder: Path) -> Schedules:
        """What is trained on."""
        held_out = folder / HELD_OUT
        return Schedules(load_schedule(folder / TRAINED), load_schedule(held_out) if held_out.exists() else None)

    def open_pictures(self, folder: Path) -> StoredPictures:
        """The pictures, by memory map."""
        with safe_open(folder / BANK, framework="pt") as file:
            return StoredPictures(file.get_tensor("pictures"), file.get_tensor("neutral"), self.views)
