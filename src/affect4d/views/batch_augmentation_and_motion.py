"""Batches of a model's input, assembled from a bank: source images, augmentation, motion since the neutral frame.

Values are float32: a channel's 0…255 becomes −1…1, motion is ``motion_gain`` times a difference of two such values (so
within ±2 ``motion_gain``, usually well inside ±1). On the CPU one compiled pass over the stored images does everything
spatial, on a GPU one ``grid_sample`` per batch; both agree to the rounding of ``float32``.
"""

import functools
import importlib.util
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from affect4d.jit import Array, Number, compiled
from affect4d.rendering.channels import MISSING_TEXTURE
from affect4d.rendering.options import mirrored_name
from affect4d.tensor_types import ViewImages
from affect4d.views.augmentation import AUGMENTATIONS, ImageChange
from affect4d.views.derived_channels import DERIVED_CHANNELS
from affect4d.views.input_options import InputOptions

ImageIndices = Int64[Tensor, "samples views"]
_CPU = torch.device("cpu")
_ZERO: Number = np.float32(0)
_HALF: Number = np.float32(0.5)
_ONE: Number = np.float32(1)
_PLAIN: Number = np.int32(MISSING_TEXTURE)
LEVEL, MOTION = (0, 0xFFFF), (16, -1)
"""Shift and mask of the level and of the motion in a packed number."""


@runtime_checkable
class ImageBank(Protocol):
    """The part of a :class:`~affect4d.views.bank.ViewBank` that a batch is made from."""

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
    """Rows of an augmentation schedule as tensors, resolved against one bank; slice it to get a batch."""

    rows: Int64[Tensor, "samples views"]  # beyond the bank's length: in a further head pose
    mirror: Bool[Tensor, " samples"]
    still: Bool[Tensor, " samples"]  # no motion, as of a scan that is its own neutral
    textureless: Bool[Tensor, " samples"]  # the level of a scan without texture wherever the face is
    missing: Bool[Tensor, "samples views"]  # background alone
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
        bank_rows[:, None].expand(samples, views),
        *(never, never, never, never[:, None].expand(samples, views)),
        identity.expand(samples, views, len(identity)),
    )


def assemble_batch(
    bank: ImageBank, scheduled: ScheduledViews, options: InputOptions, device: torch.device = _CPU
) -> ViewImages:
    """The batch ``[samples, *options.input_shape(views), size, size]``; ValueError if the bank lacks a mirror image."""
    indices, neutral = _image_indices(bank, scheduled)
    change = _combined_change(scheduled, options)
    if device.type == "cpu" and bank.images.shape[-1] < 2 * options.size and _has_compiler():
        stacked = _resample_compiled(bank, (indices, neutral), change, scheduled, options)
    else:
        stacked = _resample_tensors(bank, (indices, neutral), change, scheduled, options, device)
    return torch.cat(stacked.chunk(2, dim=2), dim=1) if options.motion == "views" else stacked


def assemble_unaugmented(
    bank: ImageBank, bank_rows: Int64[Tensor, " samples"], options: InputOptions, device: torch.device = _CPU
) -> ViewImages:
    """The batch of bank rows without augmentation, every view from the same row."""
    return assemble_batch(bank, unaugmented(bank_rows, len(bank.views)), options, device)


def mirrored_views(views: tuple[str, ...]) -> Int64[Tensor, " views"]:
    """For every view, the position of the view that it becomes when its image is flipped; raises if it is missing."""
    mirrored = [mirrored_name(view) for view in views]
    missing = set(mirrored) - set(views)
    if missing:
        raise ValueError(f"Mirroring needs the views {sorted(missing)}: render them, or set mirror to 0.")
    return torch.tensor([views.index(name) for name in mirrored])


def _image_indices(bank: ImageBank, scheduled: ScheduledViews) -> tuple[ImageIndices, ImageIndices]:
    """Index of each view's image and of its neutral's; mirrored samples exchange left and right views."""
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
def _has_compiler() -> bool:
    """Whether Numba is installed; a bare training process may do without."""
    return importlib.util.find_spec("numba") is not None


def _resample_compiled(
    bank: ImageBank,
    frames: tuple[ImageIndices, ImageIndices],
    change: ImageChange,
    scheduled: ScheduledViews,
    options: InputOptions,
) -> Float32[Tensor, "samples views stacked size size"]:
    indices, neutral = frames
    gain = torch.ones(indices.numel(), len(options.channels))
    offset = torch.full_like(gain, -1.0)
    for channel, (factor, shift) in change.levels.items():
        place = options.channels.index(channel)
        gain[:, place], offset[:, place] = factor.flatten(), shift.flatten() - 1.0
    moving, size, (channels, height, width) = options.motion != "none", options.size, bank.images.shape[2:]
    stored = bank.images.flatten(0, 1).flatten(2).numpy()
    images = indices.flatten().numpy(), (neutral if moving else indices).flatten().numpy()
    transforms, levels = change.transform.flatten(0, 1).numpy(), ((gain / 127.5).numpy(), offset.numpy())
    output = np.empty((indices.numel(), channels * (2 if moving else 1), size * size), np.float32)
    plain = scheduled.textureless[:, None] & torch.tensor([name == "grey" for name in options.channels])
    lost = scheduled.missing.flatten().numpy(), plain.repeat_interleave(indices.shape[1], dim=0).numpy()
    sides, gained = (height, width, size), np.float32(options.motion_gain)
    _resample(stored, images, transforms, levels, (*lost, _backgrounds(options).numpy()), gained, moving, sides, output)
    return torch.from_numpy(output).view(*indices.shape, -1, size, size)


@compiled
def _resample(
    stored: Array,
    frames: Any,
    transforms: Array,
    levels: Any,
    lost: Any,
    gain: Number,
    moving: bool,
    sides: Any,
    output: Array,
) -> None:
    """Sample images; locating, gathering and blending are loops of their own, which the compiler vectorises."""
    (now, before), (factors, offsets), (height, width, size) = frames, levels, sides
    missing, plain, backgrounds = lost
    channels, pixels = stored.shape[1], size * size
    packed, corner = np.empty(height * width, np.int32), np.empty(pixels, np.int32)
    weights = np.empty(pixels, np.float32), np.empty(pixels, np.float32)
    first, right = np.empty(pixels, np.int32), np.empty(pixels, np.int32)
    below, last = np.empty(pixels, np.int32), np.empty(pixels, np.int32)
    sources = first, right, below, last
    for image in range(len(now)):
        if missing[image]:
            output[image] = _ZERO
            for channel in range(channels):
                output[image, channel] = backgrounds[channel] * factors[image, channel] + offsets[image, channel]
            continue
        _locate(transforms[image], height, width, size, corner, weights)
        for channel in range(channels):
            if plain[image, channel]:
                _pack_plain(stored[now[image], channel], packed)
            else:
                _pack(stored[now[image], channel], stored[before[image], channel], packed)
            _gather(packed, corner, width, sources)
            factor, offset = factors[image, channel], offsets[image, channel]
            _blend(sources, weights, LEVEL, factor, offset, output[image, channel])
            if moving:
                _blend(sources, weights, MOTION, factor * gain, _ZERO, output[image, channels + channel])


@compiled
def _locate(affine: Array, height: int, width: int, size: int, corner: Array, weights: Any) -> None:
    """For every pixel, the upper left of its four source pixels, and how far to the right and down from there."""
    across, along = weights
    zero, half, one = _ZERO, _HALF, _ONE
    wide: Number = np.float32(width)
    high: Number = np.float32(height)
    last_left: Number = np.int32(width - 2)
    last_up: Number = np.int32(height - 2)
    for row in range(size):
        v = np.float32(2 * row + 1) / np.float32(size) - one
        for column in range(size):
            u = np.float32(2 * column + 1) / np.float32(size) - one
            x: Number = ((affine[0, 0] * u + affine[0, 1] * v + affine[0, 2] + one) * wide - one) * half
            y: Number = ((affine[1, 0] * u + affine[1, 1] * v + affine[1, 2] + one) * high - one) * half
            x, y = min(max(x, zero), wide - one), min(max(y, zero), high - one)
            left, up = min(np.int32(x), last_left), min(np.int32(y), last_up)
            pixel = row * size + column
            corner[pixel] = up * np.int32(width) + left
            across[pixel] = x - np.float32(left)
            along[pixel] = y - np.float32(up)


@compiled
def _pack(image: Array, neutral: Array, packed: Array) -> None:
    """In one number, the level and, above it, its difference to the neutral's: 0 where either is background."""
    for place in range(len(image)):
        now, then = np.int32(image[place]), np.int32(neutral[place])
        packed[place] = ((now - then) * np.int32((now != 0) & (then != 0)) << 16) + now


@compiled
def _pack_plain(image: Array, packed: Array) -> None:
    """The level of a scan without texture wherever the face is; it does not move."""
    for place in range(len(image)):
        packed[place] = np.int32(image[place] != 0) * _PLAIN


@compiled
def _gather(packed: Array, corner: Array, width: int, sources: Any) -> None:
    """The four source levels of every pixel; unsigned indices, since signed ones are tested for wrap-around."""
    first, right, below, last = sources
    one, line = np.uint64(1), np.uint64(width)
    for pixel in range(len(corner)):
        place = np.uint64(corner[pixel])
        first[pixel], right[pixel] = packed[place], packed[place + one]
        below[pixel], last[pixel] = packed[place + line], packed[place + line + one]


@compiled
def _blend(sources: Any, weights: Any, bits: tuple[int, int], factor: Number, offset: Number, blended: Array) -> None:
    """Blend one of two packed numbers; ``bits``: where it begins, and the mask of the rest."""
    (first, right, below, last), (across, along), (shift, mask) = sources, weights, bits
    for pixel in range(len(blended)):
        one, two = np.float32(first[pixel] >> shift & mask), np.float32(right[pixel] >> shift & mask)
        three, four = np.float32(below[pixel] >> shift & mask), np.float32(last[pixel] >> shift & mask)
        blended[pixel] = _between(one, two, three, four, across[pixel], along[pixel]) * factor + offset


@compiled
def _between(one: Number, two: Number, three: Number, four: Number, across: Number, along: Number) -> Number:
    upper = one + across * (two - one)
    lower = three + across * (four - three)
    return upper + along * (lower - upper)


def _resample_tensors(
    bank: ImageBank,
    frames: tuple[ImageIndices, ImageIndices],
    change: ImageChange,
    scheduled: ScheduledViews,
    options: InputOptions,
    device: torch.device,
) -> Float[Tensor, "samples views stacked size size"]:
    indices, neutral = frames
    stored = _gather_with_neutral(bank, indices, neutral, options)
    _lose(stored, scheduled, options)
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


def _gather_with_neutral(
    bank: ImageBank, indices: ImageIndices, neutral: ImageIndices, options: InputOptions
) -> UInt8[Tensor, "samples views stacked height width"]:
    """Stored images, each followed by its neutral's where motion is wanted."""
    frames = [indices] if options.motion == "none" else [indices, neutral]
    places = torch.stack(frames, dim=-1)  # [samples, views, frames]
    images = bank.images.flatten(0, 1).index_select(0, places.flatten())
    return images.view(*indices.shape, -1, *images.shape[-2:])


def _lose(
    stored: UInt8[Tensor, "samples views stacked height width"], scheduled: ScheduledViews, options: InputOptions
) -> None:
    """Give textureless samples the level of a scan without texture, and missing views their background, in place."""
    if "grey" in options.channels:
        plain = torch.nonzero(scheduled.textureless).flatten().tolist()
        for channel in range(options.channels.index("grey"), stored.shape[2], len(options.channels)):
            for sample in plain:
                stored[sample, :, channel].clamp_(max=1).mul_(MISSING_TEXTURE)
    empty = _backgrounds(options).to(torch.uint8).repeat(stored.shape[2] // len(options.channels))
    stored[scheduled.missing] = empty[:, None, None]


def _backgrounds(options: InputOptions) -> Float32[Tensor, " channels"]:
    return torch.tensor([float(DERIVED_CHANNELS[name].background) for name in options.channels])


def _remove_motion_of_background(stored: UInt8[Tensor, "samples views stacked height width"]) -> None:
    """Set the neutral, in place, to the frame's own value where either shows background: nothing has moved there.

    Background is 0, which no channel has on the face; without this, a scan's ragged outline would be the strongest
    motion. Bytes wrap around, so that their difference is exact.
    """
    now, before = stored.chunk(2, dim=2)
    on_face_in_both = torch.minimum(now, before).clamp_(max=1)
    before.sub_(now).mul_(on_face_in_both).add_(now)


def _shrink(
    images: Float[Tensor, "samples views channels height width"], size: int
) -> Float[Tensor, "samples views channels rows columns"]:
    """Average whole blocks where images are stored at twice the size or more, against aliasing."""
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
