"""Generation of a synthetic corpus: its tables, its raw files in any corpus's layout, and the hash of its scans."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd

from affect4d.parallel import IN_PROCESS, EngineOptions, map_chunks
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore, code_version, content_key
from affect4d.synthetic import generate_scans as corpus
from affect4d.synthetic.corpus_layouts import LabelRow, LayoutTake, WrittenScan, layout_named, write_bu4dfe_frame
from affect4d.synthetic.generate_scans import Take
from affect4d.synthetic.recipe import CorpusRecipe
from affect4d.synthetic.scan_content_hash import CorpusHash, ScanSums, join_sums, sum_scan

HashSample = Literal["all", "apex"]  # scans that the hash covers: all, or the apex of every sequence
LABEL_COLUMNS = ("sequence", "label", "task", "onset", "apex", "offset")
"""Columns of a corpus folder's ``sequences.csv``: labels that file names do not hold."""
NEUTRAL_SCAN = {"expression": None, "label": "neutral", "labels": "", "intensity": 0.0}
"""Attributes of a neutral scan that a layout writes beside a take."""


@dataclass(frozen=True, slots=True)
class TakeTask:
    """One take to generate, for another process."""

    recipe: CorpusRecipe
    take: Take
    root: Path | None  # folder of the raw files; None for none
    layout: str = "bu4dfe"
    sample: HashSample = "all"


@dataclass(frozen=True, slots=True)
class GeneratedTake:
    """Tables and sums of a take, without its scans."""

    action_units: pd.DataFrame
    attributes: dict[str, Any]
    sums: ScanSums


@dataclass(frozen=True, slots=True)
class ExportedTake:
    """The scans that were written of a take, and its row of the label sheet if the layout has one."""

    take: Take
    scans: tuple[WrittenScan, ...]
    label: LabelRow | None


Made = TypeVar("Made")


def generate_corpus(
    recipe: CorpusRecipe,
    store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
    *,
    raw_files: bool = True,
    sample: HashSample = "all",
) -> dict[str, Any]:
    """Generate a synthetic corpus in BU-4DFE's layout, or find it in the store; it does not depend on the engine.

    Without ``raw_files`` only the tables are written, and
    :func:`affect4d.synthetic.generated_scan_source.open_source` generates each scan on demand.

    Returns:
        ``root`` (folder of the tables ``subjects.csv``, ``actions.parquet``, ``attributes.parquet``, and of the raw
        files), ``layout``, ``streamed``, ``recipe``, ``key``, ``subjects``, ``sequences``, ``scans``, ``synthetic``,
        ``fingerprint`` (a :class:`~affect4d.synthetic.scan_content_hash.CorpusHash`), ``split`` and ``folds``.

    Raises:
        FileNotFoundError: If the face model's files are missing; the message says how to get them.
        ValueError: If raw files of scans without texture are asked for.
        RuntimeError: If a sequence could not be generated.
    """
    if raw_files:
        _check_textures(recipe)
    key = content_key(corpus=corpus.corpus_key(recipe), raw_files=raw_files, sample=sample, code=code_version(__name__))
    write = partial(_write_corpus, recipe, engine=engine, raw_files=raw_files, sample=sample)
    return _stored(store, key, write, recipe, layout="bu4dfe", streamed=not raw_files)


def export_layout(
    recipe: CorpusRecipe, layout: str, store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> dict[str, Any]:
    """Write a synthetic corpus in another corpus's layout and formats, or find it in the store.

    A corpus of posed expressions leaves out micro-expressions and neutral takes; a static one keeps a few frames of
    each take. A ValueError names an unknown layout, one that has a place for none of the takes, or lacking textures.

    Returns:
        As :func:`generate_corpus`, under the layout's own names, with ``pattern`` and ``left_out`` (takes), without
        ``fingerprint``.
    """
    _check_textures(recipe)
    pattern = layout_named(layout).pattern
    key = content_key(corpus=corpus.corpus_key(recipe), layout=layout, code=code_version(__name__))
    write = partial(_write_layout, recipe, layout, engine=engine)
    return _stored(store, key, write, recipe, layout=layout, streamed=False, pattern=pattern)


def _check_textures(recipe: CorpusRecipe) -> None:
    if recipe.variety.texture:
        raise ValueError(
            f"Raw files need textures, and variety.texture = {recipe.variety.texture:g} leaves some scans without: "
            "stream this corpus (raw_files=false), or set its changes to {variety: {texture: 0}}."
        )


def generate_take(task: TakeTask) -> GeneratedTake:
    """Generate one take: write its raw files if wanted, and sum up the sampled scans."""
    recipe, take = task.recipe, task.take
    performance, sequence = corpus.performance_of(recipe, take), corpus.sequence_name(recipe, take)
    sampled = range(performance.frames) if task.sample == "all" else (performance.apex,)
    sums = []
    for frame in sampled if task.root is None else range(performance.frames):
        scan = corpus.scan_frame(recipe, take, frame)
        if task.root is not None:
            write_bu4dfe_frame(task.root, sequence, frame, scan)
        if frame in sampled:
            sums.append(sum_scan(f"{sequence}/{frame}", scan))
    labels = {"sequence": sequence, **corpus.sequence_labels(recipe, take)}
    units = _with_labels(corpus.true_action_units(recipe, take), labels)
    return GeneratedTake(units, {**labels, **corpus.take_attributes(recipe, take)}, join_sums(labels, sums))


def export_take(task: TakeTask) -> ExportedTake:
    """Write the files of one take in a layout."""
    recipe, take, layout = task.recipe, task.take, layout_named(task.layout)
    track, conditions = corpus.perform(recipe, take)
    given = LayoutTake(
        subject=take.subject,
        gender=corpus.draw_subject(recipe, take.subject).appearance.gender,
        performance=corpus.performance_of(recipe, take),
        track=track,
        turns=conditions.turns,
        scan=partial(corpus.scan_frame, recipe, take),
    )
    assert task.root is not None
    return ExportedTake(take, layout.write(task.root, given), layout.label(given) if layout.label else None)


def _stored(
    store: ContentStore, key: str, write: Callable[[Path], None], recipe: CorpusRecipe, **facts: Any
) -> dict[str, Any]:
    if not store.has(key):
        with store.write(key, durable=False) as root:
            root.mkdir(parents=True)
            write(root)
    counts = json.loads((store.path(key) / "counts.json").read_text())
    described = recipe.model_dump(mode="json")
    return {"root": str(store.path(key)), **facts, "recipe": described, "key": key, "synthetic": True, **counts}


def _write_corpus(recipe: CorpusRecipe, root: Path, engine: EngineOptions, raw_files: bool, sample: HashSample) -> None:
    corpus.face_model(recipe)
    tasks = [TakeTask(recipe, take, root if raw_files else None, sample=sample) for take in corpus.takes(recipe)]
    made = _map_takes(generate_take, tasks, "generating faces", "generated", engine)
    units = pd.concat([one.action_units for one in made]).sort_values(["sequence", "frame"], ignore_index=True)
    units.to_parquet(root / "actions.parquet")
    attributes = pd.DataFrame([one.attributes for one in made]).sort_values("sequence", ignore_index=True)
    attributes.to_parquet(root / "attributes.parquet")
    attributes[list(LABEL_COLUMNS)].to_csv(root / "sequences.csv", index=False)
    names = {corpus.subject_name(index): corpus.subject_name(index) for index in range(recipe.subjects)}
    counts = {
        "sequences": len(made),
        "scans": len(units),
        "fingerprint": CorpusHash.of([one.sums for one in made], corpus.subject_table(recipe)).model_dump(),
    }
    _write_description(recipe, root, names, counts)


def _write_layout(recipe: CorpusRecipe, name: str, root: Path, engine: EngineOptions) -> None:
    layout = layout_named(name)
    every = list(corpus.takes(recipe))
    held = [take for take in every if layout.holds(corpus.performance_of(recipe, take))]
    if not held:
        raise ValueError(f"The layout {name} has no place for what this recipe performs: {layout.description}.")
    tasks = [TakeTask(recipe, take, root, name) for take in held]
    made = _map_takes(export_take, tasks, f"writing faces as {name}", f"written as {name}", engine)
    made.sort(key=lambda one: (one.take.subject, one.take.index))
    if layout.write_sheet is not None:
        layout.write_sheet(root, [one.label for one in made if one.label is not None])
    subjects = [corpus.draw_subject(recipe, index) for index in range(recipe.subjects)]
    names = {one.name: layout.subject_name(index, one.appearance.gender) for index, one in enumerate(subjects)}
    units = pd.concat([_exported_units(recipe, one, names) for one in made]).sort_values(["sequence", "frame"])
    units.to_parquet(root / "actions.parquet", index=False)
    attributes = pd.DataFrame([row for one in made for row in _exported_attributes(recipe, one, names)])
    attributes.sort_values("sequence").to_parquet(root / "attributes.parquet", index=False)
    counts = {"sequences": units["sequence"].nunique(), "scans": len(units), "left_out": len(every) - len(held)}
    _write_description(recipe, root, names, counts)


def _map_takes(
    function: Callable[[TakeTask], Made], tasks: Sequence[TakeTask], title: str, done: str, engine: EngineOptions
) -> list[Made]:
    """Results of the takes, as they come; a RuntimeError names the sequence that fails."""
    made = []
    for task, result in map_chunks(
        function, tasks, title, engine, scans=lambda task: corpus.performance_of(task.recipe, task.take).frames
    ):
        if isinstance(result, Exception):
            name = corpus.sequence_name(task.recipe, task.take)
            raise RuntimeError(f"The sequence {name} could not be {done}: {result}") from result
        made.append(result)
    return made


def _write_description(recipe: CorpusRecipe, root: Path, names: Mapping[str, str], counts: dict[str, Any]) -> None:
    subjects = corpus.subject_table(recipe)
    subjects.assign(subject=subjects["subject"].map(names)).to_csv(root / "subjects.csv", index=False)
    (root / "recipe.json").write_text(json.dumps(recipe.describe(), indent=2) + "\n")
    counts = {"subjects": recipe.subjects, **counts, **_split_and_folds(recipe, names)}
    (root / "counts.json").write_text(json.dumps(counts, indent=1) + "\n")


def _split_and_folds(recipe: CorpusRecipe, names: Mapping[str, str]) -> dict[str, Any]:
    if recipe.subjects < 2:
        return {}
    split = corpus.official_split(recipe)
    train, test = (tuple(names[subject] for subject in side) for side in (split.train, split.test))
    folds = [[names[subject] for subject in fold.test] for fold in corpus.official_folds(recipe)]
    return {"split": SubjectSplit(train, test, split.seed).to_dict(), "folds": folds}


def _with_labels(units: pd.DataFrame, labels: Mapping[str, Any]) -> pd.DataFrame:
    units = units[["frame", *units.columns.drop("frame")]]
    for index, name in enumerate(("sequence", "subject", "expression")):
        units.insert(index, name, pd.Series(labels[name], index=units.index, dtype="str"))
    return units


def _exported_units(recipe: CorpusRecipe, made: ExportedTake, names: Mapping[str, str]) -> pd.DataFrame:
    labels = corpus.sequence_labels(recipe, made.take)
    scans = pd.DataFrame([asdict(scan) for scan in made.scans])
    scans["subject"] = names[labels["subject"]]
    scans["expression"] = pd.Series(labels["expression"], index=scans.index, dtype="str").mask(scans.pop("neutral"))
    weights = corpus.true_action_units(recipe, made.take).rename(columns={"frame": "source"})
    joined = scans.merge(weights, on="source", validate="many_to_one").drop(columns="source")
    first = ["sequence", "subject", "expression", "frame"]
    return joined[[*first, *joined.columns.drop(first)]]


def _exported_attributes(recipe: CorpusRecipe, made: ExportedTake, names: Mapping[str, str]) -> list[dict[str, Any]]:
    labels = corpus.sequence_labels(recipe, made.take)
    named = {**labels, **corpus.take_attributes(recipe, made.take), "subject": names[labels["subject"]]}
    sequences = sorted({(scan.sequence, scan.neutral) for scan in made.scans})
    return [{**named, "sequence": sequence, **(NEUTRAL_SCAN if neutral else {})} for sequence, neutral in sequences]
