"""The folds of a protocol on a corpus: who is fitted on, who is held out to calibrate, who is tested."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from affect4d.scans.protocols import Protocol, draw
from affect4d.scans.splits import SubjectLeakError, SubjectSplit, check_disjoint


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold.

    Attributes:
        number: From 0, over all rounds.
        round: Which repetition of the cross-validation it belongs to, from 0.
        split: Subjects of either side.
        validation: Training subjects that nothing is fitted on: a temperature is chosen by them.
        sequences: Sequences that take part, of either side, sorted.

    Raises:
        SubjectLeakError: If a validation subject is not a training subject.
        ValueError: If nobody is left to fit on.
    """

    number: int
    round: int
    split: SubjectSplit
    validation: tuple[str, ...]
    sequences: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse validation subjects of the test side."""
        strangers = sorted(set(self.validation) - set(self.split.train))
        if strangers:
            raise SubjectLeakError(f"Validation subjects that are not training subjects: {', '.join(strangers)}.")
        check_disjoint(self.validation, self.split.test)
        _ = self.fitted

    @property
    def fitted(self) -> SubjectSplit:
        """Who everything is fitted on, and who it has then never seen: validation and test subjects."""
        train = tuple(set(self.split.train) - set(self.validation))
        return SubjectSplit(train, (*self.split.test, *self.validation), self.split.seed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        parts = {name: getattr(self, name) for name in ("number", "round", "validation", "sequences")}
        return {**parts, "split": self.split.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Fold":
        """The fold that :meth:`to_dict` wrote.

        Raises:
            ValueError: If the split is not the one that was written.
        """
        names = tuple(values["validation"]), tuple(values["sequences"])
        return cls(values["number"], values["round"], SubjectSplit.from_dict(values["split"]), *names)


def draw_all(
    protocol: Protocol, table: pd.DataFrame, seed: int = 0, rounds: int = 1, validation: float = 0.0
) -> tuple[Fold, ...]:
    """Every fold of a protocol: a pure function of the protocol, the table's rows (in any order) and the numbers.

    Args:
        protocol: Which; not one that is trained on another corpus.
        table: A corpus table, a scan manifest, or one row a sequence: ``sequence``, ``subject``, ``expression``,
            ``label``, ``level``, ``task``.
        seed: Of every draw.
        rounds: How often the whole is repeated, on other draws.
        validation: Share of each fold's training subjects that is held out to calibrate by; 0 for none.

    Raises:
        ValueError: If the protocol cannot be served by these rows, or is trained on another corpus.
    """
    ordered = table.sort_values([name for name in ("sequence", "frame") if name in table])
    folds: list[Fold] = []
    for repeated in range(rounds):
        drawn = draw(protocol, ordered, seed, repeated)
        if not drawn.folds:
            raise ValueError(f"Protocol {protocol.name} trains on {protocol.trained_on}: it has no folds of its own.")
        names = tuple(sorted(drawn.rows["sequence"].unique()))
        for split in drawn.folds:
            folds.append(Fold(len(folds), repeated, split, hold_out(split, validation), names))
    return tuple(folds)


def hold_out(split: SubjectSplit, share: float) -> tuple[str, ...]:
    """Some training subjects, drawn by the split's own digest: at least one if any share is asked, and never all.

    Raises:
        ValueError: If the share is not within 0…0.5, or there is only one training subject to take from.
    """
    if not 0 <= share <= 0.5:
        raise ValueError(f"A share of {share} of the training subjects cannot be held out: 0 to 0.5.")
    if not share:
        return ()
    if len(split.train) < 2:
        raise ValueError(f"Nobody can be held out of {len(split.train)} training subject: set the share to 0.")
    count = max(1, round(share * len(split.train)))
    order = np.random.default_rng(int(split.digest[:16], 16)).permutation(len(split.train))[:count]
    return tuple(sorted(split.train[place] for place in order))
