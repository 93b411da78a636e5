"""Live Link Face recordings as a source of raw scans: real motion, played on drawn ICT-FaceKit faces, scan by scan.

Each subject of the recordings has a drawn identity. A recording is cut into sequences of about ``clip_seconds``. Frame
0 of every sequence is the subject's neutral frame, at which its coefficients are 0; the others follow at ``fps``.
"""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from affect4d.parallel import IN_PROCESS, EngineOptions, map_chunks
from affect4d.scans.corpora.corpus_class_and_scan_table import ATTRIBUTES, scan_table
from affect4d.scans.corpora.file_patterns_and_label_sheets import list_files
from affect4d.scans.expression import expression_or_none
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.scan_source_and_corpus_folder import ScanRow
from affect4d.store import ContentStore, code_version, content_key, file_digest
from affect4d.synthetic.action_units import ACTION_UNITS, ARKIT, ActionTrack, ActionWeights, units_of_arkit
from affect4d.synthetic.corpus_layouts import write_bu4dfe_frame
from affect4d.synthetic.face_texture import Albedo, paint_skin, wrinkle_map
from affect4d.synthetic.generate_scans import draw_subject
from affect4d.synthetic.generated_scan_source import as_written
from affect4d.synthetic.ict_facekit import IctFace, ict_digests
from affect4d.synthetic.live_link_recordings import (
    ArkitTrack,
    ArkitWeights,
    LiveLinkRecording,
    RecordingName,
    list_recordings,
    read_recording,
)
from affect4d.synthetic.recipe import NO_RECORDINGS, LiveLinkRecipe
from affect4d.synthetic.scanner import ScanConditions, draw_conditions, light_texture, scan_surface
from affect4d.synthetic.subject_appearance_and_expressive_style import Subject

HALVED = ("browInnerUp", "cheekPuff")  # one coefficient in ARKit, two shapes in ICT-FaceKit
ABSENT = ("tongueOut",)  # ICT-FaceKit has no tongue
MIDLINE = ("jaw", "mouth")  # what moves to a side as a whole
LABEL_COLUMNS = ("subject", "expression", "label")


@dataclass(frozen=True, slots=True)
class Clip:
    """A sequence: its recording, and the seconds of the frames after the neutral one."""

    recording: RecordingName
    sequence: str
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LiveLinkSource:
    """The scans of the recordings; every process reads the files that it needs."""

    recipe: LiveLinkRecipe

    def __str__(self) -> str:
        return f"the recordings in {self.recipe.root}"

    def table(self) -> pd.DataFrame:
        """One row a frame; tables in the folder (``sequences.csv``, ``subjects.csv``) override names."""
        rows = [row for clip in clips(self.recipe).values() for row in _rows(self.recipe, clip)]
        return scan_table(rows, self.recipe.root)

    def fingerprint(self) -> str:
        """Digest of the recordings, of the tables beside them, and of all that plays them."""
        return content_key(origin=_origin(self.recipe), files=self.recipe.files)

    def identities(self, scans: pd.DataFrame) -> list[str]:
        """Their checksums, which are known without making the scans."""
        rows = zip(scans["sequence"], scans["frame"], strict=True)
        return [self.checksum({"sequence": sequence, "frame": frame}) for sequence, frame in rows]

    def read(self, row: ScanRow, landmarks: bool = True, texels: int = 0) -> FaceScan:
        """Make the scan of a row, with all of its texture; a ScanError if the recordings have no such frame."""
        clip = clips(self.recipe).get(str(row["sequence"]))
        if clip is None or not 0 <= int(row["frame"]) <= len(clip.seconds):
            raise ScanError("not-in-recording", self.locate(row), f"{self} have no such frame")
        scan = as_written(_scan(self.recipe, clip, int(row["frame"])))
        return scan if landmarks else with_changes(scan, landmarks=None)

    def checksum(self, row: ScanRow) -> str:
        """Key of everything the scan depends on."""
        clip = clips(self.recipe)[str(row["sequence"])]
        files = [_digest(self.recipe.root / name.path) for name in _of_subject(self.recipe, clip.recording.subject)]
        return content_key(origin=_origin(self.recipe), files=files, sequence=row["sequence"], frame=int(row["frame"]))

    def locate(self, row: ScanRow) -> Path:
        """Sequence and frame, as a path that does not exist."""
        return Path(str(row["scan"]))

    def explain_absence(self) -> str:
        """Message for a folder without recordings."""
        return absence(self.recipe)


def absence(recipe: LiveLinkRecipe) -> str:
    """Message for a folder without recordings, or whose paths do not fit the pattern."""
    if recipe.pattern is not None and list_recordings(recipe.root):
        return f"No CSV file in {recipe.root} fits the pattern {recipe.pattern!r}; it begins below that folder."
    return f"There is no CSV file of Live Link Face in {recipe.root}. {NO_RECORDINGS}"


@functools.lru_cache(maxsize=8)
def clips(recipe: LiveLinkRecipe) -> dict[str, Clip]:
    """The sequences of a folder, by name; reads every recording (ScanError: one of them is damaged)."""
    return {clip.sequence: clip for name in _names(recipe) for clip in _cut(recipe, name)}


def write_recordings(
    recipe: LiveLinkRecipe, store: ContentStore, engine: EngineOptions = IN_PROCESS, raw_files: bool = False
) -> dict[str, Any]:
    """Check the recordings, and write their true action units and attributes, or find them in the store.

    With ``raw_files``, scans are written, too, as BU-4DFE has them; ingest makes them anew all the same.

    Returns:
        ``root`` (folder of ``actions.parquet``, ``attributes.parquet`` and raw files), ``layout``, ``streamed``,
        ``synthetic`` (the faces are), ``recordings`` (the recipe), ``key``, ``subjects``, ``sequences``, ``scans``.

    Raises:
        FileNotFoundError: If there is no such folder, no recording in it, or no clone of ICT-FaceKit.
        ScanError: If a recording is damaged.
    """
    root = recipe.root
    files = content_key(files=[[file.path, _digest(root / file.path)] for file in list_files(root)])
    recipe = recipe.model_copy(update={"files": files})
    if not _names(recipe):
        raise FileNotFoundError(absence(recipe))
    IctFace(recipe.ict_folder, ICT_SHAPES)
    key = content_key(source=LiveLinkSource(recipe).fingerprint(), raw_files=raw_files)
    if not store.has(key):
        with store.write(key, durable=False) as place:
            place.mkdir(parents=True)
            _write_tables(recipe, place)
            _write_scans(recipe, place, engine if raw_files else None)
    counts = json.loads((store.path(key) / "counts.json").read_text())
    facts = {"layout": "folder", "streamed": True, "synthetic": True, "recordings": recipe.model_dump(mode="json")}
    return {"root": str(store.path(key)), **facts, "key": key, **counts}


def _write_tables(recipe: LiveLinkRecipe, place: Path) -> None:
    every, table = clips(recipe).values(), LiveLinkSource(recipe).table()
    labels = table[["sequence", *LABEL_COLUMNS]].drop_duplicates("sequence").set_index("sequence")
    units = pd.concat([_true_units(recipe, clip) for clip in every], ignore_index=True)
    units.join(labels, on="sequence").to_parquet(place / "actions.parquet")
    attributes = pd.DataFrame([_attributes(recipe, clip) for clip in every])
    attributes.join(labels, on="sequence").to_parquet(place / "attributes.parquet")
    counts = {"subjects": table["subject"].nunique(), "sequences": len(labels), "scans": len(table)}
    (place / "counts.json").write_text(json.dumps(counts))


def _write_scans(recipe: LiveLinkRecipe, place: Path, engine: EngineOptions | None) -> None:
    tasks = [(recipe, clip, place) for clip in clips(recipe).values()] if engine else []
    for task, outcome in map_chunks(_write_clip, tasks, "writing scans", engine or IN_PROCESS):
        if isinstance(outcome, Exception):
            raise RuntimeError(f"The sequence {task[1].sequence} could not be written: {outcome}") from outcome


def _write_clip(task: tuple[LiveLinkRecipe, Clip, Path]) -> None:
    recipe, clip, place = task
    for frame in range(1 + len(clip.seconds)):
        write_bu4dfe_frame(place, clip.sequence, frame, _scan(recipe, clip, frame))


def coefficients_of(recipe: LiveLinkRecipe, clip: Clip) -> ArkitTrack:
    """Coefficients of every frame of a clip over the subject's neutral frame: 0 there, 1 where the recording has 1."""
    recording, (neutral, _) = _recording(recipe, clip.recording), _neutral(recipe, clip.recording.subject)
    moved, _ = recording.at(np.array(clip.seconds))
    return np.concatenate([np.zeros((1, len(ARKIT))), over_neutral(moved, neutral)])


def over_neutral(moved: ArkitTrack, neutral: ArkitWeights) -> ArkitTrack:
    """Coefficients over those of a neutral face: 0 where they are equal, 1 at 1."""
    over: ArkitTrack = np.clip((moved - neutral) / np.maximum(1.0 - neutral, 1e-3), 0.0, 1.0)
    return over


def ict_shapes_of(name: str) -> tuple[str, ...]:
    """The expression shapes of one of ARKit's coefficients: named alike, but for the sides.

    >>> ict_shapes_of("mouthSmileLeft"), ict_shapes_of("browInnerUp"), ict_shapes_of("jawLeft")
    (('mouthSmile_L',), ('browInnerUp_L', 'browInnerUp_R'), ('jawLeft',))
    """
    if name in ABSENT:
        return ()
    if name in HALVED:
        return f"{name}_L", f"{name}_R"
    pair = name.removesuffix("Left").removesuffix("Right")
    return (name if pair in (name, *MIDLINE) else f"{pair}_{name.removeprefix(pair)[0]}",)


ICT_SHAPES: tuple[str, ...] = tuple(shape for name in ARKIT for shape in ict_shapes_of(name))
_ICT_MATRIX = np.array([[float(shape in ict_shapes_of(name)) for shape in ICT_SHAPES] for name in ARKIT])
_GAZE = np.array([unit.startswith("gaze") for unit in ACTION_UNITS])


@functools.lru_cache(maxsize=8)
def _names(recipe: LiveLinkRecipe) -> tuple[RecordingName, ...]:
    return tuple(list_recordings(recipe.root, recipe.pattern))


def _of_subject(recipe: LiveLinkRecipe, subject: str) -> list[RecordingName]:
    return [name for name in _names(recipe) if name.subject == subject]


def _recording(recipe: LiveLinkRecipe, name: RecordingName) -> LiveLinkRecording:
    return read_recording(recipe.root / name.path)


@functools.lru_cache(maxsize=64)
def _neutral(recipe: LiveLinkRecipe, subject: str) -> tuple[Float64[np.ndarray, " arkit"], dict[str, Any]]:
    """Coefficients of the moment of least activation in all of a subject's recordings, and where it is."""
    rests = [(*_recording(recipe, name).rest, name) for name in _of_subject(recipe, subject)]
    _, second, name = min(rests, key=lambda rest: (rest[0], rest[2].path))
    coefficients, _ = _recording(recipe, name).at(np.array([second]))
    return coefficients[0], {"neutral_recording": name.path, "neutral_second": second}


def _cut(recipe: LiveLinkRecipe, name: RecordingName) -> Iterator[Clip]:
    length = float(_recording(recipe, name).times[-1])
    count = max(round(length / recipe.clip_seconds), 1)
    digits = len(str(count - 1))
    for number in range(count):
        seconds = np.arange(number * length / count, (number + 1) * length / count, 1.0 / recipe.fps)
        sequence = name.sequence if count == 1 else f"{name.sequence}/{number:0{digits}d}"
        yield Clip(name, sequence, tuple(seconds.tolist()))


def _rows(recipe: LiveLinkRecipe, clip: Clip) -> list[dict[str, Any]]:
    label, subject = clip.recording.label, clip.recording.subject
    labels = {"sequence": clip.sequence, "subject": subject, "expression": expression_or_none(label), "label": label}
    drawn = _subject(recipe, subject).appearance
    attributes = {name: getattr(drawn, name, None) for name in ATTRIBUTES}
    frames = range(1 + len(clip.seconds))
    return [{**labels, **attributes, "frame": frame, "scan": f"{clip.sequence}/{frame:03d}"} for frame in frames]


def _true_units(recipe: LiveLinkRecipe, clip: Clip) -> pd.DataFrame:
    track = units_of_arkit(coefficients_of(recipe, clip)).astype(np.float32)
    return pd.DataFrame(track, columns=list(ACTION_UNITS)).assign(sequence=clip.sequence, frame=range(len(track)))


def _attributes(recipe: LiveLinkRecipe, clip: Clip) -> dict[str, Any]:
    _, neutral = _neutral(recipe, clip.recording.subject)
    return {
        "sequence": clip.sequence,
        "recording": clip.recording.path,
        "begin_second": clip.seconds[0],
        "fps": recipe.fps,
        "frames": 1 + len(clip.seconds),
        "missing_frames": _recording(recipe, clip.recording).missing,
        **neutral,
    }


def _subject(recipe: LiveLinkRecipe, name: str) -> Subject:
    """The drawn identity of a subject, by its name alone: the same beside other recordings."""
    return draw_subject(recipe.faces, _number(name))


def _number(name: str) -> int:
    return int(content_key(name=name)[:12], 16)


@functools.lru_cache(maxsize=2)
def load_face(ict_folder: str | None) -> IctFace:
    """ICT-FaceKit's face with the shapes that ARKit's coefficients move; a FileNotFoundError without a clone."""
    return IctFace(ict_folder, ICT_SHAPES)


@functools.lru_cache(maxsize=8)
def _painted(recipe: LiveLinkRecipe, subject: str) -> Albedo:
    return paint_skin(_subject(recipe, subject).appearance)


@functools.lru_cache(maxsize=4)
def _perform(recipe: LiveLinkRecipe, clip: Clip) -> tuple[ArkitTrack, ActionTrack, ScanConditions]:
    coefficients = coefficients_of(recipe, clip)
    times = np.arange(len(coefficients)) / recipe.fps
    conditions = draw_conditions(times, _generator(recipe, clip), recipe.sensor)
    _, head = _recording(recipe, clip.recording).at(np.array([clip.seconds[0], *clip.seconds]))
    turns = conditions.turns + turns_of_head(head - head.mean(axis=0))
    return coefficients, units_of_arkit(coefficients), with_changes(conditions, turns=turns)


def turns_of_head(head: Float64[np.ndarray, "frames 3"]) -> Float64[np.ndarray, "frames 3"]:
    """Yaw, pitch and roll of recordings (rad) as degrees about the x, y and z axis of a scan."""
    yaw, pitch, roll = np.degrees(head).T
    return np.stack([pitch, -yaw, roll], axis=1)


def _scan(recipe: LiveLinkRecipe, clip: Clip, frame: int) -> FaceScan:
    coefficients, units, conditions = _perform(recipe, clip)
    rng = _generator(recipe, clip, frame + 1)
    return play(recipe, clip.recording.subject, coefficients[frame], units[frame], conditions, frame, rng)


def play(
    recipe: LiveLinkRecipe,
    subject_name: str,
    coefficients: ArkitWeights,
    units: ActionWeights,
    conditions: ScanConditions,
    frame: int,
    rng: np.random.Generator,
) -> FaceScan:
    """ARKit's coefficients, and the action units they amount to, on a subject's face, as a scanner delivers it."""
    subject, face = _subject(recipe, subject_name), load_face(recipe.ict_folder)
    weights = np.concatenate([units * _GAZE, coefficients @ _ICT_MATRIX])
    surface = face.surface(subject.shape, weights, conditions.sampling(rng)).scaled(subject.size)
    normals = face.normal_map(subject.shape, weights)
    albedo, wrinkles = _painted(recipe, subject_name), wrinkle_map(units)
    texture = light_texture(albedo, normals, wrinkles, conditions.lights, frame)
    return scan_surface(surface, texture, conditions, frame, rng, recipe.sensor)


def _generator(recipe: LiveLinkRecipe, clip: Clip, *frame: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence((recipe.seed, _number(clip.sequence), *frame)))


def _origin(recipe: LiveLinkRecipe) -> str:
    described = recipe.model_dump(mode="json", exclude={"folder", "ict_folder", "files"})
    return _origin_key(json.dumps(described, sort_keys=True), recipe.ict_folder)


@functools.lru_cache(maxsize=8)
def _origin_key(described: str, ict_folder: str | None) -> str:
    return content_key(recipe=described, code=code_version(__name__), ict=ict_digests(ict_folder))


def _digest(path: Path) -> str:
    return _digest_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _digest_of(path: Path, modified: int) -> str:
    return file_digest(path)
