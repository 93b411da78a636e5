"""Fabricating a synthetic 4D corpus: people, six performances each, scanned frame by frame."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affect4d.content import ContentStore, code_version, content_key
from affect4d.engine import map_chunks
from affect4d.faces.actions import ACTIONS, ActionTrack, apex_weights, draw_style
from affect4d.faces.dynamics import distract, perform
from affect4d.faces.face_model import GENDERS, Albedo, FaceModel, Subject, draw_appearance
from affect4d.faces.ict_facekit import IctFace, ict_fingerprint
from affect4d.faces.procedural import ProceduralFace
from affect4d.faces.recipe import CorpusRecipe
from affect4d.faces.sensor import Recording, draw_recording, light_texture, scan_surface
from affect4d.faces.writer import FOLDERS, write_scan
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.scan import FaceScan

SUBJECT_STREAM, SEQUENCE_STREAM = 1, 2
"""First words of the seeds, so that people and performances draw from different streams."""


@dataclass(frozen=True)
class SequenceTask:
    """One performance to fabricate; small enough to travel between processes."""

    recipe: CorpusRecipe
    subject: int
    expression: str
    root: Path


def fabricate_corpus(recipe: CorpusRecipe, store: ContentStore, workers: int = 0) -> dict[str, Any]:
    """Write a synthetic corpus in BU-4DFE's layout, or find it already written.

    Args:
        recipe: What to fabricate.
        store: Where corpora are kept, by content.
        workers: Processes; 0 means one a core. The corpus does not depend on it.

    Returns:
        ``root``, ``layout``, ``key``, ``subjects``, ``scans``, ``synthetic``.

    Raises:
        FileNotFoundError: If the face model's files are missing; the message says how to get them.
        RuntimeError: If a sequence could not be fabricated.
    """
    key = corpus_key(recipe)
    if not store.has(key):
        with store.write(key, durable=False) as root:
            _fabricate(recipe, root, workers)
    return {
        "root": str(store.path(key)),
        "layout": "bu4dfe",
        "key": key,
        "subjects": recipe.subjects,
        "scans": recipe.subjects * len(EXPRESSIONS) * recipe.frames,
        "synthetic": True,
    }


def corpus_key(recipe: CorpusRecipe) -> str:
    """Content key of a recipe's corpus: the recipe, the code of this room, and the face model's files."""
    files = ict_fingerprint(recipe.ict_folder) if recipe.face == "ict_facekit" else None
    described = recipe.model_dump(mode="json", exclude={"ict_folder"})
    code = code_version("faces", "scans.expression", "scans.landmarks")
    return content_key(kind="synthetic corpus", recipe=described, code=code, files=files)


@functools.cache
def face_model(recipe: CorpusRecipe) -> FaceModel:
    """The face a recipe asks for, loaded once a process."""
    return ProceduralFace() if recipe.face == "procedural" else IctFace(recipe.ict_folder)


@functools.lru_cache(maxsize=64)
def draw_subject(recipe: CorpusRecipe, index: int) -> Subject:
    """The corpus's person of that index; women and men alternate, numbered apart as in BU-4DFE."""
    rng = np.random.default_rng(np.random.SeedSequence([recipe.seed, SUBJECT_STREAM, index]))
    gender = GENDERS[index % 2]
    return Subject(
        name=f"{gender}{index // 2 + 1:03d}",
        shape=recipe.identity_spread * rng.normal(0.0, 1.0, face_model(recipe).shape_count),
        appearance=draw_appearance(rng, gender),
        style=draw_style(rng, recipe.actions),
    )


def perform_sequence(recipe: CorpusRecipe, index: int, expression: str) -> tuple[ActionTrack, Recording]:
    """Action weights of every frame, and the recording's conditions; a pure function of its arguments."""
    subject, rng = draw_subject(recipe, index), _sequence_generator(recipe, index, expression)
    apex = apex_weights(subject.style, expression, rng, recipe.actions)
    track = perform(apex, subject.style.lag, recipe.frames, rng)
    track = track + distract(recipe.frames, recipe.actions.distractors, rng)
    return np.clip(track, -1.0, 1.2), draw_recording(recipe.frames, rng, recipe.sensor)


def scan_frame(
    recipe: CorpusRecipe, index: int, expression: str, frame: int, track: ActionTrack, recording: Recording
) -> FaceScan:
    """One frame of a performance as the scanner delivers it."""
    model, subject = face_model(recipe), draw_subject(recipe, index)
    rng = _sequence_generator(recipe, index, expression, frame)
    weights = track[frame]
    surface = model.surface(subject.shape, weights, int(rng.integers(2**31)))
    normals = model.normal_map(subject.shape, weights)
    texture = light_texture(_painted(recipe, index), normals, model.wrinkles(weights), recording, frame)
    return scan_surface(surface, texture, recording, frame, rng, recipe.sensor)


def fabricate_sequence(task: SequenceTask) -> pd.DataFrame:
    """Write one performance; return its true action weights, one row a frame."""
    subject = draw_subject(task.recipe, task.subject)
    sequence = f"{subject.name}/{FOLDERS[task.expression]}"
    track, recording = perform_sequence(task.recipe, task.subject, task.expression)
    for frame in range(task.recipe.frames):
        scan = scan_frame(task.recipe, task.subject, task.expression, frame, track, recording)
        write_scan(task.root, sequence, frame, scan)
    truth = pd.DataFrame(track, columns=list(ACTIONS))
    truth.insert(0, "frame", range(task.recipe.frames))
    for place, (name, value) in enumerate(
        {"sequence": sequence, "subject": subject.name, "expression": task.expression}.items()
    ):
        truth.insert(place, name, value)
    return truth


def _fabricate(recipe: CorpusRecipe, root: Path, workers: int) -> None:
    """Write a whole corpus into a folder."""
    face_model(recipe)
    root.mkdir(parents=True)
    tasks = [SequenceTask(recipe, index, name, root) for index in range(recipe.subjects) for name in EXPRESSIONS]
    truths = []
    for task, result in map_chunks(fabricate_sequence, tasks, "fabricating faces", workers):
        if isinstance(result, Exception):
            name = f"{draw_subject(recipe, task.subject).name}/{task.expression}"
            raise RuntimeError(f"The sequence {name} could not be fabricated: {result}") from result
        truths.append(result)
    truth = pd.concat(truths).sort_values(["sequence", "frame"], ignore_index=True)
    truth.to_parquet(root / "actions.parquet")
    _subject_table(recipe).to_csv(root / "subjects.csv", index=False)
    (root / "recipe.json").write_text(recipe.model_dump_json(indent=2, exclude={"ict_folder"}) + "\n")


def _subject_table(recipe: CorpusRecipe) -> pd.DataFrame:
    """Who is in the corpus: subject, gender, age_group, skin_tone."""
    subjects = [draw_subject(recipe, index) for index in range(recipe.subjects)]
    rows = [(one.name, one.appearance.gender, one.appearance.age_group, one.appearance.skin_tone) for one in subjects]
    return pd.DataFrame(rows, columns=["subject", "gender", "age_group", "skin_tone"]).sort_values("subject")


@functools.lru_cache(maxsize=8)
def _painted(recipe: CorpusRecipe, index: int) -> Albedo:
    return face_model(recipe).paint(draw_subject(recipe, index).appearance)


def _sequence_generator(recipe: CorpusRecipe, index: int, expression: str, *frame: int) -> np.random.Generator:
    seed = [recipe.seed, SEQUENCE_STREAM, index, EXPRESSIONS.index(expression), *(one + 1 for one in frame)]
    return np.random.default_rng(np.random.SeedSequence(seed))
