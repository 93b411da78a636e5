"""When a run is saved, how it goes on, how it ends early: on the clock, on SIGTERM, never in the middle of a step."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from affect4d.training.options import KeepingOptions
from affect4d.training.processes.ranks import ALONE, Ranks
from affect4d.training.saving.checkpoints import CheckpointFolder
from affect4d.training.state import TrainingState

LOGGER = logging.getLogger(__name__)


class TrainingInterruptedError(RuntimeError):
    """Training was told to stop and has saved where it is: the same command goes on from there."""


class Keeper:
    """Saves a state in time, and finds it again.

    Args:
        folder: Where checkpoints are; None keeps nothing.
        options: How often.
        ranks: The processes; the first one writes.
    """

    def __init__(
        self, folder: CheckpointFolder | None = None, options: KeepingOptions | None = None, ranks: Ranks = ALONE
    ) -> None:
        self._folder, self._options, self._ranks = folder, options or KeepingOptions(), ranks
        self._stop = False
        self._saved = time.monotonic()

    def resume(self, state: TrainingState) -> bool:
        """Put the state where the newest good checkpoint left it; whether there was one."""
        checkpoint = None if self._folder is None else self._folder.newest()
        if checkpoint is None:
            return False
        state.restore(checkpoint, self._ranks)
        if self._ranks.first:
            LOGGER.info("Training goes on from epoch %d, step %d.", state.epoch, state.step)
        return True

    def stop(self) -> None:
        """Wish to stop after the step at hand."""
        self._stop = True

    def wishes(self) -> tuple[bool, bool]:
        """Whether this process was told to stop, and whether it is time to save."""
        due = time.monotonic() - self._saved >= 60 * self._options.checkpoint_minutes
        return self._stop, self._folder is not None and due and self._ranks.first

    def serve(self, state: TrainingState, stop: bool, save: bool) -> None:
        """Do what some process wished, after a step; all processes call this alike.

        Raises:
            TrainingInterruptedError: If one was told to stop; the state is saved first.
        """
        if stop or save:
            self.save(state)
        if stop:
            kept = "nothing was kept" if self._folder is None else "run the same command again to go on"
            raise TrainingInterruptedError(f"Training stopped at epoch {state.epoch}, step {state.step}: {kept}.")

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint; all processes take part."""
        if self._folder is not None:
            checkpoint = state.to_checkpoint(self._ranks)
            if self._ranks.first:
                self._folder.save(state.steps_done, checkpoint)
        self._saved = time.monotonic()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM as the wish to stop after this step; in a program's main thread, the only one that is told."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.stop()
