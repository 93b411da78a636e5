"""Schedule of mixed view augmentation: one row per training sample, a pure function of its arguments.

A sample shows one frame of one sequence from every view; a view may be *mixed in* from another scan. With groups (the
expression of every sequence) it comes from any sequence of that group, and every batch holds each group equally often.
Without groups mixing stays inside the sequence, because anything wider would need a label.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64

from affect4d.views.augmentation import AUGMENTATIONS, MixedViewOptions

Positions = Int64[np.ndarray, "_"]


@dataclass(frozen=True, slots=True)
class SubjectSampler:
    """Batches of P subjects with K samples each, spread evenly over a subject's expressions or pseudo-labels.

    [ours] A contrastive batch in which every subject shows every expression is not solved by recognising subjects.
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
        """Positions in ``sequences``; subjects, their kinds and a kind's sequences take turns, in random order."""
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
    """Round robin in random order: the least used item comes next."""

    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self._taken, self._generator = np.zeros(count, np.int64), generator

    def next(self, count: int) -> Int64[np.ndarray, " samples"]:
        """The next ``count`` items; all of them before one comes again."""
        order = np.lexsort((self._generator.random(len(self._taken)), self._taken))
        chosen = np.resize(order, count)
        np.add.at(self._taken, chosen, 1)
        return chosen


class _SubjectQueue:
    def __init__(self, kinds: Sequence[Sequence[int]], generator: np.random.Generator) -> None:
        self._kinds = kinds
        self._turns = _Turns(len(kinds), generator)
        self._turns_within = [_Turns(len(kind), generator) for kind in kinds]

    def next(self, count: int) -> Iterator[int]:
        """Positions of ``count`` samples."""
        for kind in self._turns.next(count):
            yield self._kinds[kind][self._turns_within[kind].next(1)[0]]


def schedule_columns(views: Sequence[str]) -> list[str]:
    """Columns of a schedule, none of which is a label."""
    per_sample = ["epoch", "step", "sequence", "frame", "mirror", "still", "textureless", "head_pose", "prompt_draw"]
    per_view = ["source_sequence", "source_frame", "missing", *(one.name for one in AUGMENTATIONS)]
    return per_sample + [f"{column}_{view}" for view in views for column in per_view]


def sample_schedule(
    bank_index: pd.DataFrame,
    options: MixedViewOptions,
    *,
    epochs: int,
    batch_size: int,
    samples_per_sequence: int,
    seed: int,
    views: Sequence[str],
    groups: Mapping[str, str] | None = None,
    subject_sampler: SubjectSampler | None = None,
    head_poses: int = 0,
) -> pd.DataFrame:
    """Sample the schedule of a training run.

    Args:
        bank_index: Frames that may be used: ``sequence``, ``frame``, optionally ``in_window`` (near the apex).
        batch_size: Samples a step; with groups, a multiple of how many there are.
        samples_per_sequence: On average per epoch; the steps of an epoch follow from it.
        seed: The schedule of an epoch depends on the seed and the epoch's number alone.
        groups: Group (expression) of every sequence; None for training without labels.
        head_poses: How many further head poses were rendered.

    Returns:
        One row a sample: ``epoch``, ``step``, ``sequence``, ``frame``, ``mirror``, ``still`` (no motion),
        ``textureless``, ``head_pose`` (0 is the canonical one), ``prompt_draw`` (0 ≤ · < 1) and, for every view,
        ``source_sequence``, ``source_frame``, ``missing``, ``rotation`` (degrees), ``scale`` (factor), ``shift_x``,
        ``shift_y`` (fractions of the side), ``contrast`` (factor), ``brightness`` (offset, fraction of the range), each
        with ``_<view>``. A view is always left.

    Raises:
        ValueError: If a sequence has no group, or a batch cannot hold the groups or subjects that it shall.
    """
    pool = _pool_of(bank_index, groups)
    steps = max(1, round(len(pool.sequences) * samples_per_sequence / batch_size))
    sampled = []
    for epoch in range(epochs):
        generator = np.random.default_rng((seed, epoch))
        anchors = _anchors(pool, steps, batch_size, subject_sampler, generator)
        samples = _sample_rows(pool, options, views, anchors, generator)
        samples["head_pose"] = _sample_head_poses(len(samples), head_poses, options.head_pose, generator)
        lost = np.random.default_rng((seed, epoch, 1))  # of its own, so that no option changes the samples otherwise
        samples["textureless"] = lost.random(len(samples)) < options.textureless
        samples[[f"missing_{view}" for view in views]] = _sample_missing(len(samples), len(views), options, lost)
        sampled.append(samples.assign(epoch=epoch, step=np.repeat(np.arange(steps), batch_size)))
    return pd.concat(sampled, ignore_index=True)[schedule_columns(views)]


def rendered_head_poses(view_manifest: pd.DataFrame) -> int:
    """How many further head poses all sequences were rendered in."""
    return int(view_manifest["head_poses"].min()) if "head_poses" in view_manifest else 0


@dataclass(frozen=True, slots=True)
class _Pool:
    """Frames of sequence s: ``frames[starts[s] : starts[s] + counts[s]]``, the first ``active[s]`` near the apex."""

    sequences: np.ndarray
    frames: Positions
    starts: Positions
    counts: Positions
    active: Positions
    balance_members: tuple[Positions, ...]
    mixing_group: Positions
    mixing_members: Positions
    mixing_starts: Positions
    mixing_counts: Positions


def _pool_of(bank_index: pd.DataFrame, groups: Mapping[str, str] | None) -> _Pool:
    if bank_index.empty:
        raise ValueError("There are no frames to sample from: the bank's index is empty.")
    table = bank_index.assign(quiet=~bank_index.get("in_window", pd.Series(True, index=bank_index.index)).astype(bool))
    table = table.sort_values(["sequence", "quiet", "frame"], kind="stable")
    per_sequence = table.groupby("sequence", sort=True)["quiet"].agg(["size", "sum"])
    counts = per_sequence["size"].to_numpy(np.int64)
    active = counts - per_sequence["sum"].to_numpy(np.int64)
    sequences = per_sequence.index.to_numpy(dtype=object)
    return _Pool(
        sequences=sequences,
        frames=table["frame"].to_numpy(np.int64),
        starts=np.cumsum(counts) - counts,
        counts=counts,
        active=np.where(active > 0, active, counts),
        **_grouping(sequences, groups),
    )


def _grouping(sequences: np.ndarray, groups: Mapping[str, str] | None) -> dict[str, Any]:
    """Groups that are balanced in a batch, and sequences among which views may be mixed."""
    mixing = np.arange(len(sequences))
    balance: tuple[Positions, ...] = (mixing,)
    if groups is not None:
        ungrouped = [name for name in sequences if name not in groups]
        if ungrouped:
            raise ValueError(f"{len(ungrouped)} sequences have no group, the first is {ungrouped[0]!r}.")
        names = tuple(sorted({groups[name] for name in sequences}))
        mixing = np.array([names.index(groups[name]) for name in sequences])
        balance = tuple(np.flatnonzero(mixing == group) for group in range(len(names)))
    counts = np.bincount(mixing)
    return {
        "balance_members": balance,
        "mixing_group": mixing,
        "mixing_members": np.argsort(mixing, kind="stable"),
        "mixing_starts": np.cumsum(counts) - counts,
        "mixing_counts": counts,
    }


def _anchors(
    pool: _Pool, steps: int, batch_size: int, subject_sampler: SubjectSampler | None, generator: np.random.Generator
) -> Positions:
    if subject_sampler is None:
        return _balanced_anchors(pool, steps, batch_size, generator)
    if subject_sampler.batch_size != batch_size:
        composition = f"{subject_sampler.subjects} subjects × {subject_sampler.samples} samples"
        raise ValueError(f"A batch of {batch_size} does not hold {composition}.")
    return subject_sampler.sample(pool.sequences.tolist(), steps, generator)


def _sample_rows(
    pool: _Pool, options: MixedViewOptions, views: Sequence[str], anchors: Positions, generator: np.random.Generator
) -> pd.DataFrame:
    samples = len(anchors)
    frames = _sample_frames(pool, anchors, options.quiet_share, generator)
    columns: dict[str, Any] = {
        "sequence": pool.sequences[anchors],
        "frame": frames,
        "mirror": generator.random(samples) < options.mirror,
        "prompt_draw": generator.random(samples),
    }
    for view in views:
        sampled = _sample_view(pool, options, anchors, frames, generator)
        columns.update({f"{column}_{view}": values for column, values in sampled.items()})
    columns["still"] = generator.random(samples) < options.still
    return pd.DataFrame(columns)


def _sample_head_poses(samples: int, head_poses: int, probability: float, generator: np.random.Generator) -> Positions:
    if not head_poses:
        return np.zeros(samples, np.int64)
    chosen = generator.integers(1, head_poses + 1, samples)
    return np.where(generator.random(samples) < probability, chosen, 0).astype(np.int64)


def _sample_missing(
    samples: int, views: int, options: MixedViewOptions, generator: np.random.Generator
) -> Bool[np.ndarray, "samples views"]:
    missing: Bool[np.ndarray, "samples views"] = generator.random((samples, views)) < options.missing_view
    missing[np.arange(samples), generator.integers(0, views, samples)] = False
    return missing


def _balanced_anchors(pool: _Pool, steps: int, batch_size: int, generator: np.random.Generator) -> Positions:
    """Sequence of every sample, step after step; each step holds every group equally often, in shuffled order."""
    groups = len(pool.balance_members)
    if batch_size % groups:
        raise ValueError(f"A batch of {batch_size} cannot hold {groups} groups equally: use a multiple of {groups}.")
    per_group = batch_size // groups
    rows = [
        _cycled(members, steps * per_group, generator).reshape(steps, per_group) for members in pool.balance_members
    ]
    return np.asarray(generator.permuted(np.concatenate(rows, axis=1), axis=1).ravel(), np.int64)


def _cycled(members: Positions, needed: int, generator: np.random.Generator) -> Positions:
    """Members in random order, repeatedly, each time in a new order."""
    rounds = -(-needed // len(members))
    return np.concatenate([generator.permutation(members) for _ in range(rounds)])[:needed]


def _sample_frames(pool: _Pool, sequences: Positions, quiet_share: float, generator: np.random.Generator) -> Positions:
    anywhere = generator.random(len(sequences)) < quiet_share
    choices = np.where(anywhere, pool.counts[sequences], pool.active[sequences])
    return np.asarray(pool.frames[pool.starts[sequences] + generator.integers(0, choices)], np.int64)


def _sample_view(
    pool: _Pool, options: MixedViewOptions, anchors: Positions, frames: Positions, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    samples = len(anchors)
    mixed = generator.random(samples) < options.mix
    group = pool.mixing_group[anchors]
    other = pool.mixing_members[pool.mixing_starts[group] + generator.integers(0, pool.mixing_counts[group])]
    mixed_frames = _sample_frames(pool, other, options.quiet_share, generator)
    return {
        "source_sequence": pool.sequences[np.where(mixed, other, anchors)],
        "source_frame": np.where(mixed, mixed_frames, frames),
        **{one.name: one.sample(getattr(options, one.option), samples, generator) for one in AUGMENTATIONS},
    }
