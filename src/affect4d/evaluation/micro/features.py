"""What a clip is told by: a tower's view of its moments, the plain difference of two frames, or optical flow."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32
from torch.nn.functional import avg_pool2d, interpolate

from affect4d.evaluation.embed import ViewModel, rest
from affect4d.evaluation.micro.clips import clip_rows, since_onset
from affect4d.progress import track
from affect4d.views.augment import assemble_plain
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import InputOptions

ClipFeatures = Float32[np.ndarray, "clips moments width"]

MOMENTS = 6
SIDE, CELLS = 48, 8
NEIGHBOURS = 1
"""Frames on either side that are averaged with onset and apex, against the scanner's noise."""
CLIPS_AT_ONCE = 16


@torch.inference_mode()
def tower_features(
    model: ViewModel, bank: ViewBank, options: InputOptions, clips: pd.DataFrame, moments: int = MOMENTS
) -> ClipFeatures:
    """The image tower's output of every view at every moment, motion measured from the onset.

    Args:
        model: Anything with ``embed_views``; it is put in evaluation mode.
        bank: Pictures; no labels.
        options: Channels, motion and size the model was trained with.
        clips: Rows of :func:`~affect4d.evaluation.micro.clips.labelled_clips`.
        moments: Frames a clip.
    """
    device = rest(model)
    seen, parts = since_onset(bank, clips), []
    rows = [clip_rows(bank, clip, moments) for _, clip in clips.iterrows()]
    for start in track(range(0, len(rows), CLIPS_AT_ONCE), "embedding clips"):
        flat = torch.tensor([row for clip in rows[start : start + CLIPS_AT_ONCE] for row in clip])
        hidden = model.embed_views(assemble_plain(seen, flat, options, device)).hidden
        parts.append(hidden.flatten(1).reshape(-1, moments, hidden.shape[1] * hidden.shape[2]))
    return torch.cat(parts).cpu().float().numpy()


def difference_features(bank: ViewBank, clips: pd.DataFrame) -> ClipFeatures:
    """Apex less onset, of every view and channel, 24 pixels a side: what moved, by itself."""
    pairs = (later - earlier for earlier, later in _onset_and_apex(bank, clips))
    return np.stack([avg_pool2d(change, 2).flatten()[None].numpy() for change in pairs])


def flow_features(bank: ViewBank, clips: pd.DataFrame, channel: int = 0) -> ClipFeatures:
    """TV-L1 optical flow from onset to apex (Zach et al. 2007) in the first view, and its strain, in 8 × 8 cells.

    Args:
        bank: Pictures.
        clips: Which.
        channel: Of the bank, in which flow is found.
    """
    return np.stack([_flow(earlier[0, channel], later[0, channel]) for earlier, later in _onset_and_apex(bank, clips)])


def _flow(earlier: torch.Tensor, later: torch.Tensor) -> Float32[np.ndarray, "1 width"]:
    from skimage.registration import optical_flow_tvl1

    moved = optical_flow_tvl1(earlier.numpy(), later.numpy())  # type: ignore[no-untyped-call]  # [2, rows, columns]
    along = [np.gradient(part) for part in moved]
    strain = np.sqrt(along[0][0] ** 2 + along[1][1] ** 2 + 0.5 * (along[0][1] + along[1][0]) ** 2)
    maps = torch.from_numpy(np.stack([*moved, strain])).float()
    return np.asarray(avg_pool2d(maps, SIDE // CELLS).flatten()[None].numpy(), np.float32)


def _onset_and_apex(bank: ViewBank, clips: pd.DataFrame) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pictures round onset and apex, each averaged, [views, channels, 48, 48], 0…1."""
    for _, clip in track(list(clips.iterrows()), "looking at onset and apex"):
        rows = bank.rows_of(str(clip["sequence"]))
        onset, apex = ((bank.frame[rows] - int(clip[name])).abs().argmin() for name in ("onset", "apex"))
        yield _mean_round(bank, rows, int(onset)), _mean_round(bank, rows, int(apex))


def _mean_round(bank: ViewBank, rows: torch.Tensor, place: int) -> torch.Tensor:
    near = rows[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS + 1]
    mean = bank.pictures[near].float().mean(dim=0) / 255
    shrunk: torch.Tensor = interpolate(mean, size=(SIDE, SIDE), mode="area")
    return shrunk
