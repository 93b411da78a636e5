"""Robustness to corrupted scans: rendered again from canonical scans, one (corruption, strength) at a time."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from affect4d.evaluation.corruptions import (
    CORRUPTIONS,
    DISPLACEMENTS,
    FRAME_DROP,
    IMAGE_CORRUPTIONS,
    MESH_CORRUPTIONS,
    PER_FRAME,
    POSE,
    POSE_CHANGES,
    STRENGTHS,
    ViewImageStacks,
    change_pose,
    empty_like,
    kept_frames,
)
from affect4d.evaluation.prediction_tables_and_leak_checks import prediction_table
from affect4d.evaluation.sequence_embeddings_and_probabilities import FRAMES, classify_sequences, embed_sequences
from affect4d.evaluation.significance import subject_interval
from affect4d.evaluation.zero_shot import class_embeddings, zero_shot_probabilities
from affect4d.experiments.studies_and_cross_validation import run_parallel
from affect4d.models import load_model
from affect4d.models.vision_language_models import WEIGHTS_FILE
from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.rendering.cameras_and_render_backends import RenderError, shared_renderer
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_sequence import render_face, scan_identity
from affect4d.scans.ingest import load_canonical_scan
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.scan_source_and_corpus_folder import ScanSource
from affect4d.store import ContentStore, cached, content_key, file_digest
from affect4d.training.device import choose_device
from affect4d.views.apex_detection import frame_table
from affect4d.views.bank import ViewBank
from affect4d.views.derived_channels import derive_channels
from affect4d.views.input_options import InputOptions

BASELINE = "cross_entropy"
UNCORRUPTED = "none"
ManifestRow = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Corruption:
    """One corruption at one strength; strength 0 is none. Of a change of pose, the strength is its sign."""

    name: str
    strength: int

    def __str__(self) -> str:
        return f"{self.name} at strength {self.strength}"


@dataclass(frozen=True)
class CorruptedClip:
    """The neutral frame and the apex window of a sequence, as rows of the scan manifest."""

    sequence: str
    subject: str
    expression: str
    neutral: ManifestRow
    window: tuple[ManifestRow, ...]


@dataclass(frozen=True)
class RobustnessTest:
    """Clips of some test subjects, the source of their raw scans, the folder of each model, and settings."""

    clips: tuple[CorruptedClip, ...]
    source: Path | ScanSource
    render: RenderOptions
    inputs: InputOptions
    models: Mapping[str, Path]
    prompts: Mapping[str, Sequence[str]]
    device: str = "cpu"


def choose_clips(
    views: pd.DataFrame, scans: pd.DataFrame, tested: Sequence[str], subjects: int, seed: int, inputs: InputOptions
) -> tuple[CorruptedClip, ...]:
    """The labelled sequences of some test subjects (all where there are fewer), drawn by the seed."""
    order = np.random.default_rng(seed).permutation(sorted(tested))[:subjects]
    chosen = views[views["subject"].isin(order)].dropna(subset=["expression"])
    rows = {(row["sequence"], int(row["frame"])): row for row in scans.to_dict("records")}
    clips = []
    for view in chosen.to_dict("records"):
        moments = frame_table(pd.DataFrame([view]), inputs.frames)
        frames = moments.loc[moments["in_window"].astype(bool), "frame"].to_numpy()
        if len(frames) > FRAMES:
            frames = frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
        name = str(view["sequence"])
        neutral = rows[name, int(list(view["frames"])[int(view["neutral"])])]
        window = tuple(rows[name, int(frame)] for frame in frames)
        clips.append(CorruptedClip(name, str(view["subject"]), str(view["expression"]), neutral, window))
    return tuple(clips)


def measure_robustness(
    test: RobustnessTest, corruptions: Sequence[str], store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> pd.DataFrame:
    """Predictions, each cached, of every model under every corruption at every strength (columns in front of them)."""
    unknown = [name for name in corruptions if name not in CORRUPTIONS]
    if unknown:
        raise ValueError(f"No such corruption: {', '.join(unknown)}; there are {', '.join(CORRUPTIONS)}.")
    cells = [Corruption(UNCORRUPTED, 0), *(cell for name in corruptions or CORRUPTIONS for cell in _cells(name))]
    predict = functools.partial(predict_corrupted, test=test, store=store)
    tables = dict(run_parallel(predict, cells, "corrupting scans", engine))
    return pd.concat([tables[cell] for cell in cells], ignore_index=True)


def _cells(name: str) -> list[Corruption]:
    if name == POSE:
        return [Corruption(change, sign) for change in POSE_CHANGES for sign in (-1, 1)]
    return [Corruption(name, strength) for strength in STRENGTHS]


def predict_corrupted(corruption: Corruption, *, test: RobustnessTest, store: ContentStore) -> pd.DataFrame:
    """Predictions of every model under one corruption, computed once."""
    return cached(store, "corrupted", functools.partial(_predict, corruption, test), **_key(corruption, test))


def _key(corruption: Corruption, test: RobustnessTest) -> dict[str, Any]:
    clips = [
        [clip.sequence, clip.expression, *(scan_identity(row) for row in (clip.neutral, *clip.window))]
        for clip in test.clips
    ]
    return {
        "corruption": [corruption.name, corruption.strength],
        "clips": clips,
        "render": test.render.cache_options,
        "views": list(test.render.angles),
        "inputs": test.inputs,
        "models": {name: file_digest(folder / WEIGHTS_FILE) for name, folder in test.models.items()},
        "prompts": dict(test.prompts),
    }


def _predict(corruption: Corruption, test: RobustnessTest) -> pd.DataFrame:
    bank = corrupted_bank(corruption, test)
    rows = [(clip.sequence, clip.subject, clip.expression) for clip in test.clips]
    sequences = pd.DataFrame(rows, columns=["sequence", "subject", "expression"])
    device = choose_device(test.device)
    tables = [
        prediction_table(sequences, _probabilities(load_model(folder, device), name, bank, test), name)
        for name, folder in test.models.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "strength", corruption.strength)
    table.insert(0, "corruption", corruption.name)
    return table


def _probabilities(model: Any, name: str, bank: ViewBank, test: RobustnessTest) -> np.ndarray:
    if name == BASELINE:
        return classify_sequences(model, bank, test.inputs, quiet=True)
    fused = embed_sequences(model, bank, test.inputs, quiet=True).fused
    return zero_shot_probabilities(fused, class_embeddings(model, test.prompts), float(model.temperature().detach()))


def corrupted_bank(corruption: Corruption, test: RobustnessTest) -> ViewBank:
    """Images of every corrupted clip: the neutral frame first, then the remaining frames of the window."""
    stacks, counts = [], []
    for clip in test.clips:
        drawn = _render_clip(clip, corruption, test)
        angles = list(test.render.angles.values())
        pitches = [test.render.pitch(view) for view in test.render.angles]
        images = derive_channels(drawn, angles, test.inputs.channels, pitches)
        stacks.append(images)
        counts.append(len(images))
    starts = np.cumsum(counts) - counts
    frame = np.concatenate([np.arange(count) for count in counts])
    return ViewBank(
        images=torch.from_numpy(np.concatenate(stacks)),
        neutral=torch.from_numpy(np.repeat(starts, counts)),
        sequence=torch.from_numpy(np.repeat(np.arange(len(counts)), counts)),
        frame=torch.from_numpy(frame),
        in_window=torch.from_numpy(frame > 0),
        sequences=tuple(clip.sequence for clip in test.clips),
        views=tuple(test.render.angles),
    )


def _render_clip(clip: CorruptedClip, corruption: Corruption, test: RobustnessTest) -> dict[str, np.ndarray]:
    """Images of the neutral frame and the window: channel → ``[frames, views, height, width, components]``."""
    rows = [clip.neutral, *clip.window]
    if corruption.name == FRAME_DROP:
        kept, has_neutral = kept_frames(len(clip.window), corruption.strength, _generator(clip, corruption))
        window = [clip.window[place] for place in kept]
        rows = [clip.neutral if has_neutral else window[0], *window]
    drawn: list[ViewImageStacks] = []
    for row in rows:
        drawn.append(_render(clip, row, corruption, test, drawn[0] if drawn else None))
    return {channel: np.stack([images[channel] for images in drawn]) for channel in drawn[0]}


def _render(
    clip: CorruptedClip, row: ManifestRow, corruption: Corruption, test: RobustnessTest, like: ViewImageStacks | None
) -> ViewImageStacks:
    """Images of one frame; empty ones where nothing of it can be rendered, unless it is the first."""
    renderer = shared_renderer(test.render)
    try:
        face = load_canonical_scan(test.source, row, renderer.texels)
        images = render_face(renderer, corrupted(face, clip, corruption, int(row["frame"])), str(row["scan"]))
    except (ScanError, RenderError):
        if like is None:
            raise
        images = {name: empty_like(name, stack) for name, stack in like.items()}
    if corruption.name in IMAGE_CORRUPTIONS:
        return IMAGE_CORRUPTIONS[corruption.name](images, corruption.strength, _generator(clip, corruption))
    return images


def corrupted(face: FaceScan, clip: CorruptedClip, corruption: Corruption, frame: int) -> FaceScan:
    """The face after a corruption of the mesh; unchanged after any other."""
    if corruption.name in POSE_CHANGES:
        return change_pose(face, corruption.name, corruption.strength)
    if corruption.name not in MESH_CORRUPTIONS:
        return face
    word = (frame,) if corruption.name in PER_FRAME else ()
    return MESH_CORRUPTIONS[corruption.name](face, corruption.strength, _generator(clip, corruption, *word))


def _generator(clip: CorruptedClip, corruption: Corruption, *words: int) -> np.random.Generator:
    """Generator of a clip and corruption, the same in every process; strengths share their directions."""
    return np.random.default_rng([int(content_key(clip=clip.sequence, damage=corruption.name), 16) % 2**63, *words])


def summarise_robustness(predictions: pd.DataFrame) -> dict[str, Any]:
    """Accuracies, curves over strength, and the mean corruption error (Hendrycks and Dietterich 2019).

    Returns:
        ``subjects``, ``sequences``, ``corruptions``; ``models``: by name ``clean``, ``mean`` (by corruption, over
        strengths), ``intervals`` of both (95 %, over subjects; by corruption; ``none``: clean) and ``mce`` (see
        :func:`mean_corruption_error`); ``curves``: by corruption and model, accuracy at strengths 0 to 5;
        ``pose_stability``: see :func:`pose_stability`.
    """
    moved = predictions["corruption"].isin(list(POSE_CHANGES))
    stability = pose_stability(predictions)
    predictions = predictions[~moved]
    hits = predictions.assign(hit=(predictions["predicted"] == predictions["expression"]).astype(float))
    accuracy = hits.groupby(["model", "corruption", "strength"])["hit"].mean()
    corruptions = [str(name) for name in dict.fromkeys(predictions["corruption"]) if name != UNCORRUPTED]
    names = [str(name) for name in dict.fromkeys(predictions["model"])]
    clean = {name: float(accuracy[name, UNCORRUPTED, 0]) for name in names}
    under = {
        corruption: {name: accuracy[name, corruption].sort_index().tolist() for name in names}
        for corruption in corruptions
    }
    errors = pd.DataFrame(
        {
            corruption: {name: sum(1 - value for value in values) for name, values in of_models.items()}
            for corruption, of_models in under.items()
        }
    )
    models = {
        name: {
            "clean": clean[name],
            "mean": {corruption: float(np.mean(under[corruption][name])) for corruption in corruptions},
            "intervals": {
                corruption: _interval(hits[(hits["model"] == name) & (hits["corruption"] == corruption)])
                for corruption in (UNCORRUPTED, *corruptions)
            },
            "mce": mean_corruption_error(errors, name),
        }
        for name in names
    }
    curves = {
        corruption: {name: [clean[name], *under[corruption][name]] for name in names} for corruption in corruptions
    }
    return {
        "subjects": int(predictions["subject"].nunique()),
        "sequences": int(predictions["sequence"].nunique()),
        "corruptions": corruptions,
        "models": models,
        "curves": curves,
        "pose_stability": stability,
    }


def pose_stability(predictions: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Fraction of sequences whose predicted expression changes with the pose, by model and change of 5° or 5 mm.

    The mean over both directions; ``rotation`` and ``displacement`` are means over the axes. Empty where no change of
    pose was measured.
    """
    predicted = predictions.set_index(["model", "corruption", "strength", "sequence"])["predicted"]
    stability: dict[str, dict[str, float]] = {}
    for model in dict.fromkeys(predictions["model"]):
        answers = predicted[model].unstack(["corruption", "strength"])
        changed = answers.ne(answers[UNCORRUPTED, 0], axis=0).mean()
        found = {name: float(changed[name].mean()) for name in POSE_CHANGES if name in changed}
        if found:
            rotations = [share for name, share in found.items() if name not in DISPLACEMENTS]
            displacements = [share for name, share in found.items() if name in DISPLACEMENTS]
            means = {"rotation": float(np.mean(rotations)), "displacement": float(np.mean(displacements))}
            stability[str(model)] = found | means
    return stability


def _interval(hits: pd.DataFrame) -> tuple[float, float]:
    return subject_interval(hits["hit"].to_numpy(), hits["subject"], np.random.default_rng(0))


def mean_corruption_error(errors: pd.DataFrame, model: str) -> float | None:
    """Mean over corruptions of a model's errors, summed over strengths, relative to cross-entropy's.

    ``errors`` are indexed by model, one column per corruption. None without cross-entropy, or where it makes no error.
    """
    if BASELINE not in errors.index or (errors.loc[BASELINE] == 0).any():
        return None
    return float(np.mean(errors.loc[model].to_numpy() / errors.loc[BASELINE].to_numpy()))
