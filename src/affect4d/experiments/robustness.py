"""How much worse models read damaged scans: drawn again from canonical scans, one cell (damage, strength) at a time."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from affect4d.engine import IN_PROCESS, EngineOptions
from affect4d.evaluation.corruptions import (
    CORRUPTIONS,
    FRAME_DROP,
    IMAGE_CORRUPTIONS,
    MESH_CORRUPTIONS,
    PER_FRAME,
    STRENGTHS,
    ViewImageStacks,
    empty_like,
    kept_frames,
)
from affect4d.evaluation.embed import FRAMES, classify_sequences, embed_sequences
from affect4d.evaluation.metrics import subject_interval
from affect4d.evaluation.predictions import prediction_table
from affect4d.evaluation.zero_shot import class_embeddings, zero_shot_probabilities
from affect4d.experiments.tickets import run_tickets
from affect4d.models import load_model
from affect4d.models.registry import WEIGHTS_FILE
from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.canary import as_text, checked_rasteriser
from affect4d.rendering.pictures import RenderError
from affect4d.rendering.sequences import draw_face, scan_identity
from affect4d.scans.ingest import load_canonical_scan
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.source import ScanSource
from affect4d.store import ContentStore, code_version, content_key, file_digest
from affect4d.training.device import choose_device
from affect4d.views.bank import ViewBank
from affect4d.views.channels import derive_channels
from affect4d.views.dynamics import encode_dynamics
from affect4d.views.inputs import InputOptions
from affect4d.views.moments import find_moments

PEER = "cross_entropy"
UNDAMAGED = "none"
Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """One damage at one strength; strength 0 is none."""

    damage: str
    strength: int

    def __str__(self) -> str:
        return f"{self.damage} at strength {self.strength}"


@dataclass(frozen=True)
class Clip:
    """What is drawn of a sequence: its neutral frame and those round its apex, as rows of the scan manifest."""

    sequence: str
    subject: str
    expression: str
    neutral: Row
    window: tuple[Row, ...]


@dataclass(frozen=True)
class Trouble:
    """What every cell needs.

    Attributes:
        clips: Of the people who are asked about.
        source: Of their raw scans.
        render: How pictures are drawn.
        inputs: What a model sees of them.
        models: Folder of each model, by name.
        prompts: Prompt ensembles of every expression.
        device: Where models compute; see :class:`~affect4d.training.options.TrainOptions`.
    """

    clips: tuple[Clip, ...]
    source: Path | ScanSource
    render: RenderOptions
    inputs: InputOptions
    models: Mapping[str, Path]
    prompts: Mapping[str, Sequence[str]]
    device: str = "cpu"


def choose_clips(
    views: pd.DataFrame, scans: pd.DataFrame, tested: Sequence[str], people: int, seed: int, inputs: InputOptions
) -> tuple[Clip, ...]:
    """The labelled sequences of some test people, drawn by the seed.

    Args:
        views: The view manifest: says which frames are round the apex.
        scans: The scan manifest.
        tested: Test subjects.
        people: How many; all where there are fewer.
        seed: Of the draw.
        inputs: Which frames count.
    """
    order = np.random.default_rng(seed).permutation(sorted(tested))[:people]
    chosen = views[views["subject"].isin(order)].dropna(subset=["expression"])
    rows = {(row["sequence"], int(row["frame"])): row for row in scans.to_dict("records")}
    clips = []
    for view in chosen.to_dict("records"):
        moments = find_moments(pd.DataFrame([view]), inputs.frames)
        frames = moments.loc[moments["in_window"].astype(bool), "frame"].to_numpy()
        if len(frames) > FRAMES:
            frames = frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
        name = str(view["sequence"])
        neutral = rows[name, int(list(view["frames"])[int(view["neutral"])])]
        window = tuple(rows[name, int(frame)] for frame in frames)
        clips.append(Clip(name, str(view["subject"]), str(view["expression"]), neutral, window))
    return tuple(clips)


def measure_robustness(
    trouble: Trouble, damages: Sequence[str], store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> pd.DataFrame:
    """What every model says in every cell; a cell that was asked before is not asked again.

    Args:
        trouble: Whom, and which models.
        damages: Of :data:`~affect4d.evaluation.corruptions.CORRUPTIONS`; all where none is named.
        store: Where answers are kept.
        engine: Where cells are worked on.

    Returns:
        Prediction tables with the columns ``damage`` and ``strength`` in front.

    Raises:
        ValueError: If a damage is unknown; the message lists those there are.
    """
    strangers = [name for name in damages if name not in CORRUPTIONS]
    if strangers:
        raise ValueError(f"No such damage: {', '.join(strangers)}; there are {', '.join(CORRUPTIONS)}.")
    asked = [Cell(name, strength) for name in damages or CORRUPTIONS for strength in STRENGTHS]
    cells = [Cell(UNDAMAGED, 0), *asked]
    examine = functools.partial(examine_cell, trouble=trouble, store=store)
    answers = dict(run_tickets(examine, cells, "damaging scans", engine))
    return pd.concat([answers[cell] for cell in cells], ignore_index=True)


def examine_cell(cell: Cell, *, trouble: Trouble, store: ContentStore) -> pd.DataFrame:
    """Damage, draw and read every clip; kept under its content."""
    return store.table(f"damaged/{_key(cell, trouble)}.parquet", lambda: _examine(cell, trouble))


def _key(cell: Cell, trouble: Trouble) -> str:
    clips = [
        [clip.sequence, clip.expression, *(scan_identity(row) for row in (clip.neutral, *clip.window))]
        for clip in trouble.clips
    ]
    return content_key(
        cell=[cell.damage, cell.strength],
        clips=clips,
        render=trouble.render.drawn,
        views=list(trouble.render.angles),
        inputs=trouble.inputs,
        models={name: file_digest(folder / WEIGHTS_FILE) for name, folder in trouble.models.items()},
        prompts=dict(trouble.prompts),
        code=code_version(__name__),
    )


def _examine(cell: Cell, trouble: Trouble) -> pd.DataFrame:
    bank = damaged_bank(cell, trouble)
    rows = [(clip.sequence, clip.subject, clip.expression) for clip in trouble.clips]
    sequences = pd.DataFrame(rows, columns=["sequence", "subject", "expression"])
    device = choose_device(trouble.device)
    tables = [
        prediction_table(sequences, _read(load_model(folder, device), name, bank, trouble), name)
        for name, folder in trouble.models.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "strength", cell.strength)
    table.insert(0, "damage", cell.damage)
    return table


def _read(model: Any, name: str, bank: ViewBank, trouble: Trouble) -> np.ndarray:
    """Probabilities of the expressions: by the model's own head, or by prompts."""
    if name == PEER:
        return classify_sequences(model, bank, trouble.inputs, quiet=True)
    fused = embed_sequences(model, bank, trouble.inputs, quiet=True).fused
    return zero_shot_probabilities(fused, class_embeddings(model, trouble.prompts), float(model.temperature().detach()))


def damaged_bank(cell: Cell, trouble: Trouble) -> ViewBank:
    """The pictures of every clip after its damage: first the neutral frame, then what is left of the window."""
    stacks, counts = [], []
    for clip in trouble.clips:
        drawn = _draw_clip(clip, cell, trouble)
        angles = list(trouble.render.angles.values())
        pitches = [trouble.render.pitch(view) for view in trouble.render.angles]
        pictures = derive_channels(drawn, angles, trouble.inputs.channels, pitches)
        if trouble.inputs.motion == "dynamic":
            pictures = np.concatenate([pictures, encode_dynamics(pictures)], axis=2)
        stacks.append(pictures)
        counts.append(len(pictures))
    starts = np.cumsum(counts) - counts
    frame = np.concatenate([np.arange(count) for count in counts])
    return ViewBank(
        pictures=torch.from_numpy(np.concatenate(stacks)),
        neutral=torch.from_numpy(np.repeat(starts, counts)),
        sequence=torch.from_numpy(np.repeat(np.arange(len(counts)), counts)),
        frame=torch.from_numpy(frame),
        in_window=torch.from_numpy(frame > 0),
        sequences=tuple(clip.sequence for clip in trouble.clips),
        views=tuple(trouble.render.angles),
    )


def _draw_clip(clip: Clip, cell: Cell, trouble: Trouble) -> dict[str, np.ndarray]:
    """ViewImageStacks of the neutral frame and the window: channel → ``[frames, views, height, width, components]``."""
    rows = [clip.neutral, *clip.window]
    if cell.damage == FRAME_DROP:
        kept, has_neutral = kept_frames(len(clip.window), cell.strength, _generator(clip, cell))
        window = [clip.window[place] for place in kept]
        rows = [clip.neutral if has_neutral else window[0], *window]
    drawn: list[ViewImageStacks] = []
    for row in rows:
        drawn.append(_draw(clip, row, cell, trouble, drawn[0] if drawn else None))
    return {channel: np.stack([pictures[channel] for pictures in drawn]) for channel in drawn[0]}


def _draw(clip: Clip, row: Row, cell: Cell, trouble: Trouble, like: ViewImageStacks | None) -> ViewImageStacks:
    """ViewImageStacks of one frame; empty ones where nothing drawable is left of it.

    Raises:
        RenderError: If the first frame of a clip cannot be drawn.
    """
    rasteriser = checked_rasteriser(as_text(trouble.render))
    try:
        face = load_canonical_scan(trouble.source, row, rasteriser.texels)
        pictures = draw_face(rasteriser, damaged(face, clip, cell, int(row["frame"])), str(row["scan"]))
    except (ScanError, RenderError):
        if like is None:
            raise
        pictures = {name: empty_like(name, stack) for name, stack in like.items()}
    if cell.damage in IMAGE_CORRUPTIONS:
        return IMAGE_CORRUPTIONS[cell.damage](pictures, cell.strength, _generator(clip, cell))
    return pictures


def damaged(face: FaceScan, clip: Clip, cell: Cell, frame: int) -> FaceScan:
    """The face after a damage of the mesh; as it is after any other."""
    if cell.damage not in MESH_CORRUPTIONS:
        return face
    word = (frame,) if cell.damage in PER_FRAME else ()
    return MESH_CORRUPTIONS[cell.damage](face, cell.strength, _generator(clip, cell, *word))


def _generator(clip: Clip, cell: Cell, *words: int) -> np.random.Generator:
    """The same for the same clip and damage in every process; strengths share their directions."""
    return np.random.default_rng([int(content_key(clip=clip.sequence, damage=cell.damage), 16) % 2**63, *words])


def summarise_robustness(predictions: pd.DataFrame) -> dict[str, Any]:
    """Accuracies, curves over strength, and the mean corruption error (Hendrycks and Dietterich 2019).

    Args:
        predictions: See :func:`measure_robustness`.

    Returns:
        ``people``, ``sequences``, ``corruptions``; ``models``: by name ``clean``, ``mean`` (by damage, over strengths),
        ``intervals`` of both (95 %, people drawn anew; by damage; ``none``: clean) and ``mce`` (errors over strengths
        relative to cross-entropy's, mean over damages; None without that peer);
        ``curves``: by damage and model, accuracy at strengths 0 to 5.
    """
    hits = predictions.assign(hit=(predictions["predicted"] == predictions["expression"]).astype(float))
    accuracy = hits.groupby(["model", "damage", "strength"])["hit"].mean()
    damages = [str(name) for name in dict.fromkeys(predictions["damage"]) if name != UNDAMAGED]
    names = [str(name) for name in dict.fromkeys(predictions["model"])]
    clean = {name: float(accuracy[name, UNDAMAGED, 0]) for name in names}
    under = {damage: {name: accuracy[name, damage].sort_index().tolist() for name in names} for damage in damages}
    wrong = {damage: {name: sum(1 - share for share in under[damage][name]) for name in names} for damage in damages}
    errors = pd.DataFrame(wrong)
    models = {
        name: {
            "clean": clean[name],
            "mean": {damage: float(np.mean(under[damage][name])) for damage in damages},
            "intervals": {
                damage: _interval(hits[(hits["model"] == name) & (hits["damage"] == damage)])
                for damage in (UNDAMAGED, *damages)
            },
            "mce": mean_corruption_error(errors, name),
        }
        for name in names
    }
    curves = {damage: {name: [clean[name], *under[damage][name]] for name in names} for damage in damages}
    return {
        "people": int(predictions["subject"].nunique()),
        "sequences": int(predictions["sequence"].nunique()),
        "corruptions": damages,
        "models": models,
        "curves": curves,
    }


def _interval(hits: pd.DataFrame) -> tuple[float, float]:
    return subject_interval(hits["hit"].to_numpy(), hits["subject"], np.random.default_rng(0))


def mean_corruption_error(errors: pd.DataFrame, model: str) -> float | None:
    """Mean over damages of a model's errors, summed over strengths, as a share of cross-entropy's.

    Args:
        errors: Indexed by model, a column a damage.
        model: Whose.

    Returns:
        None without cross-entropy, or where it makes no error to compare with.
    """
    if PEER not in errors.index or (errors.loc[PEER] == 0).any():
        return None
    return float(np.mean(errors.loc[model].to_numpy() / errors.loc[PEER].to_numpy()))
