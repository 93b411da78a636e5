"""Who is in a synthetic corpus, what they perform, and every scan of it: pure functions of (recipe, take, frame).

Nothing here is stored. A scan is made when it is asked for, in any order, in any process, and is the same each time.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from affect4d.scans.corpora.bu4dfe import FOLDERS
from affect4d.scans.expression import join_labels
from affect4d.scans.scan import FaceScan
from affect4d.scans.splits import SubjectSplit, draw_folds, draw_split
from affect4d.store import code_version, content_key
from affect4d.synthetic.actions import ACTIONS, ActionTrack
from affect4d.synthetic.dynamics import act
from affect4d.synthetic.face_model import GENDERS, Albedo, FaceModel, Shape, Subject, draw_appearance
from affect4d.synthetic.ict_facekit import IctFace, ict_fingerprint
from affect4d.synthetic.lighting import light_texture
from affect4d.synthetic.performance import Performance, draw_performances
from affect4d.synthetic.procedural import ProceduralFace
from affect4d.synthetic.recipe import CorpusRecipe
from affect4d.synthetic.sensor import Recording, draw_recording, scan_surface
from affect4d.synthetic.style import draw_style

SUBJECT_STREAM, SEQUENCE_STREAM, PERFORMANCE_STREAM = 1, 2, 3
"""First words of the seeds, so that people, takes and what is performed draw from different streams."""


@dataclass(frozen=True, slots=True)
class Take:
    """One performance of one subject, by number.

    Attributes:
        subject: The corpus's person of that index.
        place: Position among that person's performances.
    """

    subject: int
    place: int


def takes(recipe: CorpusRecipe) -> Iterator[Take]:
    """Every take of a corpus, person by person."""
    for subject in range(recipe.subjects):
        for place in range(len(performances(recipe, subject))):
            yield Take(subject, place)


@functools.cache
def face_model(recipe: CorpusRecipe) -> FaceModel:
    """The face a recipe asks for, loaded once a process."""
    return _face_model(recipe.face, recipe.ict_folder)


@functools.lru_cache(maxsize=64)
def draw_subject(recipe: CorpusRecipe, index: int) -> Subject:
    """The corpus's person of that index; women and men alternate, numbered apart as in BU-4DFE."""
    rng = _generator(recipe.seed, SUBJECT_STREAM, index)
    gender = GENDERS[index % 2]
    return Subject(
        name=subject_name(index),
        shape=_draw_shape(recipe, rng),
        appearance=draw_appearance(rng, gender),
        style=draw_style(rng, recipe.actions),
        size=float(np.exp(recipe.size_spread * np.clip(rng.normal(), -2.0, 2.0))),
    )


def subject_name(index: int) -> str:
    """The name of the person of that index: ``F001``, ``M001``, ``F002`` and so on."""
    return f"{GENDERS[index % 2]}{index // 2 + 1:03d}"


def subject_index(name: str) -> int:
    """The index of the person of that name."""
    return 2 * (int(name[1:]) - 1) + GENDERS.index(name[0])


@functools.lru_cache(maxsize=64)
def performances(recipe: CorpusRecipe, index: int) -> tuple[Performance, ...]:
    """What a person performs, take by take."""
    return draw_performances(recipe.performances, recipe.actions, _generator(recipe.seed, PERFORMANCE_STREAM, index))


def sequence_name(recipe: CorpusRecipe, take: Take) -> str:
    """``F001/Angry``: the first take of a posed expression is called as in BU-4DFE, others by their performance."""
    name = performance_of(recipe, take).name
    return f"{subject_name(take.subject)}/{FOLDERS.get(name, name)}"


@functools.lru_cache(maxsize=4096)
def find_take(recipe: CorpusRecipe, sequence: str) -> Take | None:
    """The take of a sequence's name; None if the recipe has none of that name."""
    try:
        index = subject_index(sequence.partition("/")[0])
    except ValueError:
        return None
    if not 0 <= index < recipe.subjects:
        return None
    places = range(len(performances(recipe, index)))
    return next((Take(index, place) for place in places if sequence_name(recipe, Take(index, place)) == sequence), None)


def performance_of(recipe: CorpusRecipe, take: Take) -> Performance:
    """What is performed in a take."""
    return performances(recipe, take.subject)[take.place]


@functools.lru_cache(maxsize=4)
def perform(recipe: CorpusRecipe, take: Take) -> tuple[ActionTrack, Recording]:
    """Action weights of every frame of a take, and the recording's conditions."""
    performance, rng = performance_of(recipe, take), _take_generator(recipe, take)
    track = act(draw_subject(recipe, take.subject).style, performance, rng, recipe.actions)
    return track, draw_recording(performance.times, rng, recipe.sensor)


def scan_frame(recipe: CorpusRecipe, take: Take, frame: int) -> FaceScan:
    """One frame of a take as the scanner delivers it, landmarks with the tracker's error."""
    model, subject = face_model(recipe), draw_subject(recipe, take.subject)
    (track, recording), rng = perform(recipe, take), _take_generator(recipe, take, frame + 1)
    weights = track[frame]
    surface = model.surface(subject.shape, weights, recording.sampling(rng)).scaled(subject.size)
    normals = model.normal_map(subject.shape, weights)
    texture = light_texture(_painted(recipe, take.subject), normals, model.wrinkles(weights), recording.lights, frame)
    return scan_surface(surface, texture, recording, frame, rng, recipe.sensor)


def sequence_facts(recipe: CorpusRecipe, take: Take) -> dict[str, Any]:
    """What the corpus says of a sequence: ``subject, expression, label, task, onset, apex, offset``.

    Posed expressions are labelled as in BU-4DFE, without frames; micro-expressions as in 4DME, with several classes and
    frames; hard negatives by what is done: ``neutral``, ``talk``, ``blink``, ``look``.
    """
    performance = performance_of(recipe, take)
    micro = performance.kind == "micro"
    return {
        "subject": subject_name(take.subject),
        "expression": performance.expression,
        "label": join_labels(performance.labels) or performance.name.partition("-")[0],
        "task": None if performance.kind == "macro" else performance.kind,
        "onset": performance.onset if micro else None,
        "apex": performance.apex if micro else None,
        "offset": performance.offset if micro else None,
    }


def true_actions(recipe: CorpusRecipe, take: Take) -> pd.DataFrame:
    """The true action weights of a take, one row a frame: what an oracle knows."""
    track, _ = perform(recipe, take)
    return pd.DataFrame(track.astype(np.float32), columns=list(ACTIONS)).assign(frame=range(len(track)))


def subject_table(recipe: CorpusRecipe) -> pd.DataFrame:
    """Who is in the corpus: ``subject, gender, age_group, skin_tone``."""
    subjects = [draw_subject(recipe, index) for index in range(recipe.subjects)]
    rows = [(one.name, one.appearance.gender, one.appearance.age_group, one.appearance.skin_tone) for one in subjects]
    return pd.DataFrame(rows, columns=["subject", "gender", "age_group", "skin_tone"]).sort_values("subject")


def official_split(recipe: CorpusRecipe) -> SubjectSplit:
    """Who is trained on and who is tested on: part of the recipe, balanced over gender.

    Raises:
        ValueError: If there is only one subject.
    """
    return draw_split(_genders(recipe), recipe.test_share, recipe.seed, _genders(recipe))


def official_folds(recipe: CorpusRecipe) -> tuple[SubjectSplit, ...]:
    """The folds of the recipe's cross-validation; one a subject where there are fewer subjects than folds."""
    return draw_folds(_genders(recipe), min(recipe.folds, recipe.subjects), recipe.seed, _genders(recipe))


def corpus_key(recipe: CorpusRecipe) -> str:
    """Content key of all a recipe's scans: the recipe, the code of this room, and the face model's files."""
    return content_key(recipe=recipe.digest, makers=_makers(recipe.face, recipe.ict_folder))


@functools.lru_cache(maxsize=16)
def scan_origin(recipe: CorpusRecipe) -> str:
    """Content key of what one scan depends on beside its take and frame: all of the recipe but how many people."""
    alone = recipe.model_copy(update={"subjects": 1})
    return content_key(recipe=alone.digest, makers=_makers(recipe.face, recipe.ict_folder))


def _makers(face: str, ict_folder: str | None) -> list[Any]:
    code = code_version(__name__)
    return [code, ict_fingerprint(ict_folder) if face == "ict_facekit" else None]


def _draw_shape(recipe: CorpusRecipe, rng: np.random.Generator) -> Shape:
    """An identity in the modes that vary; the model's others are at rest."""
    there = face_model(recipe).shape_count
    varying = there if recipe.identity_modes is None else recipe.identity_modes
    if varying > there:
        raise ValueError(f"The recipe varies {varying} identity modes and {recipe.face} has {there}: is it complete?")
    shape = np.zeros(there)
    shape[:varying] = recipe.identity_spread * rng.normal(0.0, 1.0, varying)
    return shape


@functools.cache
def _face_model(face: str, ict_folder: str | None) -> FaceModel:
    return ProceduralFace() if face == "procedural" else IctFace(ict_folder)


@functools.lru_cache(maxsize=8)
def _painted(recipe: CorpusRecipe, index: int) -> Albedo:
    return face_model(recipe).paint(draw_subject(recipe, index).appearance)


def _genders(recipe: CorpusRecipe) -> dict[str, str]:
    """Name of every subject, with what stands before the number."""
    names = [subject_name(index) for index in range(recipe.subjects)]
    return {name: name[0] for name in names}


def _take_generator(recipe: CorpusRecipe, take: Take, *frame: int) -> np.random.Generator:
    return _generator(recipe.seed, SEQUENCE_STREAM, take.subject, take.place, *frame)


def _generator(*words: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(words))
