"""Progress bars: every step longer than two seconds says how far it is and how long it will take."""

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

console = Console(stderr=True)


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items, drawing a bar with count, time spent and time left on standard error.

    Args:
        items: What to go through.
        description: What is being done, as a person says it: "rendering views".
        total: How many there are, where ``len(items)`` does not tell.
    """
    count = len(items) if total is None and isinstance(items, Sized) else total
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        yield from progress.track(items, total=count, description=description)
