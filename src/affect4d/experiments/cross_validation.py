"""Cross-validation: every contender in every fold, side by side; every answer checked before it counts."""

import functools
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from affect4d.engine import IN_PROCESS, EngineOptions
from affect4d.evaluation.leakage import LeakError, check_distinct
from affect4d.experiments.contenders import FoldTicket, answers_of, check_contenders
from affect4d.experiments.setting import Setting
from affect4d.experiments.tickets import run_tickets
from affect4d.experiments.trial import StudyData
from affect4d.scans.folds import Fold
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore

TEST, VALIDATION = "test", "validation"
OnFold = Callable[[Fold, pd.DataFrame], None]


def cross_validate(
    folds: Sequence[Fold],
    methods: tuple[str, ...],
    seed: int,
    data: StudyData,
    settings: Mapping[str, Setting],
    store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
    on_fold: OnFold = lambda fold, table: None,
) -> pd.DataFrame:
    """Fit and ask every contender in every fold; one that was interrupted goes on where it stopped.

    Args:
        folds: See :func:`affect4d.scans.folds.draw_all`.
        methods: Of :data:`~affect4d.experiments.contenders.CONTENDERS`.
        seed: Of every training.
        data: Views and what is known of them.
        settings: Of every trained method.
        store: Where answers are kept.
        engine: Where folds are worked on, several at once.
        on_fold: Told of every fold when its last contender has answered, in whatever order that is.

    Returns:
        Every prediction, with the columns ``fold``, ``round`` and ``side`` (``test`` or ``validation``) in front.

    Raises:
        LeakError: If an answer is about anybody a fold does not test or hold out, or a scan lies on both sides.
        RuntimeError: If a contender failed; the answers before it are kept.
        ValueError: If a method is unknown.
    """
    check_contenders(methods)
    for fold in folds:
        check_no_twins(data.only(fold.sequences).scans, fold.fitted)
    single = {name: setting.changed({"train.threads": 1}) for name, setting in settings.items()}
    answer = functools.partial(answers_of, data=data, settings=single, store=store)
    tickets = [FoldTicket(method, fold, seed) for fold in folds for method in methods]
    answers: dict[int, dict[str, pd.DataFrame]] = {fold.number: {} for fold in folds}
    for ticket, table in run_tickets(answer, tickets, "fitting folds", engine):
        done = answers[ticket.fold.number]
        done[ticket.method] = sides_of(table, ticket.fold)
        if len(done) == len(methods):
            on_fold(ticket.fold, pd.concat([done[name] for name in methods], ignore_index=True))
    return pd.concat([answers[fold.number][name] for fold in folds for name in methods], ignore_index=True)


def sides_of(table: pd.DataFrame, fold: Fold) -> pd.DataFrame:
    """A fold's answers, each beside the side of its subject.

    Raises:
        LeakError: If one is about a subject the model may have been fitted on, is about a sequence that takes no part,
            or is there twice.
    """
    allowed = {*fold.split.test, *fold.validation} - set(fold.fitted.train)
    strangers = sorted(set(table["subject"]) - allowed)
    if strangers:
        raise LeakError(f"Fold {fold.number + 1} answers about subjects it was fitted on: {', '.join(strangers)}.")
    outside = sorted(set(table["sequence"]) - set(fold.sequences))
    if outside:
        raise LeakError(f"Fold {fold.number + 1} answers about sequences that take no part: {', '.join(outside)}.")
    for _, answers in table.groupby("model"):
        check_distinct(answers["sequence"])
    sided = table.reset_index(drop=True)
    sided.insert(0, "side", sided["subject"].isin(fold.split.test).map({True: TEST, False: VALIDATION}))
    sided.insert(0, "round", fold.round)
    sided.insert(0, "fold", fold.number)
    return sided


def check_no_twins(scans: pd.DataFrame, split: SubjectSplit) -> None:
    """No raw scan of a training subject is, byte for byte, one of a test subject's.

    Args:
        scans: Columns ``subject``, ``sequence``, ``checksum`` (of the raw bytes).
        split: Who is fitted on.

    Raises:
        LeakError: If one is; names both sequences.
    """
    known = scans[scans["subject"].isin(split.train)].drop_duplicates("checksum").set_index("checksum")["sequence"]
    twins = scans[scans["subject"].isin(split.test) & scans["checksum"].isin(known.index)]
    if len(twins):
        row = twins.iloc[0]
        raise LeakError(
            f"{row['sequence']} of an unseen subject holds a scan that is, byte for byte, one of "
            f"{known[row['checksum']]} of a training subject. Remove one of them from the corpus."
        )
