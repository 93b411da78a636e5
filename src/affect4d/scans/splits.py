"""Subjects divided into training and test, so that no person is ever in both."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from affect4d.left_out import MissingInputError
from affect4d.store import content_key


class SubjectLeakError(ValueError):
    """A subject on both sides of a split; the message names them."""


@dataclass(frozen=True, slots=True)
class SubjectSplit:
    """Subjects that are trained on and subjects that are tested on, sorted; none is in both."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    seed: int
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        """Sort both sides and refuse a leak or an empty side."""
        object.__setattr__(self, "train", tuple(sorted(set(self.train))))
        object.__setattr__(self, "test", tuple(sorted(set(self.test))))
        if not self.train or not self.test:
            raise MissingInputError(
                f"A split needs subjects on both sides: {len(self.train)} train, {len(self.test)} test. Scans of one "
                "subject are ingested, rendered and predicted; training and evaluation need two subjects or more."
            )
        check_disjoint(self.train, self.test)
        object.__setattr__(self, "digest", content_key(train=self.train, test=self.test))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the digest with them."""
        return {"train": list(self.train), "test": list(self.test), "seed": self.seed, "digest": self.digest}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SubjectSplit":
        """The split that :meth:`to_dict` wrote; a ``ValueError`` where the digest does not fit the subjects."""
        split = cls(tuple(values["train"]), tuple(values["test"]), int(values["seed"]))
        if values.get("digest", split.digest) != split.digest:
            raise ValueError(f"The split's digest is {split.digest}, recorded as {values['digest']}: it was changed.")
        return split


def check_disjoint(train: Iterable[str], test: Iterable[str]) -> None:
    """Refuse a subject on both sides, even under another spelling (``"f001 "`` is ``"F001"``)."""
    shared = {_spelled(name) for name in train} & {_spelled(name) for name in test}
    if shared:
        raise SubjectLeakError(f"Subjects in training and test: {', '.join(sorted(shared))}.")


def _spelled(name: str) -> str:
    return name.strip().casefold()


def draw_split(
    subjects: Iterable[str], test_share: float, seed: int, strata: Mapping[str, str] | None = None
) -> SubjectSplit:
    """Draw test subjects at random, the same share of every stratum as nearly as whole subjects allow.

    Args:
        subjects: Names, in any order, repeated or not: the draw depends on the set and the seed only.
        test_share: Between 0 and 1; at least one subject is drawn and one is left.
        strata: Group of each subject, e.g. gender; subjects it does not name form a group of their own.
    """
    names = sorted(set(subjects))
    if len(names) < 2 or not 0 < test_share < 1:
        raise ValueError(f"Cannot hold out a share of {test_share} of {len(names)} subjects: need 2 and 0 < share < 1.")
    count = min(max(round(len(names) * test_share), 1), len(names) - 1)
    test = _interleaved(names, strata or {}, np.random.default_rng(seed))[:count]
    return SubjectSplit(tuple(set(names) - set(test)), tuple(test), seed)


def draw_folds(
    subjects: Iterable[str], folds: int, seed: int, strata: Mapping[str, str] | None = None
) -> tuple[SubjectSplit, ...]:
    """Splits in which every subject is tested on exactly once (the ten-fold protocols of BU-3DFE and BU-4DFE)."""
    names = sorted(set(subjects))
    if not 2 <= folds <= len(names):
        raise ValueError(f"Cannot make {folds} folds of {len(names)} subjects.")
    order = _interleaved(names, strata or {}, np.random.default_rng(seed))
    edges = np.linspace(0, len(order), folds + 1).round().astype(int)
    tests = [order[first:last] for first, last in itertools.pairwise(edges)]
    return tuple(SubjectSplit(tuple(set(names) - set(test)), tuple(test), seed) for test in tests)


def _interleaved(names: list[str], strata: Mapping[str, str], generator: np.random.Generator) -> list[str]:
    """A random order in which every stretch holds the strata in about their shares."""
    groups: dict[str, list[str]] = {}
    for name in (names[position] for position in generator.permutation(len(names))):
        groups.setdefault(strata.get(name, ""), []).append(name)
    offsets = {group: generator.random() for group in sorted(groups)}
    places = [
        ((position + offsets[group]) / len(members), name)
        for group, members in groups.items()
        for position, name in enumerate(members)
    ]
    return [name for _, name in sorted(places)]
