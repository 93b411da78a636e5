"""Augmentation plan of a training run: samples of every step, and training subjects held out for validation."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from affect4d.left_out import MissingInputError
from affect4d.training.options import TrainOptions
from affect4d.views.apex_detection import frame_table
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.input_options import InputOptions
from affect4d.views.mixed_view_sampling import SubjectSampler, rendered_head_poses, sample_schedule

VALIDATION_EPOCH = -1  # epoch of validation rows


def draw_plan(
    view_manifest: pd.DataFrame,
    options: MixedViewOptions,
    train: TrainOptions,
    inputs: InputOptions,
    kind_of: Mapping[str, str],
    *,
    supervised: bool,
    views: Sequence[str] = (),
) -> pd.DataFrame:
    """Draw the augmentation plan of the training subjects, with validation rows where some of them are held out.

    ``kind_of`` is the expression of every sequence, or its pseudo-label in self-supervised training. Supervised, views
    are mixed among sequences of one kind; else inside one sequence. Columns are those of
    :func:`~affect4d.views.mixed_view_sampling.sample_schedule`; validation rows have ``VALIDATION_EPOCH``.
    """
    if view_manifest.empty:
        raise MissingInputError(
            "No sequence of a training subject is left to train on: none has one of the six expressions or, without "
            "labels, a pseudo-label. Without labels: kedro run --pipeline=train_smile."
        )
    views = list(views or view_manifest["views"].iloc[0])
    subjects = validation_subjects(view_manifest["subject"], train.validation, train.seed)
    held_out = view_manifest["subject"].isin(subjects)
    subject_sampler = None
    if train.sampler is not None:
        subject_of = dict(zip(view_manifest["sequence"], view_manifest["subject"], strict=True))
        subject_sampler = SubjectSampler(train.sampler.subjects, train.sampler.samples, subject_of, kind_of)
    plan = sample_schedule(
        frame_table(view_manifest[~held_out], inputs.frames),
        options,
        epochs=train.epochs,
        batch_size=train.batch_size,
        samples_per_sequence=train.samples_per_sequence,
        seed=train.seed,
        views=views,
        groups=kind_of if supervised else None,
        subject_sampler=subject_sampler,
        head_poses=rendered_head_poses(view_manifest),
    )
    if not held_out.any():
        return plan
    if view_manifest[held_out]["sequence"].nunique() < 2:
        raise ValueError("A loss compares sequences, and one alone is held out: raise `validation`, or set it to 0.")
    frames = frame_table(view_manifest[held_out], inputs.frames)
    return pd.concat([plan, validation_plan(frames, train.batch_size, train.seed, views)], ignore_index=True)


def validation_subjects(subjects: Iterable[str], share: float, seed: int) -> tuple[str, ...]:
    """Validation subjects: a pure function of (subjects, share, seed); one or more unless the share is 0, never all."""
    names = sorted(set(subjects))
    count = max(1, round(share * len(names))) if share else 0
    if count >= len(names):
        raise ValueError(f"Holding out {count} of {len(names)} training subjects leaves no subject to train on.")
    return tuple(sorted(np.random.default_rng((seed, len(names))).permutation(names)[:count].tolist()))


def validation_plan(bank_index: pd.DataFrame, batch_size: int, seed: int, views: Sequence[str]) -> pd.DataFrame:
    """Validation rows of a plan: every sequence once, not augmented, in steps of nearly equal size."""
    count = bank_index["sequence"].nunique()
    unchanged = MixedViewOptions.none()
    drawn = sample_schedule(
        bank_index, unchanged, epochs=1, batch_size=count, samples_per_sequence=1, seed=seed, views=views
    )
    steps = np.array_split(np.arange(count), max(1, round(count / batch_size)))
    return drawn.assign(epoch=VALIDATION_EPOCH, step=np.repeat(np.arange(len(steps)), [len(step) for step in steps]))


def split_plan(plan: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows and validation rows."""
    held_out = plan["epoch"] == VALIDATION_EPOCH
    return plan[~held_out].reset_index(drop=True), plan[held_out].reset_index(drop=True)


def check_no_leaks(plan: pd.DataFrame, subjects: pd.Series) -> None:
    """Check that no validation subject is in a training row, given each sequence's subject; else ``ValueError``."""
    trained, held_out = split_plan(plan)
    sources = trained.filter(regex=r"^(source_sequence_|sequence$)").to_numpy().ravel()
    shared = set(subjects.loc[pd.unique(sources)]) & set(subjects.loc[held_out["sequence"].unique()])
    if shared:
        raise ValueError(f"Subject {min(shared)!r} is held out and trained on: draw the plan anew.")
