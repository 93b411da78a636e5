"""Batches of so many subjects with so many samples of each: what tells expressions apart is not who makes them [ours].

A contrastive batch in which everybody shows everything cannot be solved by recognising the person.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

Positions = Int64[np.ndarray, "_"]


@dataclass(frozen=True, slots=True)
class People:
    """How batches are put together, and from whom.

    Attributes:
        subjects: Different subjects of a batch.
        samples: Of each; spread over what the subject shows as evenly as can be.
        subject_of: Subject of every sequence.
        kind_of: What every sequence shows: its expression, or, where no label may be seen, its pseudo-label.
    """

    subjects: int
    samples: int
    subject_of: Mapping[str, str]
    kind_of: Mapping[str, str]

    @property
    def batch_size(self) -> int:
        """Samples of a batch."""
        return self.subjects * self.samples

    def draw(self, sequences: Sequence[str], steps: int, generator: np.random.Generator) -> Positions:
        """Positions in ``sequences`` of every sample of so many batches, one batch after the other.

        Whoever, and whatever of them, was shown least so far comes next, ties at random: no two subjects, no two kinds
        of a subject and no two sequences of a kind differ by more than one turn.

        Raises:
            ValueError: If there are fewer subjects than a batch holds.
        """
        drawers = self._drawers(sequences, generator)
        if len(drawers) < self.subjects:
            raise ValueError(
                f"A batch of {self.subjects} subjects cannot be drawn from {len(drawers)}: lower sampler.subjects."
            )
        turns = _Turns(len(drawers), generator)
        batches = [
            [place for subject in turns.next(self.subjects) for place in drawers[subject].next(self.samples)]
            for _ in range(steps)
        ]
        return np.asarray(generator.permuted(np.array(batches), axis=1).ravel(), np.int64)

    def _drawers(self, sequences: Sequence[str], generator: np.random.Generator) -> "list[_Drawer]":
        shown: dict[str, dict[str, list[int]]] = {}
        for place, sequence in enumerate(sequences):
            kinds = shown.setdefault(self.subject_of[sequence], {})
            kinds.setdefault(self.kind_of[sequence], []).append(place)
        return [_Drawer([kinds[kind] for kind in sorted(kinds)], generator) for _, kinds in sorted(shown.items())]


class _Turns:
    """Who is next among some: whoever was least often, ties at random."""

    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self._taken, self._generator = np.zeros(count, np.int64), generator

    def next(self, count: int) -> Positions:
        """So many; all of them before anyone comes again."""
        order = np.lexsort((self._generator.random(len(self._taken)), self._taken))
        chosen = np.resize(order, count)
        np.add.at(self._taken, chosen, 1)
        return chosen


class _Drawer:
    """The sequences of one subject, by kind."""

    def __init__(self, kinds: Sequence[Sequence[int]], generator: np.random.Generator) -> None:
        self._kinds = kinds
        self._turns = _Turns(len(kinds), generator)
        self._turns_within = [_Turns(len(kind), generator) for kind in kinds]

    def next(self, count: int) -> Iterator[int]:
        """Positions of so many samples."""
        for kind in self._turns.next(count):
            yield self._kinds[kind][self._turns_within[kind].next(1)[0]]
