"""Making a synthetic corpus: its tables always, its raw files where they are wanted, and the hash of its scans."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from affect4d.engine import IN_PROCESS, EngineOptions, map_chunks
from affect4d.store import ContentStore, content_key
from affect4d.synthetic.attributes import describe
from affect4d.synthetic.corpus import (
    Take,
    corpus_key,
    draw_subject,
    face_model,
    official_folds,
    official_split,
    perform,
    performance_of,
    scan_frame,
    sequence_facts,
    sequence_name,
    subject_table,
    takes,
    true_actions,
)
from affect4d.synthetic.fingerprint import Fingerprint, ScanSums, join_sums, sum_scan
from affect4d.synthetic.layouts.bu4dfe import write_frame
from affect4d.synthetic.recipe import CorpusRecipe

LABELLED = ("sequence", "label", "task", "onset", "apex", "offset")
"""What a corpus folder's ``sequences.csv`` says, where file names do not."""
Sample = Literal["all", "apex"]
"""Which scans the hash covers: all, or the apex of every sequence."""


@dataclass(frozen=True, slots=True)
class SequenceTask:
    """One take to make; small enough to travel between processes.

    Attributes:
        recipe: Of the corpus.
        take: Which one.
        root: Where raw files go; None for none.
        sample: Which scans the hash covers.
    """

    recipe: CorpusRecipe
    take: Take
    root: Path | None
    sample: Sample


@dataclass(frozen=True, slots=True)
class MadeSequence:
    """What is kept of a take: tables and sums, no scans.

    Attributes:
        actions: True action weights, one row a frame.
        attributes: Every generated attribute, flat.
        sums: Of the scans that the hash covers.
    """

    actions: pd.DataFrame
    attributes: dict[str, Any]
    sums: ScanSums


def fabricate_corpus(
    recipe: CorpusRecipe,
    store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
    *,
    raw_files: bool = True,
    sample: Sample = "all",
) -> dict[str, Any]:
    """Make a synthetic corpus, or find it already made.

    Args:
        recipe: What to make.
        store: Where corpora are kept, by content.
        engine: Where the work is done; the corpus does not depend on it.
        raw_files: Write every scan in BU-4DFE's own layout; without, only the tables are written, and
            :func:`affect4d.synthetic.stream.open_source` makes each scan when it is asked for.
        sample: Which scans the hash covers.

    Returns:
        ``root`` (folder of the tables ``subjects.csv``, ``actions.parquet``, ``attributes.parquet``, and of the raw
        files), ``layout``, ``streamed``, ``recipe``, ``key``, ``subjects``, ``sequences``, ``scans``, ``synthetic``,
        ``fingerprint`` (see :class:`~affect4d.synthetic.fingerprint.Fingerprint`), ``split`` and ``folds``.

    Raises:
        FileNotFoundError: If the face model's files are missing; the message says how to get them.
        RuntimeError: If a sequence could not be made.
    """
    key = content_key(corpus=corpus_key(recipe), raw_files=raw_files, sample=sample)
    if not store.has(key):
        with store.write(key, durable=False) as root:
            root.mkdir(parents=True)
            _fabricate(recipe, root, engine, raw_files, sample)
    counts = json.loads((store.path(key) / "counts.json").read_text())
    return {
        "root": str(store.path(key)),
        "layout": "bu4dfe",
        "streamed": not raw_files,
        "recipe": recipe.model_dump(mode="json"),
        "key": key,
        "synthetic": True,
        **counts,
    }


def fabricate_sequence(task: SequenceTask) -> MadeSequence:
    """Make one take: write its raw files where they are wanted, and sum up the sampled scans."""
    recipe, take = task.recipe, task.take
    performance, sequence = performance_of(recipe, take), sequence_name(recipe, take)
    sampled = range(performance.frames) if task.sample == "all" else (performance.apex,)
    sums = []
    for frame in sampled if task.root is None else range(performance.frames):
        scan = scan_frame(recipe, take, frame)
        if task.root is not None:
            write_frame(task.root, sequence, frame, scan)
        if frame in sampled:
            sums.append(sum_scan(f"{sequence}/{frame}", scan))
    named = {"sequence": sequence, **sequence_facts(recipe, take)}
    track, recording = perform(recipe, take)
    facts = describe(draw_subject(recipe, take.subject), performance, track, recording)
    return MadeSequence(_with_names(true_actions(recipe, take), named), {**named, **facts}, join_sums(named, sums))


def _with_names(actions: pd.DataFrame, named: dict[str, Any]) -> pd.DataFrame:
    """The actions, with sequence, subject and expression before them."""
    actions = actions[["frame", *actions.columns.drop("frame")]]
    for place, name in enumerate(("sequence", "subject", "expression")):
        actions.insert(place, name, pd.Series(named[name], index=actions.index, dtype="str"))
    return actions


def _fabricate(recipe: CorpusRecipe, root: Path, engine: EngineOptions, raw_files: bool, sample: Sample) -> None:
    """Write a whole corpus into a folder."""
    face_model(recipe)
    tasks = [SequenceTask(recipe, take, root if raw_files else None, sample) for take in takes(recipe)]
    made: list[MadeSequence] = []
    for task, result in map_chunks(fabricate_sequence, tasks, "fabricating faces", engine, scans=_frames):
        if isinstance(result, Exception):
            name = sequence_name(recipe, task.take)
            raise RuntimeError(f"The sequence {name} could not be fabricated: {result}") from result
        made.append(result)
    actions = pd.concat([one.actions for one in made]).sort_values(["sequence", "frame"], ignore_index=True)
    actions.to_parquet(root / "actions.parquet")
    attributes = pd.DataFrame([one.attributes for one in made]).sort_values("sequence", ignore_index=True)
    attributes.to_parquet(root / "attributes.parquet")
    attributes[list(LABELLED)].to_csv(root / "sequences.csv", index=False)
    subject_table(recipe).to_csv(root / "subjects.csv", index=False)
    (root / "recipe.json").write_text(json.dumps(recipe.describe(), indent=2) + "\n")
    fingerprint = Fingerprint.of([one.sums for one in made], subject_table(recipe))
    counts = {"subjects": recipe.subjects, "sequences": len(made), "scans": len(actions)}
    people = {"fingerprint": fingerprint.model_dump(), **_people(recipe)}
    (root / "counts.json").write_text(json.dumps({**counts, **people}, indent=1) + "\n")


def _frames(task: SequenceTask) -> int:
    return performance_of(task.recipe, task.take).frames


def _people(recipe: CorpusRecipe) -> dict[str, Any]:
    """The recipe's own split and folds; none where one person is all there is."""
    if recipe.subjects < 2:
        return {}
    folds = official_folds(recipe)
    return {"split": official_split(recipe).to_dict(), "folds": [list(fold.test) for fold in folds]}
