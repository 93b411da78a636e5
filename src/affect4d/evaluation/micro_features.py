"""Micro-expression clips and their features: encoder outputs at several moments, frame differences, optical flow."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32
from torch.nn.functional import avg_pool2d, interpolate

from affect4d.evaluation.sequence_embeddings import ViewModel, rest
from affect4d.progress import track
from affect4d.scans.expression import MICRO_EXPRESSIONS, split_labels
from affect4d.views.bank import ViewBank
from affect4d.views.batches import assemble_unaugmented
from affect4d.views.input_options import InputOptions

CLIP_COLUMNS = ("sequence", "subject", "label", "onset", "apex", "offset")
MOMENTS = 6
SIDE, CELLS = 48, 8
NEIGHBOURS = 1
"""Frames on either side that are averaged with onset and apex, against sensor noise."""
CLIPS_AT_ONCE = 16

ClipFeatures = Float32[np.ndarray, "clips moments width"]


def has_clips(sequences: pd.DataFrame) -> bool:
    """Whether a corpus is of micro-expressions: it has their labels, and none of the six posed expressions."""
    return bool(sequences["expression"].isna().all() and not labelled_clips(sequences).empty)


def labelled_clips(sequences: pd.DataFrame) -> pd.DataFrame:
    """Rows with at least one class, an onset and an apex; other labels (talking, a blink) are left out.

    Columns :data:`CLIP_COLUMNS`, the last three frame numbers; a clip without an offset (null) ends with its last
    frame.
    """
    classes = sequences["label"].map(split_labels)
    known = classes.map(lambda names: bool(names) and set(names) <= set(MICRO_EXPRESSIONS))
    timed = sequences["onset"].notna() & sequences["apex"].notna()
    return sequences.loc[known & timed, list(CLIP_COLUMNS)].reset_index(drop=True)


def clip_rows(bank: ViewBank, clip: "pd.Series[Any]", moments: int) -> list[int]:
    """Bank rows of a clip at two or more moments: half spread from onset to apex, half from apex to offset."""
    rows = bank.rows_of(str(clip["sequence"]))
    numbers = bank.frame[rows].numpy()
    last = numbers[-1] if pd.isna(clip["offset"]) else clip["offset"]
    rise = np.linspace(float(clip["onset"]), float(clip["apex"]), moments - moments // 2)
    fall = np.linspace(float(clip["apex"]), float(last), moments // 2 + 1)[1:]
    places = np.abs(numbers[None, :] - np.concatenate([rise, fall])[:, None]).argmin(axis=1)
    return [int(rows[place]) for place in places]


def since_onset(bank: ViewBank, clips: pd.DataFrame) -> ViewBank:
    """The bank with every clip's onset as its neutral frame, instead of the sequence's first frame."""
    neutral = bank.neutral.clone()
    for clip in clips.to_dict("records"):
        rows = bank.rows_of(str(clip["sequence"]))
        neutral[rows] = rows[int((bank.frame[rows] - int(clip["onset"])).abs().argmin())]
    return replace(bank, neutral=neutral)


def class_targets(labels: "pd.Series[str]") -> torch.Tensor:
    """Labels as ones and zeros, [clips, classes], in the order of ``MICRO_EXPRESSIONS``."""
    return torch.tensor([[float(name in split_labels(label)) for name in MICRO_EXPRESSIONS] for label in labels])


@torch.inference_mode()
def encoder_features(
    model: ViewModel, bank: ViewBank, options: InputOptions, clips: pd.DataFrame, moments: int = MOMENTS
) -> ClipFeatures:
    """Image encoder output of every view at every moment, with motion measured from the onset."""
    device = rest(model)
    seen, parts = since_onset(bank, clips), []
    rows = [clip_rows(bank, clip, moments) for _, clip in clips.iterrows()]
    for start in track(range(0, len(rows), CLIPS_AT_ONCE), "embedding clips"):
        flat = torch.tensor([row for clip in rows[start : start + CLIPS_AT_ONCE] for row in clip])
        hidden = model.embed_views(assemble_unaugmented(seen, flat, options, device)).hidden
        parts.append(hidden.flatten(1).reshape(-1, moments, hidden.shape[1] * hidden.shape[2]))
    return torch.cat(parts).cpu().float().numpy()


def difference_features(bank: ViewBank, clips: pd.DataFrame) -> ClipFeatures:
    """Apex minus onset, of every view and channel, 24 pixels a side."""
    pairs = (later - earlier for earlier, later in _onset_and_apex(bank, clips))
    return np.stack([avg_pool2d(change, 2).flatten()[None].numpy() for change in pairs])


def flow_features(bank: ViewBank, clips: pd.DataFrame, channel: int = 0) -> ClipFeatures:
    """TV-L1 optical flow from onset to apex (Zach et al. 2007) in the first view, and its strain, in 8 × 8 cells."""
    return np.stack([_flow(earlier[0, channel], later[0, channel]) for earlier, later in _onset_and_apex(bank, clips)])


def _flow(earlier: torch.Tensor, later: torch.Tensor) -> Float32[np.ndarray, "1 width"]:
    from skimage.registration import optical_flow_tvl1

    moved = optical_flow_tvl1(earlier.numpy(), later.numpy())  # type: ignore[no-untyped-call]  # [2, rows, columns]
    along = [np.gradient(part) for part in moved]
    strain = np.sqrt(along[0][0] ** 2 + along[1][1] ** 2 + 0.5 * (along[0][1] + along[1][0]) ** 2)
    maps = torch.from_numpy(np.stack([*moved, strain])).float()
    return np.asarray(avg_pool2d(maps, SIDE // CELLS).flatten()[None].numpy(), np.float32)


def _onset_and_apex(bank: ViewBank, clips: pd.DataFrame) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images round onset and apex, each averaged, [views, channels, 48, 48], 0…1."""
    for _, clip in track(list(clips.iterrows()), "reading onset and apex"):
        rows = bank.rows_of(str(clip["sequence"]))
        onset, apex = ((bank.frame[rows] - int(clip[name])).abs().argmin() for name in ("onset", "apex"))
        yield _mean_round(bank, rows, int(onset)), _mean_round(bank, rows, int(apex))


def _mean_round(bank: ViewBank, rows: torch.Tensor, place: int) -> torch.Tensor:
    near = rows[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS + 1]
    mean = bank.images[near].float().mean(dim=0) / 255
    shrunk: torch.Tensor = interpolate(mean, size=(SIDE, SIDE), mode="area")
    return shrunk
