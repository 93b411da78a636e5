"""Models and baselines → scores and predictions per sequence, on subjects never seen in training."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from affect4d.evaluation.once import examine_once
from affect4d.models.options import ModelOptions
from affect4d.prompts.compose import PromptOptions, ensembles
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.store import ContentStore, table_digest
from affect4d.training.options import TrainOptions
from affect4d.views.inputs import InputOptions

if TYPE_CHECKING:
    from affect4d.evaluation.examination import Examination

Evaluated = tuple[dict[str, Any], pd.DataFrame]


def evaluate_affect_vlm(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """AffectVLM, read by its prompts."""

    def hold() -> Evaluated:
        from affect4d.evaluation.examination import Examination

        examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
        model = opened(record, model_store, train)
        predictions = examination.by_prompts(model, "affect_vlm", ensembles(prompts))
        return {**examination.scores(predictions)}, predictions

    given = examined(view_manifest, subject_split, inputs, model=record["key"], prompts=ensembles(prompts))
    return examine_once("affect_vlm", answer_store, hold, **given)


def measure_prompts(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> pd.DataFrame:
    """What each prompt of AffectVLM's ensembles does to its predictions."""

    def hold() -> Evaluated:
        from affect4d.evaluation.examination import Examination

        examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
        return {}, examination.prompt_influence(opened(record, model_store, train), ensembles(prompts))

    given = examined(view_manifest, subject_split, inputs, model=record["key"], prompts=ensembles(prompts))
    return examine_once("affect_vlm_prompts", answer_store, hold, **given)[1]


def evaluate_smile_vlm(
    view_manifest: pd.DataFrame,
    sequences: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    size: ModelOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """SMILE-VLM, by linear probe, nearest neighbours, prompts and free text; labels enter here, after training.

    A corpus of micro-expressions is judged by its own protocol; see :mod:`affect4d.evaluation.micro`.
    """
    from affect4d.evaluation.micro.clips import has_clips

    if has_clips(sequences):
        return _evaluate_on_clips(
            view_manifest, sequences, subject_split, record, inputs, size, train, view_store, model_store, answer_store
        )

    def hold() -> Evaluated:
        from affect4d.evaluation.examination import Examination
        from affect4d.evaluation.free_text import FREE_TEXT

        examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
        model = opened(record, model_store, train)
        ways = examination.by_probes(model, "smile_vlm")
        ways["zero_shot"] = examination.by_prompts(model, "smile_vlm.zero_shot", ensembles(prompts))
        ways["free_text"] = examination.by_prompts(model, "smile_vlm.free_text", FREE_TEXT)
        return {way: examination.scores(table) for way, table in ways.items()}, _joined(ways)

    given = examined(view_manifest, subject_split, inputs, model=record["key"], prompts=ensembles(prompts))
    return examine_once("smile_vlm", answer_store, hold, **given)


def _evaluate_on_clips(
    view_manifest: pd.DataFrame,
    sequences: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    size: ModelOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """SMILE-VLM's tower on micro-expressions, beside an untrained one, plain differences and optical flow."""
    from affect4d.evaluation.micro.clips import labelled_clips

    clips = labelled_clips(sequences)
    views = view_manifest[view_manifest["sequence"].isin(clips["sequence"])].reset_index(drop=True)

    def hold() -> Evaluated:
        from affect4d.evaluation.micro.examine import examine_clips
        from affect4d.scans.splits import SubjectSplit
        from affect4d.views.bank import load_view_bank

        bank = load_view_bank(views.assign(stances=0), view_store, inputs)
        towers = opened(record, model_store, train), _beginning(len(bank.views), inputs, size, train)
        split = SubjectSplit.from_dict(subject_split)
        scores, predictions = examine_clips(*towers, bank, inputs, clips, split, train.seed)
        return {**scores}, predictions

    shown = table_digest(views[["sequence", "subject", "checksum"]]), table_digest(clips)
    given = {"views": shown, "split": subject_split["digest"], "inputs": inputs}
    return examine_once("micro", answer_store, hold, **given, model=record["key"], size=size, seed=train.seed)


def compare_on_clips(predictions: pd.DataFrame, raw_corpus: dict[str, Any], seed: int) -> list[Mapping[str, Any]]:
    """SMILE-VLM beside every baseline on micro-expressions (claim 9); nothing, where the corpus has none."""
    from affect4d.evaluation.micro.examine import PROTOCOLS
    from affect4d.experiments.carry_over import carried_over

    if not predictions["model"].str.endswith(tuple(PROTOCOLS)).any():
        return []
    return carried_over(predictions, f"train_smile on {raw_corpus['name']}, seed {seed}")


def evaluate_references(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    record: dict[str, Any],
    inputs: InputOptions,
    model: ModelOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """The supervised model of the same size, and the self-supervised one's tower before any training."""

    def hold() -> Evaluated:
        from affect4d.evaluation.examination import Examination

        examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
        probes = examination.by_probes(untrained(examination, model, train), "random_tower")
        tables = {
            "cross_entropy": examination.by_head(opened(record, model_store, train), "cross_entropy"),
            "random_tower": probes["linear_probe"],
            "random_tower_knn": probes["knn"],
        }
        return {name: examination.scores(table) for name, table in tables.items()}, _joined(tables)

    given = examined(view_manifest, subject_split, inputs, model=record["key"], size=model, seed=train.seed)
    return examine_once("references", answer_store, hold, **given)


def measure_levels(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    affect: dict[str, Any],
    smile: dict[str, Any],
    cross_entropy: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> dict[str, Any]:
    """Every trained model asked about single scans, the window round the apex, and whole sequences."""

    def hold() -> Evaluated:
        from affect4d.evaluation.examination import Examination
        from affect4d.evaluation.levels import LEVELS, at_level

        window = Examination.prepare(view_manifest, subject_split, inputs, view_store)
        asked_of = {name: opened(record, model_store, train) for name, record in records.items()}
        tables = {}
        for level in LEVELS:
            asked = at_level(window, level)
            for name in ("affect_vlm", "smile_vlm.zero_shot"):
                tables[level, name] = asked.by_prompts(asked_of[name], name, ensembles(prompts))
            tables[level, "cross_entropy"] = asked.by_head(asked_of["cross_entropy"], "cross_entropy")
        scores: dict[str, Any] = {name: {} for name in asked_of}
        for (level, name), table in tables.items():
            scores[name][level] = window.scores(table)
        return scores, _joined({f"{name}.{level}": table for (level, name), table in tables.items()})

    records = {"affect_vlm": affect, "smile_vlm.zero_shot": smile, "cross_entropy": cross_entropy}
    models = [record["key"] for record in records.values()]
    given = examined(view_manifest, subject_split, inputs, models=models, prompts=ensembles(prompts))
    return examine_once("levels", answer_store, hold, **given)[0]


def examine_representations(
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    smile: dict[str, Any],
    affect: dict[str, Any],
    inputs: InputOptions,
    prompts: PromptOptions,
    model: ModelOptions,
    train: TrainOptions,
    view_store: ContentStore,
    model_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """Few labels, retrieval and a map: SMILE-VLM beside its own untrained tower, and AffectVLM, which saw labels."""

    def hold() -> Evaluated:
        from affect4d.evaluation.examination import Examination
        from affect4d.evaluation.representation import examine_representation

        examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
        asked: dict[str, tuple[Any, Any]] = {
            "smile_vlm": (opened(smile, model_store, train), ensembles(prompts)),
            "random_tower": (untrained(examination, model, train), None),
            "affect_vlm": (opened(affect, model_store, train), ensembles(prompts)),
        }
        found = {name: examine_representation(examination, one, name, texts) for name, (one, texts) in asked.items()}
        maps = {name: each.map for name, each in found.items()}
        return {name: each.scores for name, each in found.items()}, _joined(maps)

    models = [smile["key"], affect["key"]]
    given = examined(view_manifest, subject_split, inputs, models=models, size=model, seed=train.seed)
    return examine_once("representations", answer_store, hold, **given, prompts=ensembles(prompts))


def opened(record: dict[str, Any], store: ContentStore, train: TrainOptions) -> Any:
    """A recorded model, on the device that this run trains on."""
    from affect4d.models import load_model
    from affect4d.training.device import choose_device

    return load_model(store.path(record["entry"]), choose_device(train.device))


def untrained(examination: "Examination", model: ModelOptions, train: TrainOptions) -> Any:
    """SMILE-VLM with the weights its training began from."""
    return _beginning(len(examination.bank.views), examination.inputs, model, train)


def _beginning(rendered: int, inputs: InputOptions, model: ModelOptions, train: TrainOptions) -> Any:
    from affect4d.models import build_model
    from affect4d.training.device import choose_device

    views, channels = inputs.input_shape(rendered)
    size = model.model_copy(update={"views": views, "channels": channels})
    return build_model("smile_vlm", size, train.seed).to(choose_device(train.device))


def evaluate_baselines(
    view_manifest: pd.DataFrame,
    scan_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    raw_corpus: dict[str, Any],
    inputs: InputOptions,
    pseudo_labels: PseudoLabelOptions,
    view_store: ContentStore,
    answer_store: ContentStore,
) -> Evaluated:
    """What a model has to beat: chance, pixels, motion, landmarks; where the truth is known, the true actions."""
    actions = true_actions(raw_corpus)

    def hold() -> Evaluated:
        from affect4d.evaluation.baselines import baseline_predictions
        from affect4d.evaluation.examination import Examination
        from affect4d.evaluation.metrics import chance_scores

        examination = Examination.prepare(view_manifest, subject_split, inputs, view_store)
        bank, sequences, split = examination.bank, examination.sequences, examination.split
        predictions = baseline_predictions(bank, inputs, sequences, split, scan_manifest, actions, pseudo_labels)
        unseen = sequences[sequences["subject"].isin(split.test)]
        scores = {str(name): examination.scores(table) for name, table in predictions.groupby("model", sort=False)}
        return {"chance": chance_scores(unseen), **scores}, predictions

    scans = table_digest(scan_manifest[["sequence", "subject", "frame", "landmarks"]])
    truth = None if actions is None else table_digest(actions)
    given = examined(view_manifest, subject_split, inputs, scans=scans, actions=truth, rules=pseudo_labels)
    return examine_once("baselines", answer_store, hold, **given)


def examined(
    view_manifest: pd.DataFrame, subject_split: dict[str, Any], inputs: InputOptions, **others: Any
) -> dict[str, Any]:
    """What answers depend on: pictures, labels, who is unseen, what is seen of a view, and what else is named."""
    views = table_digest(view_manifest[["sequence", "subject", "expression", "checksum"]])
    return {"views": views, "split": subject_split["digest"], "inputs": inputs, **others}


def true_actions(raw_corpus: dict[str, Any]) -> pd.DataFrame | None:
    """The action weights a synthetic corpus was made with; None for any other."""
    truth = Path(raw_corpus["root"]) / "actions.parquet"
    return pd.read_parquet(truth) if truth.exists() else None


def _joined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables.values(), ignore_index=True)


def measure_pseudo_labels(
    pseudo_prompts: pd.DataFrame, view_manifest: pd.DataFrame, subject_split: dict[str, Any]
) -> dict[str, Any]:
    """How often the pseudo-labels, made without labels, name the expression that is there; on either side."""
    from affect4d.evaluation.purity import pseudo_label_purity

    sides = {side: view_manifest[view_manifest["subject"].isin(subject_split[side])] for side in ("train", "test")}
    return {side: {**pseudo_label_purity(pseudo_prompts, rows)} for side, rows in sides.items()}
