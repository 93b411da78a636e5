"""A synthetic corpus in another corpus's own layout: the same faces in its folders and formats, with its quirks."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.engine import IN_PROCESS, EngineOptions, map_chunks
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore, content_key
from affect4d.synthetic.attributes import describe
from affect4d.synthetic.corpus import (
    Take,
    corpus_key,
    draw_subject,
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
from affect4d.synthetic.layouts import Layout, Shown, Written, layout_named
from affect4d.synthetic.layouts.layout import LabelRow
from affect4d.synthetic.recipe import CorpusRecipe

AT_REST = {"expression": None, "label": "neutral", "labels": "", "intensity": 0.0}
"""What is known of the face at rest that a layout writes beside a take, whatever the take is called after."""


@dataclass(frozen=True, slots=True)
class TakeTask:
    """One take to write; small enough to travel between processes.

    Attributes:
        recipe: Of the corpus.
        take: Which one.
        layout: Name of the layout.
        root: Where its files go.
    """

    recipe: CorpusRecipe
    take: Take
    layout: str
    root: Path


@dataclass(frozen=True, slots=True)
class WrittenTake:
    """What is kept of a take.

    Attributes:
        take: Which one.
        scans: What was written of it.
        label: Its row of the label sheet; None where the layout has none.
    """

    take: Take
    scans: tuple[Written, ...]
    label: LabelRow | None


def convert_corpus(
    recipe: CorpusRecipe, layout: str, store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> dict[str, Any]:
    """Write a synthetic corpus in a layout, or find it already written.

    A layout has no place for some takes: a corpus of posed expressions leaves out micro-expressions and faces at rest,
    a static one keeps a few frames of each take.

    Args:
        recipe: What to make.
        layout: Name of one of :data:`~affect4d.synthetic.layouts.LAYOUTS`; the corpus of that name reads it.
        store: Where corpora are kept, by content.
        engine: Where the work is done; the corpus does not depend on it.

    Returns:
        ``root`` (folder of the corpus, with ``subjects.csv``, ``actions.parquet`` and ``attributes.parquet`` under the
        layout's own names), ``layout``, ``pattern``, ``streamed`` (False), ``recipe``, ``key``, ``subjects``,
        ``sequences``, ``scans``, ``left_out`` (takes), ``synthetic``, ``split`` and ``folds``.

    Raises:
        ValueError: If the layout is unknown, or has a place for none of the takes.
        FileNotFoundError: If the face model's files are missing; the message says how to get them.
        RuntimeError: If a take could not be written.
    """
    chosen = layout_named(layout)
    key = content_key(corpus=corpus_key(recipe), layout=layout)
    if not store.has(key):
        with store.write(key, durable=False) as root:
            root.mkdir(parents=True)
            _write(recipe, chosen, root, engine)
    counts = json.loads((store.path(key) / "counts.json").read_text())
    return {
        "root": str(store.path(key)),
        "layout": layout,
        "pattern": chosen.pattern,
        "streamed": False,
        "recipe": recipe.model_dump(mode="json"),
        "key": key,
        "synthetic": True,
        **counts,
    }


def write_take(task: TakeTask) -> WrittenTake:
    """Write the files of one take."""
    layout, shown = layout_named(task.layout), _shown(task.recipe, task.take)
    return WrittenTake(task.take, layout.write(task.root, shown), layout.label(shown) if layout.label else None)


def _shown(recipe: CorpusRecipe, take: Take) -> Shown:
    """A take as a layout gets it; its scans are made when they are asked for."""
    track, recording = perform(recipe, take)
    return Shown(
        person=take.subject,
        gender=draw_subject(recipe, take.subject).appearance.gender,
        performance=performance_of(recipe, take),
        track=track,
        turns=recording.turns,
        scan=lambda frame: scan_frame(recipe, take, frame),
    )


def _write(recipe: CorpusRecipe, layout: Layout, root: Path, engine: EngineOptions) -> None:
    """Write a whole corpus into a folder."""
    every = list(takes(recipe))
    held = [take for take in every if layout.holds(performance_of(recipe, take))]
    if not held:
        raise ValueError(f"The layout {layout.name} has no place for what this recipe performs: {layout.description}.")
    made: list[WrittenTake] = []
    tasks = [TakeTask(recipe, take, layout.name, root) for take in held]
    for task, result in map_chunks(write_take, tasks, f"writing faces as {layout.name}", engine):
        if isinstance(result, Exception):
            name = sequence_name(recipe, task.take)
            raise RuntimeError(f"{name} could not be written as {layout.name}: {result}") from result
        made.append(result)
    made.sort(key=lambda one: (one.take.subject, one.take.place))
    if layout.write_sheet is not None:
        layout.write_sheet(root, [one.label for one in made if one.label is not None])
    names = _names(recipe, layout)
    scans = _write_tables(recipe, root, made, names)
    counts = {
        "subjects": recipe.subjects,
        "sequences": scans["sequence"].nunique(),
        "scans": len(scans),
        "left_out": len(every) - len(held),
        **_people(recipe, names),
    }
    (root / "counts.json").write_text(json.dumps(counts, indent=1) + "\n")


def _write_tables(recipe: CorpusRecipe, root: Path, made: list[WrittenTake], names: Mapping[str, str]) -> pd.DataFrame:
    """Who is in the corpus, what they truly do in every scan, and everything that was drawn of every sequence."""
    actions = pd.concat([_true_actions(recipe, one, names) for one in made]).sort_values(["sequence", "frame"])
    actions.to_parquet(root / "actions.parquet", index=False)
    attributes = [row for one in made for row in _attributes(recipe, one, names)]
    pd.DataFrame(attributes).sort_values("sequence").to_parquet(root / "attributes.parquet", index=False)
    people = subject_table(recipe)
    people.assign(subject=people["subject"].map(names)).to_csv(root / "subjects.csv", index=False)
    (root / "recipe.json").write_text(json.dumps(recipe.describe(), indent=2) + "\n")
    return actions


def _true_actions(recipe: CorpusRecipe, made: WrittenTake, names: Mapping[str, str]) -> pd.DataFrame:
    """One row a written scan, under the layout's names."""
    facts = sequence_facts(recipe, made.take)
    scans = pd.DataFrame([asdict(scan) for scan in made.scans])
    scans["subject"] = names[facts["subject"]]
    scans["expression"] = pd.Series(facts["expression"], index=scans.index, dtype="str").mask(scans.pop("neutral"))
    weights = true_actions(recipe, made.take).rename(columns={"frame": "source"})
    joined = scans.merge(weights, on="source", validate="many_to_one").drop(columns="source")
    first = ["sequence", "subject", "expression", "frame"]
    return joined[[*first, *joined.columns.drop(first)]]


def _attributes(recipe: CorpusRecipe, made: WrittenTake, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row a written sequence: what is known of its take."""
    facts, (track, recording) = sequence_facts(recipe, made.take), perform(recipe, made.take)
    known = describe(draw_subject(recipe, made.take.subject), performance_of(recipe, made.take), track, recording)
    named = {**facts, **known, "subject": names[facts["subject"]]}
    sequences = sorted({(scan.sequence, scan.neutral) for scan in made.scans})
    return [{**named, "sequence": sequence, **(AT_REST if neutral else {})} for sequence, neutral in sequences]


def _names(recipe: CorpusRecipe, layout: Layout) -> dict[str, str]:
    """The recipe's name of every subject → the layout's."""
    subjects = [draw_subject(recipe, index) for index in range(recipe.subjects)]
    return {one.name: layout.subject_name(index, one.appearance.gender) for index, one in enumerate(subjects)}


def _people(recipe: CorpusRecipe, names: Mapping[str, str]) -> dict[str, Any]:
    """The recipe's own split and folds under the layout's names; none where one person is all there is."""
    if recipe.subjects < 2:
        return {}
    split, folds = official_split(recipe), official_folds(recipe)
    renamed = SubjectSplit(_renamed(split.train, names), _renamed(split.test, names), split.seed)
    return {"split": renamed.to_dict(), "folds": [list(_renamed(fold.test, names)) for fold in folds]}


def _renamed(subjects: tuple[str, ...], names: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(names[subject] for subject in subjects)
