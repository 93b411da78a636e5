"""Progress bars: every step longer than two seconds says how far it is and how long it will take."""

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_Item = TypeVar("_Item")

console = Console(stderr=True, force_jupyter=False)


def track(
    items: Iterable[_Item],
    description: str,
    total: int | None = None,
    *,
    size: Callable[[_Item], int] | None = None,
    unit: str = "",
) -> Iterator[_Item]:
    """Yield the items, drawing a bar with count, speed, time spent and time left on standard error.

    Args:
        description: What is being done, as a person says it: "rendering views".
        total: How many there are, where ``len(items)`` does not tell.
        size: How many units an item counts for; 1 without.
        unit: What is counted, "scans"; the speed is shown where it is named.
    """
    count = len(items) if total is None and isinstance(items, Sized) else total
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([SpeedColumn(unit)] if unit else []),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(description, total=count)
        for item in items:
            yield item
            progress.advance(task, size(item) if size else 1)


class SpeedColumn(ProgressColumn):
    """Units a second, over the last half minute."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """``"24.1 scans/s"``; nothing yet, a dash."""
        speed = task.finished_speed or task.speed
        return Text(f"{'–' if speed is None else f'{speed:.3g}'} {self.unit}/s", style="progress.data.speed")
