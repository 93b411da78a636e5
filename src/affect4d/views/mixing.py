"""Mixed view augmentation, planned: one row a training sample, drawn ahead as a pure function of its arguments.

A sample shows one moment of one sequence from every view; a view may be *mixed in* from another scan. With groups (the
expression of every sequence) it comes from any sequence of that group, and every batch holds each group equally often.
Without groups mixing stays inside the sequence, because anything wider would need a label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64
from pydantic import BaseModel, ConfigDict, Field

from affect4d.views.people import People

Positions = Int64[np.ndarray, "_"]


class MixedViewOptions(BaseModel):
    """How strongly samples are changed; all at 0 is no augmentation.

    Attributes:
        mirror: Probability that the whole sample is mirrored (left and right views exchange).
        mix: Probability that a view comes from another scan.
        rotation: Greatest rotation in the picture's plane, degrees, drawn for each view.
        scale: Greatest relative change of size.
        shift: Greatest shift, as a share of the picture's side.
        contrast: Greatest relative change of the grey channel's contrast.
        brightness: Greatest change of the grey channel's brightness, as a share of its range.
        quiet_share: Share of samples drawn from all frames instead of the window round the apex.
        turned: Probability that a sample shows the face in a further stance, where such were rendered.
        still: Probability that a sample is shown without what has moved, as a scan that comes without a neutral frame.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mirror: float = Field(default=0.5, ge=0.0, le=1.0)
    mix: float = Field(default=0.25, ge=0.0, le=1.0)
    rotation: float = Field(default=10.0, ge=0.0, le=180.0)
    scale: float = Field(default=0.12, ge=0.0, lt=0.9)
    shift: float = Field(default=0.06, ge=0.0, le=0.5)
    contrast: float = Field(default=0.2, ge=0.0, lt=1.0)
    brightness: float = Field(default=0.08, ge=0.0, le=1.0)
    quiet_share: float = Field(default=0.0, ge=0.0, le=1.0)
    turned: float = Field(default=0.75, ge=0.0, le=1.0)
    still: float = Field(default=0.0, ge=0.0, le=1.0)


def plan_columns(views: Sequence[str]) -> list[str]:
    """Columns of a plan: no label among them."""
    of_sample = ["epoch", "step", "sequence", "frame", "mirror", "still", "stance", "prompt_draw"]
    of_view = [f"{column}_{view}" for view in views for column in _VIEW_COLUMNS]
    return of_sample + of_view


_VIEW_COLUMNS = (
    "source_sequence",
    "source_frame",
    "rotation",
    "scale",
    "shift_x",
    "shift_y",
    "contrast",
    "brightness",
)


def plan_mixed_views(
    bank_index: pd.DataFrame,
    options: MixedViewOptions,
    *,
    epochs: int,
    batch_size: int,
    samples_per_sequence: int,
    seed: int,
    views: Sequence[str],
    groups: Mapping[str, str] | None = None,
    people: People | None = None,
    stances: int = 0,
) -> pd.DataFrame:
    """Draw every sample of a training run.

    Args:
        bank_index: Frames that may be used: ``sequence``, ``frame`` and, to stay near the apex, ``in_window``.
        options: How strongly samples are changed.
        epochs: How often samples are drawn.
        batch_size: Samples a step; with groups, a multiple of how many there are.
        samples_per_sequence: How many samples an epoch draws of a sequence, on average; steps an epoch follow from it.
        seed: The plan of an epoch depends on the seed and the epoch's number alone.
        views: Names of the views.
        groups: Group (expression) of every sequence; None for training without labels.
        people: Batches of some subjects each; None draws from everybody.
        stances: How many further stances were rendered.

    Returns:
        One row a sample: ``epoch``, ``step``, ``sequence``, ``frame``, ``mirror``, ``still``, ``stance`` (0 is the
        canonical one), ``prompt_draw`` (0 ≤ · < 1) and, for every view, ``source_sequence``, ``source_frame``,
        ``rotation`` (degrees), ``scale`` (factor), ``shift_x``, ``shift_y`` (shares of the side), ``contrast``
        (factor), ``brightness`` (offset, share of the range), each with ``_<view>``.

    Raises:
        ValueError: If a sequence has no group, the batch size cannot hold every group equally often, or there are fewer
            subjects than a batch shall hold.
    """
    pool = _pool_of(bank_index, groups)
    steps = max(1, round(len(pool.sequences) * samples_per_sequence / batch_size))
    drawn = []
    for epoch in range(epochs):
        generator = np.random.default_rng((seed, epoch))
        anchors = _anchors(pool, steps, batch_size, people, generator)
        samples = _draw_samples(pool, options, views, anchors, generator)
        samples["stance"] = _draw_stances(len(samples), stances, options.turned, generator)
        drawn.append(samples.assign(epoch=epoch, step=np.repeat(np.arange(steps), batch_size)))
    return pd.concat(drawn, ignore_index=True)[plan_columns(views)]


def rendered_stances(view_manifest: pd.DataFrame) -> int:
    """How many further stances all sequences were rendered in."""
    return int(view_manifest["stances"].min()) if "stances" in view_manifest else 0


@dataclass(frozen=True, slots=True)
class _Pool:
    """What can be drawn, as flat arrays; a sequence's frames are ``frames[starts[s] : starts[s] + counts[s]]``.

    The frames of the window come first, so that the first ``active[s]`` of them are those near the apex.
    """

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
        raise ValueError("There are no frames to plan with: the bank's index is empty.")
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
    """Who is balanced against whom, and who may lend a view to whom."""
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
    pool: _Pool, steps: int, batch_size: int, people: People | None, generator: np.random.Generator
) -> Positions:
    """Sequence of every sample of an epoch, step after step."""
    if people is None:
        return _balanced_anchors(pool, steps, batch_size, generator)
    if people.batch_size != batch_size:
        raise ValueError(
            f"A batch of {batch_size} does not hold {people.subjects} subjects × {people.samples} samples."
        )
    return people.draw(pool.sequences.tolist(), steps, generator)


def _draw_samples(
    pool: _Pool, options: MixedViewOptions, views: Sequence[str], anchors: Positions, generator: np.random.Generator
) -> pd.DataFrame:
    """What every sample of an epoch shows, and how it is changed."""
    samples = len(anchors)
    frames = _draw_frames(pool, anchors, options.quiet_share, generator)
    columns: dict[str, Any] = {
        "sequence": pool.sequences[anchors],
        "frame": frames,
        "mirror": generator.random(samples) < options.mirror,
        "prompt_draw": generator.random(samples),
    }
    for view in views:
        drawn = _draw_view(pool, options, anchors, frames, generator)
        columns.update({f"{column}_{view}": values for column, values in drawn.items()})
    columns["still"] = generator.random(samples) < options.still
    return pd.DataFrame(columns)


def _draw_stances(samples: int, stances: int, turned: float, generator: np.random.Generator) -> Positions:
    """Stance of every sample: a further one, any of them, for a share of the samples."""
    if not stances:
        return np.zeros(samples, np.int64)
    chosen = generator.integers(1, stances + 1, samples)
    return np.where(generator.random(samples) < turned, chosen, 0).astype(np.int64)


def _balanced_anchors(pool: _Pool, steps: int, batch_size: int, generator: np.random.Generator) -> Positions:
    """Sequences of every sample, step after step; each step holds every group equally often, in shuffled order."""
    groups = len(pool.balance_members)
    if batch_size % groups:
        raise ValueError(
            f"A batch of {batch_size} cannot hold {groups} groups equally often: use a multiple of {groups}."
        )
    share = batch_size // groups
    rows = [_cycled(members, steps * share, generator).reshape(steps, share) for members in pool.balance_members]
    return np.asarray(generator.permuted(np.concatenate(rows, axis=1), axis=1).ravel(), np.int64)


def _cycled(members: Positions, needed: int, generator: np.random.Generator) -> Positions:
    """Members in random order, over and over, each time in a new order."""
    rounds = -(-needed // len(members))
    return np.concatenate([generator.permutation(members) for _ in range(rounds)])[:needed]


def _draw_frames(pool: _Pool, sequences: Positions, quiet_share: float, generator: np.random.Generator) -> Positions:
    """One frame of each sequence: near the apex, or, for a share of them, any."""
    anywhere = generator.random(len(sequences)) < quiet_share
    choices = np.where(anywhere, pool.counts[sequences], pool.active[sequences])
    return np.asarray(pool.frames[pool.starts[sequences] + generator.integers(0, choices)], np.int64)


def _draw_view(
    pool: _Pool, options: MixedViewOptions, anchors: Positions, frames: Positions, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Where one view of every sample comes from, and how it is changed."""
    samples = len(anchors)
    mixed = generator.random(samples) < options.mix
    group = pool.mixing_group[anchors]
    lent = pool.mixing_members[pool.mixing_starts[group] + generator.integers(0, pool.mixing_counts[group])]
    lent_frames = _draw_frames(pool, lent, options.quiet_share, generator)

    def around(centre: float, reach: float) -> np.ndarray:
        return np.asarray(generator.uniform(centre - reach, centre + reach, samples), np.float32)

    return {
        "source_sequence": pool.sequences[np.where(mixed, lent, anchors)],
        "source_frame": np.where(mixed, lent_frames, frames),
        "rotation": around(0.0, options.rotation),
        "scale": around(1.0, options.scale),
        "shift_x": around(0.0, options.shift),
        "shift_y": around(0.0, options.shift),
        "contrast": around(1.0, options.contrast),
        "brightness": around(0.0, options.brightness),
    }
