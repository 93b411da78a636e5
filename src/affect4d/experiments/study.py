"""A study: every arm with every seed, side by side."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from affect4d.engine import IN_PROCESS, EngineOptions
from affect4d.experiments.options import StudyOptions
from affect4d.experiments.setting import Arm, Setting
from affect4d.experiments.tickets import Ticket, run_tickets
from affect4d.experiments.trial import StudyData, Trial, run_trial
from affect4d.scans.splits import SubjectSplit, draw_split
from affect4d.store import ContentStore


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
    engine: EngineOptions = IN_PROCESS,
) -> StudyResult:
    """Run every trial that has not been run yet; a study that was interrupted goes on where it stopped.

    Args:
        arms: What is compared.
        options: Seeds and splits.
        split: The run's own split; with ``redraw``, its share of test subjects is drawn anew for every seed but the
            first.
        data: Views and what is known of them.
        setting: What all arms share. A trial has one thread of the CPU, so that its result does not depend on how many
            run side by side.
        store: Where trials are kept.
        engine: Where trials are run, several at once.

    Raises:
        ValueError: If an arm wants more labelled subjects than there are to train on.
        RuntimeError: If a trial failed; those that ended before it are kept.
    """
    _check_people(arms, options, split, setting)
    tickets = [Ticket(arm, seed, fold) for seed, fold in _splits(options, split) for arm in arms]
    run = functools.partial(_run, data=data, setting=setting.changed({"train.threads": 1}), store=store)
    answers = run_tickets(run, tickets, "trials of the study", engine)
    trials = {(ticket.arm.name, ticket.seed): trial for ticket, trial in answers}
    done = [(trials[ticket.arm.name, ticket.seed], ticket) for ticket in tickets]
    return StudyResult(
        predictions=pd.concat([_labelled(trial.predictions, ticket) for trial, ticket in done], ignore_index=True),
        curves=pd.concat([_labelled(trial.curve, ticket) for trial, ticket in done], ignore_index=True),
    )


def _run(ticket: Ticket, *, data: StudyData, setting: Setting, store: ContentStore) -> Trial:
    return run_trial(ticket.arm, ticket.seed, ticket.split, data, setting, store)


def _check_people(arms: Sequence[Arm], options: StudyOptions, split: SubjectSplit, setting: Setting) -> None:
    """Say before the first trial what the last would say."""
    wanted = {arm.name: setting.changed(arm.changes).labelled_subjects for arm in arms}
    people, most = len(split.train), max(wanted.values())
    if most <= people:
        return
    served = "+".join(name for name, count in wanted.items() if count <= people)
    remedy = f"run the others, --params studies.{options.name}.arms={served}" if served else "take more"
    raise ValueError(f"{most} labelled subjects are asked for, and there are {people} to train on: {remedy}.")


def _splits(options: StudyOptions, split: SubjectSplit) -> Iterable[tuple[int, SubjectSplit]]:
    subjects = (*split.train, *split.test)
    share = len(split.test) / len(subjects)
    for place, seed in enumerate(options.seeds):
        yield seed, draw_split(subjects, share, split.seed + seed + 1) if options.redraw and place else split


def _labelled(table: pd.DataFrame, ticket: Ticket) -> pd.DataFrame:
    labelled = table.drop(columns=[name for name in ("model",) if name in table])
    labelled.insert(0, "seed", ticket.seed)
    labelled.insert(0, "arm", ticket.arm.name)
    return labelled
