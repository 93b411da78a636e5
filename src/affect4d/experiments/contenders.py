"""Who takes part in a cross-validation: trained models, and simple classifiers fitted in the same folds."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_changes
from functools import partial
from types import MappingProxyType

import pandas as pd

from affect4d.evaluation import baselines
from affect4d.evaluation.evaluator import Evaluator
from affect4d.experiments.setting import Arm, Setting
from affect4d.experiments.trial import StudyData, run_trial
from affect4d.scans.folds import Fold
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore, code_version, content_key, table_digest

Baseline = Callable[[Evaluator, pd.DataFrame, Setting], pd.DataFrame]

TRAINED: Mapping[str, Arm] = MappingProxyType(
    {
        arm.name: with_changes(arm, watched=False)
        for arm in (
            Arm("affect_vlm", "AffectVLM, by its prompts", "affect_vlm", "prompts"),
            Arm("smile_vlm", "SMILE-VLM, zero-shot and by linear probe", "smile_vlm", "prompts_and_probe"),
            Arm("cross_entropy", "cross-entropy, same tower, data and schedule", "cross_entropy", "head"),
        )
    }
)


def _on_pictures(fit: Callable[..., pd.DataFrame]) -> Baseline:
    def answer(evaluator: Evaluator, _: pd.DataFrame, setting: Setting) -> pd.DataFrame:
        return fit(evaluator.bank, setting.inputs, evaluator.sequences, evaluator.split)

    return answer


def _landmarks(evaluator: Evaluator, scans: pd.DataFrame, _: Setting) -> pd.DataFrame:
    return baselines.landmark_logistic(evaluator.bank, scans, evaluator.sequences, evaluator.split)


def _rules(evaluator: Evaluator, scans: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    return baselines.pseudo_label_rules(scans, evaluator.sequences, evaluator.split, setting.pseudo_labels)


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "landmark_logistic": _landmarks,
        "pseudo_labels": _rules,
        "motion_logistic": _on_pictures(baselines.motion_logistic),
        "pixel_logistic": _on_pictures(baselines.pixel_logistic),
        "pixel_knn": _on_pictures(baselines.pixel_knn),
    }
)
CONTENDERS: tuple[str, ...] = (*TRAINED, *BASELINES)


@dataclass(frozen=True, slots=True)
class FoldTicket:
    """One contender in one fold.

    Attributes:
        method: Of :data:`CONTENDERS`.
        fold: Who is fitted on, held out and tested.
        seed: Of initial weights, plan and prompts.
    """

    method: str
    fold: Fold
    seed: int

    def __str__(self) -> str:
        return f"{self.method} in fold {self.fold.number + 1}"


def check_contenders(methods: tuple[str, ...]) -> None:
    """Every method is one there is, once.

    Raises:
        ValueError: If one is not; the message lists those there are.
    """
    strangers = [name for name in methods if name not in CONTENDERS]
    if strangers or len(set(methods)) < len(methods):
        raise ValueError(
            f"Cannot cross-validate {', '.join(strangers) or 'a method twice'}; there are {', '.join(CONTENDERS)}."
        )


def answers_of(
    ticket: FoldTicket, *, data: StudyData, settings: Mapping[str, Setting], store: ContentStore
) -> pd.DataFrame:
    """What a contender, fitted on the fold's fitted subjects alone, says of its validation and test subjects.

    Kept under its content: the same fold, data, setting and code is not fitted twice.

    Args:
        ticket: Who, where.
        data: Views and what is known of them; of these, the fold's sequences.
        settings: Of every method; the simple classifiers have AffectVLM's.
        store: Where trials are kept.

    Returns:
        One prediction table; column ``model`` is the method, or the method and the way it was read
        (``smile_vlm.zero_shot``).
    """
    split, own = ticket.fold.fitted, data.only(ticket.fold.sequences)
    setting = settings.get(ticket.method, settings["affect_vlm"])
    if ticket.method in TRAINED:
        arm = TRAINED[ticket.method]
        table = run_trial(arm, ticket.seed, split, own, setting, store).predictions
        several = arm.reading == "prompts_and_probe"
        return table.assign(model=arm.name + "." + table["model"] if several else arm.name)
    return _kept(ticket.method, split, own, setting, store, partial(_fit, ticket.method, split, own, setting))


def _fit(method: str, split: SubjectSplit, data: StudyData, setting: Setting) -> pd.DataFrame:
    evaluator = Evaluator.prepare(data.views, split.to_dict(), setting.inputs, data.store)
    return BASELINES[method](evaluator, data.scans, setting).assign(model=method)


def _kept(
    method: str,
    split: SubjectSplit,
    data: StudyData,
    setting: Setting,
    store: ContentStore,
    fit: Callable[[], pd.DataFrame],
) -> pd.DataFrame:
    key = content_key(
        method=method,
        split=split.digest,
        inputs=setting.inputs,
        rules=setting.pseudo_labels,
        views=table_digest(data.views[["sequence", "subject", "expression", "checksum"]]),
        scans=table_digest(data.scans[["sequence", "frame", "landmarks"]]),
        code=code_version(__name__),
    )
    entry = f"trials/{key}"
    if not store.has(entry):
        table = fit()
        with store.write(entry) as folder:
            folder.mkdir()
            table.to_parquet(folder / "predictions.parquet")
            (folder / "arm.json").write_text(json.dumps({"arm": method}))
    return pd.read_parquet(store.path(entry) / "predictions.parquet")
