"""What a person sees of training: a bar with steps, loss, samples a second and time left."""

import contextlib
import time
from collections.abc import Iterator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from affect4d.progress import console
from affect4d.training.watching.company import Show


@contextlib.contextmanager
def training_bar(steps: int) -> Iterator[Show]:
    """Give what is to be told of each step; see :data:`affect4d.training.watching.company.Show`."""
    pattern = "loss {task.fields[loss]:.3f}  {task.fields[speed]:.0f} samples/s  left"
    columns = ("training", BarColumn(), MofNCompleteColumn(), TextColumn(pattern), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task("training", total=steps, loss=float("nan"), speed=0.0)
        start, seen = time.perf_counter(), 0

        def show(done: int, loss: float, samples: int) -> None:
            nonlocal seen
            seen += samples
            progress.update(task, completed=done, loss=loss, speed=seen / (time.perf_counter() - start))

        yield show
