"""A synthetic corpus: subjects, takes, scans, labels and attributes, as pure functions of (recipe, take, frame)."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace as with_changes
from typing import Any

import numpy as np
import pandas as pd

from affect4d.scans.corpora.bu4dfe import FOLDERS
from affect4d.scans.expression import EXPRESSIONS, join_labels
from affect4d.scans.scan import FaceScan
from affect4d.scans.splits import SubjectSplit, draw_folds, draw_split
from affect4d.store import code_version, content_key, file_digest
from affect4d.synthetic.action_units import ACTION_UNITS, PUBLISHED_FILE, ActionTrack
from affect4d.synthetic.face_model_and_skin_coordinates import FaceModel, FaceSurface
from affect4d.synthetic.face_texture import Albedo, paint_skin, wrinkle_map
from affect4d.synthetic.head_variety import HeadVariety, back_of_head, draw_head_variety, join_pieces, vary_head
from affect4d.synthetic.ict_facekit import IctFace, ict_digests
from affect4d.synthetic.performance import Performance, act, draw_performances
from affect4d.synthetic.procedural_face import ProceduralFace
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.scanner import ScanConditions, draw_conditions, light_texture, scan_surface
from affect4d.synthetic.scanner_variety import (
    ScannerVariety,
    draw_scanner_variety,
    scan_mesh,
    with_texture_quality,
    without_inner_parts,
)
from affect4d.synthetic.subject_appearance_and_expressive_style import (
    GENDERS,
    LEFT,
    RIGHT,
    IdentityShape,
    Subject,
    draw_appearance,
    draw_style,
)

SUBJECT_STREAM, SEQUENCE_STREAM, PERFORMANCE_STREAM, HEAD_STREAM, SCANNER_STREAM = 1, 2, 3, 4, 5
"""First words of the seeds: subjects, takes, performances and their variety draw from different random streams."""


@dataclass(frozen=True, slots=True)
class Take:
    """One performance of one subject, both by index."""

    subject: int
    index: int


def takes(recipe: CorpusRecipe) -> Iterator[Take]:
    """Every take of a corpus, subject by subject."""
    for subject in range(recipe.subjects):
        for index in range(len(performances(recipe, subject))):
            yield Take(subject, index)


@functools.cache
def face_model(recipe: CorpusRecipe) -> FaceModel:
    """The recipe's face model, loaded once a process."""
    return ProceduralFace() if recipe.face == "procedural" else IctFace(recipe.ict_folder)


@functools.lru_cache(maxsize=64)
def draw_subject(recipe: CorpusRecipe, index: int) -> Subject:
    """The subject of that index; women and men alternate, numbered apart as in BU-4DFE."""
    rng = _generator(recipe.seed, SUBJECT_STREAM, index)
    gender = GENDERS[index % 2]
    return Subject(
        name=subject_name(index),
        shape=_draw_shape(recipe, rng),
        appearance=draw_appearance(rng, gender),
        style=draw_style(rng, recipe.actions, recipe.variety.tables),
        size=float(np.exp(recipe.size_spread * np.clip(rng.normal(), -2.0, 2.0))),
    )


def subject_name(index: int) -> str:
    """The name of the subject of that index: ``F001``, ``M001``, ``F002`` and so on."""
    return f"{GENDERS[index % 2]}{index // 2 + 1:03d}"


def subject_index(name: str) -> int:
    """The index of the subject of that name."""
    return 2 * (int(name[1:]) - 1) + GENDERS.index(name[0])


@functools.lru_cache(maxsize=64)
def performances(recipe: CorpusRecipe, subject: int) -> tuple[Performance, ...]:
    """The performances of a subject, take by take."""
    rng = _generator(recipe.seed, PERFORMANCE_STREAM, subject)
    return draw_performances(recipe.performances, recipe.actions, rng)


def performance_of(recipe: CorpusRecipe, take: Take) -> Performance:
    """The performance of a take."""
    return performances(recipe, take.subject)[take.index]


def sequence_name(recipe: CorpusRecipe, take: Take) -> str:
    """``F001/Angry``: the first take of a posed expression is named as in BU-4DFE, others by their performance."""
    name = performance_of(recipe, take).name
    return f"{subject_name(take.subject)}/{FOLDERS.get(name, name)}"


@functools.lru_cache(maxsize=4096)
def find_take(recipe: CorpusRecipe, sequence: str) -> Take | None:
    """The take of a sequence's name; None if the recipe has none of that name."""
    try:
        subject = subject_index(sequence.partition("/")[0])
    except ValueError:
        return None
    if not 0 <= subject < recipe.subjects:
        return None
    every = (Take(subject, index) for index in range(len(performances(recipe, subject))))
    return next((take for take in every if sequence_name(recipe, take) == sequence), None)


@functools.lru_cache(maxsize=4)
def perform(recipe: CorpusRecipe, take: Take) -> tuple[ActionTrack, ScanConditions]:
    """Action-unit weights of every frame of a take, and the conditions under which it is scanned."""
    performance, rng = performance_of(recipe, take), _take_generator(recipe, take)
    track = act(draw_subject(recipe, take.subject).style, performance, rng, recipe.actions)
    return track, draw_conditions(performance.times, rng, recipe.sensor)


def scan_frame(recipe: CorpusRecipe, take: Take, frame: int) -> FaceScan:
    """One frame of a take as the scanner delivers it, landmarks with the tracker's error."""
    model, subject = face_model(recipe), draw_subject(recipe, take.subject)
    (track, conditions), rng = perform(recipe, take), _take_generator(recipe, take, frame + 1)
    weights = track[frame]
    sampling = conditions.sampling(rng)
    surface = model.surface(subject.shape, weights, sampling)
    if recipe.variety.changes_geometry:
        neutral = model.surface(subject.shape, np.zeros_like(weights), sampling)
        surface = _varied(recipe, take, frame, surface, neutral)
    surface = surface.scaled(subject.size)
    normals = model.normal_map(subject.shape, weights)
    albedo = _painted(recipe, take.subject)
    texture = light_texture(albedo, normals, wrinkle_map(weights), conditions.lights, frame)
    scan = scan_surface(surface, texture, conditions, frame, rng, recipe.sensor)
    return with_texture_quality(scan, scanner_variety(recipe, take).texture)


EXAMPLES_SEED = 3107
"""Of the faces that :func:`example_scans` makes: no frozen benchmark has it."""


def example_scans(expression: str, frames: int = 6, subject: int = 0) -> list[FaceScan]:
    """Scans of a synthetic face that goes from neutral to an expression, as a scanner delivers them: mm, textured.

    Args:
        expression: One of the six.
        frames: Number of scans, the first of them neutral.
        subject: Index of the person.

    Raises:
        ValueError: If there is no such expression.
    """
    if expression not in EXPRESSIONS:
        raise ValueError(f"There is no example of {expression!r}: choose one of {', '.join(EXPRESSIONS)}.")
    recipe = CorpusRecipe(subjects=subject + 1, seed=EXAMPLES_SEED, performances=PerformanceOptions(frames=frames))
    own = (take for take in takes(recipe) if take.subject == subject)
    take = next(take for take in own if performance_of(recipe, take).expression == expression)
    scans = (scan_frame(recipe, take, frame) for frame in range(frames))
    return [with_changes(scan, landmarks=None) for scan in scans]


@functools.lru_cache(maxsize=64)
def head_variety(recipe: CorpusRecipe, subject: int) -> HeadVariety:
    """What is a subject's own beyond the face model."""
    rng = _generator(recipe.seed, HEAD_STREAM, subject)
    return draw_head_variety(recipe.variety, draw_subject(recipe, subject).appearance, rng)


@functools.lru_cache(maxsize=64)
def scanner_variety(recipe: CorpusRecipe, take: Take) -> ScannerVariety:
    """The scanner of a take."""
    return draw_scanner_variety(recipe.variety, _generator(recipe.seed, SCANNER_STREAM, take.subject, take.index))


def _varied(recipe: CorpusRecipe, take: Take, frame: int, surface: FaceSurface, neutral: FaceSurface) -> FaceSurface:
    """The surface as this subject's head and this take's scanner make it; ``neutral`` is it without expression."""
    scanner = scanner_variety(recipe, take)
    moved, resting = (without_inner_parts(one, scanner) for one in (surface, neutral))
    if scanner.whole_head:
        moved, resting = (join_pieces(one, *back_of_head(one, resting)) for one in (moved, resting))
    rng = _generator(recipe.seed, SCANNER_STREAM, take.subject, take.index, frame + 1)
    return scan_mesh(vary_head(moved, resting, head_variety(recipe, take.subject)), scanner, rng)


def sequence_labels(recipe: CorpusRecipe, take: Take) -> dict[str, Any]:
    """Labels of a sequence: ``subject, expression, label, task, onset, apex, offset``.

    Posed expressions are labelled as in BU-4DFE, without frames; micro-expressions as in 4DME, with several classes and
    frames; hard negatives by their kind: ``neutral``, ``talk``, ``blink``, ``look``.
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


def take_attributes(recipe: CorpusRecipe, take: Take) -> dict[str, Any]:
    """Every drawn attribute of a take (subject, performance, light, scanner) as plain values: degrees, mm, seconds."""
    track, conditions = perform(recipe, take)
    return {
        **_subject_attributes(draw_subject(recipe, take.subject)),
        **_performance_attributes(performance_of(recipe, take), track),
        **_light_attributes(conditions),
        **_scanner_attributes(conditions),
        **_variety_attributes(recipe, take),
    }


def true_action_units(recipe: CorpusRecipe, take: Take) -> pd.DataFrame:
    """The true action-unit weights of a take, one row a frame."""
    track, _ = perform(recipe, take)
    return pd.DataFrame(track.astype(np.float32), columns=list(ACTION_UNITS)).assign(frame=range(len(track)))


def subject_table(recipe: CorpusRecipe) -> pd.DataFrame:
    """The subjects of the corpus: ``subject, gender, age_group, skin_tone``."""
    subjects = [draw_subject(recipe, index) for index in range(recipe.subjects)]
    rows = [(one.name, one.appearance.gender, one.appearance.age_group, one.appearance.skin_tone) for one in subjects]
    return pd.DataFrame(rows, columns=["subject", "gender", "age_group", "skin_tone"]).sort_values("subject")


def official_split(recipe: CorpusRecipe) -> SubjectSplit:
    """Training and test subjects: part of the recipe, balanced over gender; a ValueError for one."""
    return draw_split(_genders(recipe), recipe.test_share, recipe.seed, _genders(recipe))


def official_folds(recipe: CorpusRecipe) -> tuple[SubjectSplit, ...]:
    """The folds of the recipe's cross-validation; one for each subject where there are fewer subjects than folds."""
    return draw_folds(_genders(recipe), min(recipe.folds, recipe.subjects), recipe.seed, _genders(recipe))


def corpus_key(recipe: CorpusRecipe) -> str:
    """Content key of all a recipe's scans: the recipe, the code that generates them, and the face model's files."""
    return content_key(recipe=recipe.digest, makers=_makers(recipe.face, recipe.ict_folder))


@functools.lru_cache(maxsize=16)
def scan_origin(recipe: CorpusRecipe) -> str:
    """Content key of a scan's inputs beside its take and frame: all of the recipe but the number of subjects."""
    alone = recipe.model_copy(update={"subjects": 1})
    return content_key(recipe=alone.digest, makers=_makers(recipe.face, recipe.ict_folder))


def _makers(face: str, ict_folder: str | None) -> list[Any]:
    tables = file_digest(PUBLISHED_FILE)
    return [code_version(__name__), tables, ict_digests(ict_folder) if face == "ict_facekit" else None]


def _draw_shape(recipe: CorpusRecipe, rng: np.random.Generator) -> IdentityShape:
    there = face_model(recipe).shape_count
    varying = there if recipe.identity_modes is None else recipe.identity_modes
    if varying > there:
        raise ValueError(f"The recipe varies {varying} identity modes and {recipe.face} has {there}: is it complete?")
    shape = np.zeros(there)
    shape[:varying] = recipe.identity_spread * rng.normal(0.0, 1.0, varying)
    return shape


@functools.lru_cache(maxsize=8)
def _painted(recipe: CorpusRecipe, subject: int) -> Albedo:
    return paint_skin(draw_subject(recipe, subject).appearance)


def _genders(recipe: CorpusRecipe) -> dict[str, str]:
    names = [subject_name(index) for index in range(recipe.subjects)]
    return {name: name[0] for name in names}


def _take_generator(recipe: CorpusRecipe, take: Take, *frame: int) -> np.random.Generator:
    return _generator(recipe.seed, SEQUENCE_STREAM, take.subject, take.index, *frame)


def _generator(*words: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(words))


def _subject_attributes(subject: Subject) -> dict[str, Any]:
    appearance = subject.appearance
    names = ("gender", "age_group", "skin_tone", "monk_tone", "melanin", "brows", "lips", "beard")
    return {
        **{name: getattr(appearance, name) for name in names},
        "head_size": subject.size,
        "identity_norm": float(np.linalg.norm(subject.shape)),
    }


def _performance_attributes(performance: Performance, track: ActionTrack) -> dict[str, Any]:
    times = performance.times
    blink = track[:, [ACTION_UNITS.index("AU45_L"), ACTION_UNITS.index("AU45_R")]].max(axis=1)
    return {
        "kind": performance.kind,
        "labels": "+".join(performance.labels),
        "intensity": performance.intensity,
        "frames": performance.frames,
        "fps": performance.fps,
        "onset_s": float(times[performance.onset]),
        "apex_s": float(times[performance.apex]),
        "offset_s": float(times[performance.offset]),
        "rise_s": performance.rise,
        "strongest_action": float(np.abs(track).max()),
        "first_frame_activity": float(np.abs(track[0]).max()),
        "asymmetry": float(np.abs(track[:, LEFT] - track[:, RIGHT]).max()),
        "blinks": int((np.diff((blink > 0.5).astype(int), prepend=0) > 0).sum()),
    }


def _variety_attributes(recipe: CorpusRecipe, take: Take) -> dict[str, Any]:
    """Attributes of a varied head and scanner; none where the recipe has no variety."""
    if not recipe.variety.changes_geometry:
        return {}
    head, scanner = head_variety(recipe, take.subject), scanner_variety(recipe, take)
    return {
        "hair_mm": head.hair_mm,
        "beard_mm": head.beard_mm,
        "glasses": head.glasses is not None,
        **{name: getattr(scanner, name) for name in ("whole_head", "refined", "voxel", "eyeballs", "teeth")},
        "texture_quality": scanner.texture,
        "white_noise_mm": scanner.white_mm,
    }


def _light_attributes(conditions: ScanConditions) -> dict[str, Any]:
    lights = conditions.lights
    shares = np.linalg.norm(lights.directions, axis=2)
    brightest = int(shares[0].argmax())
    x, y, z = lights.directions[0, brightest] / max(float(shares[0, brightest]), 1e-9)
    return {
        "lamps": len(lights.colours),
        "light_share": float(shares[0].sum()),
        "light_azimuth": float(np.degrees(np.arctan2(x, z))),
        "light_elevation": float(np.degrees(np.arcsin(np.clip(y, -1.0, 1.0)))),
        "light_warmth": float(lights.colours[brightest, 0] - lights.colours[brightest, 2]),
        "exposure": float(lights.exposure.mean()),
        "exposure_drift": float(np.ptp(lights.exposure)),
    }


def _scanner_attributes(conditions: ScanConditions) -> dict[str, Any]:
    turns, shifts = conditions.turns, conditions.shifts
    return {
        "noise_mm": conditions.noise_mm,
        "density": conditions.density,
        "hair_strands": conditions.strands,
        "pose_pitch": float(turns[0, 0]),
        "pose_yaw": float(turns[0, 1]),
        "pose_roll": float(turns[0, 2]),
        "residue_deg": float(np.linalg.norm(conditions.tracker.turn)),
        "residue_mm": float(np.linalg.norm(conditions.tracker.shift)),
        "drift_deg": float(np.linalg.norm(turns - turns[0], axis=1).max()),
        "drift_mm": float(np.linalg.norm(shifts - shifts[0], axis=1).max()),
    }
