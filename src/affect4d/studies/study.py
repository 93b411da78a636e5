"""A study: every arm with every seed, side by side."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from affect4d.content import ContentStore
from affect4d.progress import track
from affect4d.scans.splits import SubjectSplit, draw_split
from affect4d.studies.setting import Arm, Setting
from affect4d.studies.trial import StudyData, run_trial


class StudyOptions(BaseModel):
    """Which study, how often, on whom.

    Attributes:
        name: Of :data:`affect4d.studies.arms.STUDIES`.
        seeds: One training of every arm a seed.
        arms: Arms to run beside the first; empty means all.
        redraw: Draw other test subjects for every seed, so that in the end more people have been tested on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seeds: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    arms: tuple[str, ...] = ()
    redraw: bool = True


@dataclass(frozen=True)
class StudyResult:
    """What a study gave; both tables have the columns ``arm`` and ``seed`` in front.

    Attributes:
        predictions: One row a sequence of an unseen subject.
        curves: One row an epoch.
    """

    predictions: pd.DataFrame
    curves: pd.DataFrame


def run_study(
    arms: Sequence[Arm],
    options: StudyOptions,
    split: SubjectSplit,
    data: StudyData,
    setting: Setting,
    store: ContentStore,
    done: Callable[[str, int], None] = lambda arm, seed: None,
) -> StudyResult:
    """Run every trial that has not been run yet; a study that was interrupted goes on where it stopped.

    Args:
        arms: What is compared.
        options: Seeds and splits.
        split: The run's own split; with ``redraw``, its share of test subjects is drawn anew for every seed but the
            first.
        data: Views and what is known of them.
        setting: What all arms share.
        store: Where trials are kept.
        done: Told the arm and the seed of every finished trial.
    """
    predictions, curves = [], []
    trials = [(arm, seed, fold) for seed, fold in _splits(options, split) for arm in arms]
    for arm, seed, fold in track(trials, "trials of the study"):
        trial = run_trial(arm, seed, fold, data, setting, store)
        predictions.append(_labelled(trial.predictions, arm, seed))
        curves.append(_labelled(trial.curve, arm, seed))
        done(arm.name, seed)
    return StudyResult(pd.concat(predictions, ignore_index=True), pd.concat(curves, ignore_index=True))


def _splits(options: StudyOptions, split: SubjectSplit) -> Iterable[tuple[int, SubjectSplit]]:
    subjects = (*split.train, *split.test)
    share = len(split.test) / len(subjects)
    for place, seed in enumerate(options.seeds):
        yield seed, draw_split(subjects, share, split.seed + seed + 1) if options.redraw and place else split


def _labelled(table: pd.DataFrame, arm: Arm, seed: int) -> pd.DataFrame:
    labelled = table.drop(columns=[name for name in ("model",) if name in table])
    labelled.insert(0, "seed", seed)
    labelled.insert(0, "arm", arm.name)
    return labelled
