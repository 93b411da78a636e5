"""Batches of a model's input, assembled from a bank: source images, augmentation, motion since the neutral frame.

Values are float32: a channel's 0…255 becomes −1…1, motion is ``motion_gain`` times a difference of two such values (so
within ±2 ``motion_gain``, usually well inside ±1). On the CPU a compiled pass does everything spatial, on a GPU one
``grid_sample`` per batch; both follow the same transforms and levels.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from affect4d.rendering.options import mirrored_name
from affect4d.tensor_types import ViewImages
from affect4d.views.augmentation import AUGMENTATIONS, ImageChange
from affect4d.views.input_options import InputOptions

ImageIndices = Int64[Tensor, "samples views"]
_CPU = torch.device("cpu")


@runtime_checkable
class ImageBank(Protocol):
    """The part of a :class:`affect4d.views.bank.ViewBank` that a batch is made from."""

    @property
    def images(self) -> UInt8[Tensor, "_ views channels height width"]:
        """Unaugmented: all rows, then all rows again in every further head pose."""

    @property
    def neutral(self) -> Int64[Tensor, " rows"]:
        """Row of each row's neutral frame."""

    @property
    def views(self) -> tuple[str, ...]:
        """Names."""


@dataclass(frozen=True, slots=True)
class ScheduledViews:
    """Rows of an augmentation schedule as tensors, resolved against one bank; slice it to get a batch.

    ``rows`` are bank rows; beyond the bank's length, rows in a further head pose. ``still`` samples show no motion.
    ``values`` follow the order of ``AUGMENTATIONS``.
    """

    rows: Int64[Tensor, "samples views"]
    mirror: Bool[Tensor, " samples"]
    still: Bool[Tensor, " samples"]
    values: Float32[Tensor, "samples views augmentations"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, samples: slice | Tensor) -> "ScheduledViews":
        return ScheduledViews(*(getattr(self, name)[samples] for name in self.__slots__))


def unaugmented(bank_rows: Int64[Tensor, " samples"], views: int) -> ScheduledViews:
    """The schedule without augmentation: every view of a sample from one bank row."""
    samples = len(bank_rows)
    never = torch.zeros(samples, dtype=torch.bool)
    identity = torch.tensor([one.identity for one in AUGMENTATIONS])
    return ScheduledViews(
        bank_rows[:, None].expand(samples, views), never, never, identity.expand(samples, views, len(identity))
    )


def assemble_batch(
    bank: ImageBank, scheduled: ScheduledViews, options: InputOptions, device: torch.device = _CPU
) -> ViewImages:
    """The batch of some scheduled samples.

    Returns:
        ``[samples, *options.input_shape(views), size, size]``; with ``motion="views"`` the views' motion follows them.

    Raises:
        ValueError: If a sample is mirrored and a view's mirror image is not in the bank.
    """
    indices, neutral = _image_indices(bank, scheduled)
    change = _combined_change(scheduled, options)
    compiled = _compiled_resampler() if device.type == "cpu" and bank.images.shape[-1] < 2 * options.size else None
    if compiled is not None:
        stacked = _resample_compiled(compiled, bank, indices, neutral, change, options)
    else:
        stacked = _resample_tensors(bank, indices, neutral, change, options, device)
    return torch.cat(stacked.chunk(2, dim=2), dim=1) if options.motion == "views" else stacked


def assemble_unaugmented(
    bank: ImageBank, bank_rows: Int64[Tensor, " samples"], options: InputOptions, device: torch.device = _CPU
) -> ViewImages:
    """The batch of bank rows without augmentation, every view from the same row."""
    return assemble_batch(bank, unaugmented(bank_rows, len(bank.views)), options, device)


def mirrored_views(views: tuple[str, ...]) -> Int64[Tensor, " views"]:
    """For every view, the position of the view that it becomes when its image is flipped: "left" ↔ "right".

    Raises:
        ValueError: If a view's mirror image is missing.
    """
    mirrored = [mirrored_name(view) for view in views]
    missing = set(mirrored) - set(views)
    if missing:
        raise ValueError(f"Mirroring needs the views {sorted(missing)}: render them, or set mirror to 0.")
    return torch.tensor([views.index(name) for name in mirrored])


def _image_indices(bank: ImageBank, scheduled: ScheduledViews) -> tuple[ImageIndices, ImageIndices]:
    """Index of each view's image and of its neutral's; mirrored samples exchange their views."""
    rows, views = scheduled.rows, torch.arange(len(bank.views)).expand_as(scheduled.rows)
    if scheduled.mirror.any():
        partners = mirrored_views(bank.views)
        views = torch.where(scheduled.mirror[:, None], partners[views], views)
        rows = torch.where(scheduled.mirror[:, None], rows[:, partners], rows)
    frame, pose = rows % len(bank.neutral), rows // len(bank.neutral)
    neutral = torch.where(scheduled.still[:, None], rows, bank.neutral[frame] + pose * len(bank.neutral))
    return rows * len(bank.views) + views, neutral * len(bank.views) + views


def _combined_change(scheduled: ScheduledViews, options: InputOptions) -> ImageChange:
    """All augmentations of a batch, and its mirroring, as one transform per image and gain and offset per channel."""
    samples, views = scheduled.rows.shape
    transform = torch.zeros(samples, views, 2, 3)
    transform[..., 0, 0] = transform[..., 1, 1] = 1.0
    change = ImageChange(transform, {"grey": (torch.ones(samples, views), torch.zeros(samples, views))})
    for place, augmentation in enumerate(AUGMENTATIONS):
        augmentation.apply(change, scheduled.values[..., place])
    transform[..., 0, :] *= torch.where(scheduled.mirror, -1.0, 1.0)[:, None, None]
    levels = {channel: levels for channel, levels in change.levels.items() if channel in options.channels}
    return ImageChange(transform, levels)


@functools.cache
def _compiled_resampler() -> Callable[..., Any] | None:
    """The compiled pass; None where Numba is not installed, as beside a bare training process."""
    if importlib.util.find_spec("numba") is None:
        return None
    from affect4d.views.image_warping import resample

    return resample


def _resample_compiled(
    resample: Callable[..., Any],
    bank: ImageBank,
    indices: ImageIndices,
    neutral: ImageIndices,
    change: ImageChange,
    options: InputOptions,
) -> Float32[Tensor, "samples views stacked size size"]:
    gain = torch.ones(indices.numel(), len(options.channels))
    offset = torch.full_like(gain, -1.0)
    for channel, (factor, shift) in change.levels.items():
        place = options.channels.index(channel)
        gain[:, place], offset[:, place] = factor.flatten(), shift.flatten() - 1.0
    images = resample(
        bank.images.flatten(0, 1).numpy(),
        indices.flatten().numpy(),
        None if options.motion == "none" else neutral.flatten().numpy(),
        change.transform.flatten(0, 1).numpy(),
        ((gain / 127.5).numpy(), offset.numpy()),
        options.motion_gain,
        options.size,
    )
    return torch.from_numpy(images).view(*indices.shape, *images.shape[1:])


def _resample_tensors(
    bank: ImageBank,
    indices: ImageIndices,
    neutral: ImageIndices,
    change: ImageChange,
    options: InputOptions,
    device: torch.device,
) -> Float[Tensor, "samples views stacked size size"]:
    stored = _gather(bank, indices, neutral, options)
    if device.type == "cuda":
        stored = stored.pin_memory().to(device, non_blocking=True)
    if options.motion != "none":
        _remove_motion_of_background(stored)
    shrunk = _shrink(stored.float(), options.size).flatten(0, 1)
    grid = _sampling_grid(change.transform.flatten(0, 1).to(device), options.size)
    sampled = functional.grid_sample(shrunk, grid, padding_mode="border", align_corners=False)
    values = sampled.reshape(*indices.shape, *sampled.shape[1:]).div_(127.5).sub_(1.0)
    for channel, levels in change.levels.items():
        gain, offset = (value.to(device)[..., None, None, None] for value in levels)
        of_channel = values[:, :, options.channels.index(channel) :: len(options.channels)]
        of_channel.add_(1.0).mul_(gain).add_(offset - 1.0)
    if options.motion != "none":
        now, before = values.chunk(2, dim=2)
        before.sub_(now).mul_(-options.motion_gain)
    return values


def _gather(
    bank: ImageBank, indices: ImageIndices, neutral: ImageIndices, options: InputOptions
) -> UInt8[Tensor, "samples views stacked height width"]:
    """Stored images, each followed by its neutral's where motion is wanted: one copy of whole images."""
    frames = [indices] if options.motion == "none" else [indices, neutral]
    places = torch.stack(frames, dim=-1)  # [samples, views, frames]
    images = bank.images.flatten(0, 1).index_select(0, places.flatten())
    return images.view(*indices.shape, -1, *images.shape[-2:])


def _remove_motion_of_background(stored: UInt8[Tensor, "samples views stacked height width"]) -> None:
    """Give, in place, the neutral the frame's own value where either shows background: nothing has moved there.

    Background is 0, which no channel has on the face; the ragged outline of a scan would be the strongest motion of
    all. Bytes wrap around, so that their difference is exact; byte arithmetic is several times as fast as a selection.
    """
    now, before = stored.chunk(2, dim=2)
    on_face_in_both = torch.minimum(now, before).clamp_(max=1)
    before.sub_(now).mul_(on_face_in_both).add_(now)


def _shrink(
    images: Float[Tensor, "samples views channels height width"], size: int
) -> Float[Tensor, "samples views channels rows columns"]:
    """Average whole blocks first where images are stored at twice the size or more, so that no pixel is skipped."""
    factor = images.shape[-1] // size
    if factor < 2:
        return images
    shrunk = functional.avg_pool2d(images.flatten(0, 2)[:, None], factor)
    return shrunk.reshape(*images.shape[:3], *shrunk.shape[-2:])


def _sampling_grid(transform: Float[Tensor, "images 2 3"], size: int) -> Float[Tensor, "images size size 2"]:
    """Where every pixel is sampled, in ``grid_sample``'s −1…1 coordinates."""
    centres = (2.0 * torch.arange(size, device=transform.device) + 1.0) / size - 1.0
    across, along = centres.expand(size, size), centres[:, None].expand(size, size)
    pixels = torch.stack([across, along, torch.ones_like(across)]).flatten(1)
    return (transform @ pixels).view(-1, 2, size, size).movedim(1, -1)
