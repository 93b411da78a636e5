"""Checkpoints: when they are written and resumed, and their folders: atomic, verified, safetensors and JSON only."""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from affect4d.training.distributed import ALONE, Ranks
from affect4d.training.options import CheckpointOptions
from affect4d.training.state import Checkpoint, TrainingState

LOGGER = logging.getLogger(__name__)

MARKER = "checksums.json"
NUMBERS = "state.json"


class DamagedCheckpointError(ValueError):
    """A checkpoint is damaged or belongs to another run; says which file and why."""


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one run: ``step-00000120/`` with tensors, numbers and, written last, their checksums.

    ``identity`` are digests of configuration and data; a checkpoint of another run is not loaded.
    """

    root: Path
    identity: Mapping[str, str]
    keep: int = 2

    def save(self, step: int, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, whole or not at all, whenever the machine stops."""
        target = self.root / f"step-{step:08d}"
        partial = target.with_suffix(".partial")
        for leftover in (partial, target):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, tensors in checkpoint.tensors.items():
            save_file({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, partial / name)
        numbers = {"identity": dict(self.identity), "step": step, **checkpoint.numbers}
        (partial / NUMBERS).write_text(json.dumps(numbers))
        checksums = {file.name: _digest(file) for file in sorted(partial.iterdir())}
        (partial / MARKER).write_text(json.dumps(checksums, indent=1))
        _sync(partial)
        partial.rename(target)
        _sync_folder(self.root)
        self._delete_old()
        return target

    def newest(self) -> Checkpoint | None:
        """The newest valid checkpoint of this run, or None; the log says why others were skipped."""
        for folder in self._folders():
            try:
                return self.load(folder)
            except (DamagedCheckpointError, OSError, SafetensorError, json.JSONDecodeError) as error:
                LOGGER.warning("Checkpoint %s is skipped: %s", folder.name, error)
        return None

    def load(self, folder: Path) -> Checkpoint:
        """Read one checkpoint; ``DamagedCheckpointError`` if a file is missing or changed, or it is another run's."""
        marker = folder / MARKER
        if not marker.exists():
            raise DamagedCheckpointError(f"{marker.name} is missing: it was never finished.")
        for name, digest in json.loads(marker.read_text()).items():
            file = folder / name
            if not file.exists():
                raise DamagedCheckpointError(f"{name} is missing.")
            if _digest(file) != digest:
                raise DamagedCheckpointError(f"{name} is damaged (its checksum differs).")
        numbers = json.loads((folder / NUMBERS).read_text())
        for what, digest in self.identity.items():
            if numbers["identity"].get(what) != digest:
                raise DamagedCheckpointError(f"it belongs to a run with another {what}.")
        return Checkpoint({file.name: load_file(file) for file in folder.glob("*.safetensors")}, numbers)

    def _folders(self) -> Iterator[Path]:
        """Newest first."""
        yield from sorted((folder for folder in self.root.glob("step-????????") if folder.is_dir()), reverse=True)

    def _delete_old(self) -> None:
        for folder in list(self._folders())[self.keep :]:
            shutil.rmtree(folder, ignore_errors=True)


class TrainingInterruptedError(RuntimeError):
    """Training was told to stop and has saved its state: the same command resumes it."""


class CheckpointPolicy:
    """Decides when to save and to stop; all processes must call its methods alike, the first one writes."""

    def __init__(
        self, folder: CheckpointFolder | None = None, options: CheckpointOptions | None = None, ranks: Ranks = ALONE
    ) -> None:
        self._folder, self._options, self._ranks = folder, options or CheckpointOptions(), ranks
        self._stop = False
        self._saved = time.monotonic()

    def resume(self, state: TrainingState) -> bool:
        """Restore the newest valid checkpoint; False if there is none."""
        checkpoint = None if self._folder is None else self._folder.newest()
        if checkpoint is None:
            return False
        state.restore(checkpoint, self._ranks)
        if self._ranks.first:
            LOGGER.info("Training resumes at %s.", state.where)
        return True

    def stop(self) -> None:
        """Request to stop after the current step."""
        self._stop = True

    def requests(self) -> tuple[bool, bool]:
        """This process was told to stop; it is time to save."""
        due = time.monotonic() - self._saved >= 60 * self._options.checkpoint_minutes
        return self._stop, self._folder is not None and due and self._ranks.first

    def apply(self, state: TrainingState, stop: bool, save: bool) -> None:
        """Save and stop if any process requested it; to stop is :class:`TrainingInterruptedError`, after saving."""
        if stop or save:
            self.save(state)
        if stop:
            saved = "nothing was saved" if self._folder is None else "run the same command again to resume"
            raise TrainingInterruptedError(f"Training stopped at {state.where}: {saved}.")

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint."""
        if self._folder is not None:
            checkpoint = state.to_checkpoint(self._ranks)
            if self._ranks.first:
                self._folder.save(state.steps_done, checkpoint)
        self._saved = time.monotonic()


@contextlib.contextmanager
def handling_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """Call a function on SIGTERM inside the block; only a program's main thread can receive it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _sync(folder: Path) -> None:
    """Force a folder's files to disk."""
    for file in folder.iterdir():
        _sync_folder(file)
    _sync_folder(folder)


def _sync_folder(path: Path) -> None:
    with contextlib.suppress(PermissionError):  # some systems cannot open a folder
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
