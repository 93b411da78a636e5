"""Checkpoint policy: saves on the clock and on SIGTERM, resumes; never in the middle of a step."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator

from affect4d.training.checkpoint import CheckpointFolder
from affect4d.training.distributed import ALONE, Ranks
from affect4d.training.options import CheckpointOptions
from affect4d.training.state import TrainingState

LOGGER = logging.getLogger(__name__)


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
        """Save and stop if any process requested it.

        Raises:
            TrainingInterruptedError: On ``stop``, after saving.
        """
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
    def handling_sigterm(self) -> Iterator[None]:
        """Inside the block, SIGTERM requests a stop; only a program's main thread can receive it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, lambda *_: self.stop())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
