"""Trials handed out side by side; each is kept when it ends, so that a whole that was interrupted goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from affect4d.engine import IN_PROCESS, EngineOptions, map_chunks
from affect4d.experiments.setting import Arm
from affect4d.scans.splits import SubjectSplit

LONGEST = 7 * 86_400.0
"""Seconds a trial may take: the engine's own limit is meant for a sequence of scans."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Ticket:
    """One trial that is to be run.

    Attributes:
        arm: What is varied.
        seed: Of initial weights, plan and prompts.
        split: Who is trained on, who is examined.
    """

    arm: Arm
    seed: int
    split: SubjectSplit

    def __str__(self) -> str:
        return f"{self.arm.name} with seed {self.seed}"


def run_tickets(
    run: Callable[[Asked], Answer], tickets: Sequence[Asked], description: str, engine: EngineOptions = IN_PROCESS
) -> Iterator[tuple[Asked, Answer]]:
    """Run every ticket; yield each with its answer, in order of completion.

    Args:
        run: Importable by name, keeps its answer where it finds it again.
        tickets: Small and picklable; their text names them.
        description: What is being done, as a person says it.
        engine: Where, several at once.

    Raises:
        RuntimeError: If a trial failed; those that ended before it are kept.
    """
    patient = engine.model_copy(update={"seconds": LONGEST})
    for ticket, answer in map_chunks(run, tickets, description, patient):
        if isinstance(answer, Exception):
            raise RuntimeError(f"The trial {ticket} failed: {answer}") from answer
        yield ticket, answer
