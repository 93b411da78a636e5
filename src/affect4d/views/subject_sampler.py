"""Batches of P subjects with K samples each: samples differ in expression, not only in subject.

A contrastive batch in which every subject shows every expression cannot be solved by recognising the subject [ours].
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64


@dataclass(frozen=True, slots=True)
class SubjectSampler:
    """How batches are composed, and of which subjects.

    Attributes:
        kind_of: Expression of every sequence or, where no label may be used, its pseudo-label.
    """

    subjects: int
    samples: int
    subject_of: Mapping[str, str]
    kind_of: Mapping[str, str]

    @property
    def batch_size(self) -> int:
        """Samples of a batch."""
        return self.subjects * self.samples

    def sample(
        self, sequences: Sequence[str], steps: int, generator: np.random.Generator
    ) -> Int64[np.ndarray, " samples"]:
        """Positions in ``sequences`` of every sample of so many batches, one batch after the other.

        The subject, and of it the kind, that came least often so far comes next, ties at random: no two subjects, no
        two kinds of a subject and no two sequences of a kind differ by more than one turn.

        Raises:
            ValueError: If there are fewer subjects than a batch holds.
        """
        queues = self._queues(sequences, generator)
        if len(queues) < self.subjects:
            raise ValueError(
                f"A batch of {self.subjects} subjects cannot be sampled from {len(queues)}: lower sampler.subjects."
            )
        turns = _Turns(len(queues), generator)
        batches = [
            [place for subject in turns.next(self.subjects) for place in queues[subject].next(self.samples)]
            for _ in range(steps)
        ]
        return np.asarray(generator.permuted(np.array(batches), axis=1).ravel(), np.int64)

    def _queues(self, sequences: Sequence[str], generator: np.random.Generator) -> "list[_SubjectQueue]":
        shown: dict[str, dict[str, list[int]]] = {}
        for place, sequence in enumerate(sequences):
            kinds = shown.setdefault(self.subject_of[sequence], {})
            kinds.setdefault(self.kind_of[sequence], []).append(place)
        return [_SubjectQueue([kinds[kind] for kind in sorted(kinds)], generator) for _, kinds in sorted(shown.items())]


class _Turns:
    """Round robin with ties at random: the least used of some comes next."""

    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self._taken, self._generator = np.zeros(count, np.int64), generator

    def next(self, count: int) -> Int64[np.ndarray, " samples"]:
        """So many; all of them before one comes again."""
        order = np.lexsort((self._generator.random(len(self._taken)), self._taken))
        chosen = np.resize(order, count)
        np.add.at(self._taken, chosen, 1)
        return chosen


class _SubjectQueue:
    """The sequences of one subject, by kind."""

    def __init__(self, kinds: Sequence[Sequence[int]], generator: np.random.Generator) -> None:
        self._kinds = kinds
        self._turns = _Turns(len(kinds), generator)
        self._turns_within = [_Turns(len(kind), generator) for kind in kinds]

    def next(self, count: int) -> Iterator[int]:
        """Positions of so many samples."""
        for kind in self._turns.next(count):
            yield self._kinds[kind][self._turns_within[kind].next(1)[0]]
