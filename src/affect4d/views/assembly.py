"""Pictures of a bank as a model sees them: the motion since the neutral frame, the planned changes, the final size.

Values are float32: a channel's 0…255 becomes −1…1, motion is ``motion_gain`` times a difference of two such values (so
within ±2 ``motion_gain``, usually well inside ±1). Everything spatial is one ``grid_sample`` a batch. Tensors only: a
training process needs nothing else.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from affect4d.tensors import ViewImages
from affect4d.views.inputs import InputOptions

HALF_A_LEVEL = 0.5 / 127.5
"""What 128, the middle of a dynamic image, is short of 0 when 0…255 becomes −1…1."""


Places = Int64[Tensor, "samples views"]


@runtime_checkable
class Pictures(Protocol):
    """The part of a bank that a batch is made from; see :class:`affect4d.views.bank.ViewBank`."""

    @property
    def pictures(self) -> UInt8[Tensor, "_ views channels height width"]:
        """As stored, before any augmentation: all rows, then all rows again in every further stance."""
        ...

    @property
    def neutral(self) -> Int64[Tensor, " rows"]:
        """Row of each row's neutral frame."""
        ...

    @property
    def views(self) -> tuple[str, ...]:
        """Names."""
        ...


@dataclass(frozen=True, slots=True)
class PlanRows:
    """Rows of a mixed-view plan as tensors, resolved against one bank; slice it to get a batch.

    Attributes:
        rows: Bank row of every view of every sample; beyond the bank's length, the row in a further stance.
        mirror: Which samples are mirrored.
        still: Which samples are shown as if nothing had moved.
        rotation: Degrees, counter-clockwise.
        scale: Factor.
        shift_x: Share of the picture's side, to the right.
        shift_y: Share of the picture's side, downwards.
        contrast: Factor on the grey channel.
        brightness: Offset on the grey channel, share of its range.
    """

    rows: Int64[Tensor, "samples views"]
    mirror: Bool[Tensor, " samples"]
    still: Bool[Tensor, " samples"]
    rotation: Float32[Tensor, "samples views"]
    scale: Float32[Tensor, "samples views"]
    shift_x: Float32[Tensor, "samples views"]
    shift_y: Float32[Tensor, "samples views"]
    contrast: Float32[Tensor, "samples views"]
    brightness: Float32[Tensor, "samples views"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, samples: slice | Tensor) -> "PlanRows":
        return PlanRows(*(getattr(self, name)[samples] for name in self.__slots__))


def unchanged(bank_rows: Int64[Tensor, " samples"], views: int) -> PlanRows:
    """The plan that changes nothing: every view of a sample from one bank row."""
    samples = len(bank_rows)
    zeros, ones = torch.zeros(samples, views), torch.ones(samples, views)
    never = torch.zeros(samples, dtype=torch.bool)
    rows = bank_rows[:, None].expand(samples, views)
    return PlanRows(rows, never, never, zeros, ones, zeros, zeros, ones, zeros)


def assemble_rows(bank: Pictures, plan: PlanRows, options: InputOptions, device: torch.device) -> ViewImages:
    """The batch that resolved rows of a plan describe; see :func:`affect4d.views.augment.assemble`."""
    shown, neutral = _places(bank, plan)
    if device.type == "cpu" and bank.pictures.shape[-1] < 2 * options.size and (look_up := _compiled_look_up()):
        return _looked_up(look_up, bank, plan, options, shown, neutral)
    pictures = _gather(bank, options, shown, neutral)
    if device.type == "cuda":
        pictures = pictures.pin_memory().to(device, non_blocking=True)
    _still_where_unseen(pictures, options)
    stored = _shrink(pictures.float(), options.size)
    samples, views = stored.shape[:2]
    grid = _sampling_grid(plan, options.size, device)
    sampled = functional.grid_sample(stored.flatten(0, 1), grid, padding_mode="border", align_corners=False)
    seen = sampled.reshape(samples, views, *sampled.shape[1:]).div_(127.5).sub_(1.0)
    _retouch_grey(seen, plan, options)
    return _with_motion(seen, plan, options)


def mirrored_views(views: tuple[str, ...]) -> Int64[Tensor, " views"]:
    """For every view, the position of the view it becomes when its picture is flipped: "left" ↔ "right".

    Raises:
        ValueError: If a view's mirror image is missing.
    """
    mirrored = [view.replace("left", "\0").replace("right", "left").replace("\0", "right") for view in views]
    missing = set(mirrored) - set(views)
    if missing:
        raise ValueError(f"Mirroring needs the views {sorted(missing)}: render them, or set mirror to 0.")
    return torch.tensor([views.index(name) for name in mirrored])


@functools.cache
def _compiled_look_up() -> Callable[..., Any] | None:
    """The loop that makes a batch on a processor, where its compiler is installed: a GPU box needs none."""
    try:
        from affect4d.views.looking_up import look_up
    except ModuleNotFoundError:
        return None
    return look_up


def _looked_up(
    look_up: Callable[..., Any], bank: Pictures, plan: PlanRows, options: InputOptions, shown: Places, neutral: Places
) -> ViewImages:
    """The batch, by that loop."""
    moving = options.motion in ("stacked", "views")
    pictures = look_up(
        bank.pictures.flatten(0, 1).numpy(),
        shown.flatten().numpy(),
        neutral.flatten().numpy() if moving else None,
        _sampling_transform(plan).numpy(),
        tuple(level.numpy() for level in _levels(plan, options)),
        options.motion_gain,
        options.size,
    )
    seen = torch.from_numpy(pictures).view(*shown.shape, *pictures.shape[1:])
    return torch.cat(seen.chunk(2, dim=2), dim=1) if options.motion == "views" else seen


def _levels(
    plan: PlanRows, options: InputOptions
) -> tuple[Float32[Tensor, "pictures channels"], Float32[Tensor, "pictures channels"]]:
    """Factor and offset from stored levels to what a model sees: :func:`_retouch_grey` and what comes after it."""
    channels, dynamic = len(options.channels), options.motion == "dynamic"
    contrast = torch.ones(plan.rows.numel(), channels * (2 if dynamic else 1))
    offset = torch.full_like(contrast, -1.0)
    if "grey" in options.channels:
        grey = options.channels.index("grey")
        contrast[:, grey::channels] = plan.contrast.flatten()[:, None]
        offset[:, grey] = 2.0 * plan.brightness.flatten() - 1.0
    if dynamic:
        offset[:, channels:] = -options.motion_gain * (contrast[:, channels:] + HALF_A_LEVEL)
        contrast[:, channels:] *= options.motion_gain
        still = plan.still.repeat_interleave(plan.rows.shape[1])
        contrast[still, channels:] = offset[still, channels:] = 0.0
    return contrast / 127.5, offset


def _places(bank: Pictures, plan: PlanRows) -> tuple[Places, Places]:
    """Where the picture of each view and its neutral's lie in the bank; mirrored samples take views crosswise."""
    rows, views = plan.rows, torch.arange(len(bank.views)).expand_as(plan.rows)
    if plan.mirror.any():
        partners = mirrored_views(bank.views)
        views = torch.where(plan.mirror[:, None], partners[views], views)
        rows = torch.where(plan.mirror[:, None], rows[:, partners], rows)
    frame, stance = rows % len(bank.neutral), rows // len(bank.neutral)
    neutral = torch.where(plan.still[:, None], rows, bank.neutral[frame] + stance * len(bank.neutral))
    return rows * len(bank.views) + views, neutral * len(bank.views) + views


def _gather(
    bank: Pictures, options: InputOptions, shown: Places, neutral: Places
) -> UInt8[Tensor, "samples views stored height width"]:
    """Stored pictures, each followed by its neutral's where motion is asked for: one copy of whole pictures."""
    frames = [shown] if options.motion in ("none", "dynamic") else [shown, neutral]
    places = torch.stack(frames, dim=-1)  # [samples, views, frames]
    pictures = bank.pictures.flatten(0, 1).index_select(0, places.flatten())
    return pictures.view(*shown.shape, -1, *pictures.shape[-2:])


def _still_where_unseen(pictures: UInt8[Tensor, "samples views stored height width"], options: InputOptions) -> None:
    """Give, in place, the neutral the frame's own value where either shows background: nothing has moved there.

    Background is 0, which no channel has on the face; the ragged outline of a scan would be the strongest motion of
    all. Bytes wrap around, so that their difference is exact; byte arithmetic is several times as fast as a selection.
    """
    if options.motion in ("none", "dynamic"):  # a bank made for dynamic images has them as further channels
        return
    shown, neutral = pictures.chunk(2, dim=2)
    on_face_in_both = torch.minimum(shown, neutral).clamp_(max=1)
    neutral.sub_(shown).mul_(on_face_in_both).add_(shown)


def _retouch_grey(
    pictures: Float[Tensor, "samples views channels height width"], plan: PlanRows, options: InputOptions
) -> None:
    """Change, in place, contrast and brightness of the texture's light; shape channels stay as measured."""
    if "grey" not in options.channels:
        return
    values = (plan.contrast, plan.brightness)
    contrast, brightness = (value.to(pictures.device)[..., None, None, None] for value in values)
    light = pictures[:, :, options.channels.index("grey") :: len(options.channels)]
    if options.motion == "dynamic":  # a difference: brightness is not in it
        light[:, :, 1:].mul_(contrast)
        light = light[:, :, :1]
    light.add_(1.0).mul_(contrast).add_(2.0 * brightness - 1.0)


def _with_motion(
    pictures: Float[Tensor, "batch rendered stored height width"], plan: PlanRows, options: InputOptions
) -> ViewImages:
    """Turn the neutral's channels into the motion since then, as further views where they shall be views."""
    if options.motion == "none":
        return pictures
    if options.motion == "dynamic":
        dynamic = pictures[:, :, len(options.channels) :].sub_(HALF_A_LEVEL).mul_(options.motion_gain)
        dynamic.masked_fill_(plan.still.to(pictures.device)[:, None, None, None, None], 0.0)
        return pictures
    shown, neutral = pictures.chunk(2, dim=2)
    neutral.sub_(shown).mul_(-options.motion_gain)
    return torch.cat([shown, neutral], dim=1) if options.motion == "views" else pictures


def _shrink(
    pictures: Float[Tensor, "samples views channels height width"], size: int
) -> Float[Tensor, "samples views channels rows columns"]:
    """Average whole blocks first where pictures are stored at twice the size or more, so that none is skipped."""
    factor = pictures.shape[-1] // size
    if factor < 2:
        return pictures
    shrunk = functional.avg_pool2d(pictures.flatten(0, 2)[:, None], factor)
    return shrunk.reshape(*pictures.shape[:3], *shrunk.shape[-2:])


def _sampling_grid(plan: PlanRows, size: int, device: torch.device) -> Float[Tensor, "pictures size size 2"]:
    """Where every pixel is taken from, in ``grid_sample``'s −1…1 coordinates: one affine map a picture, one product."""
    centres = (2.0 * torch.arange(size, device=device) + 1.0) / size - 1.0
    across, along = centres.expand(size, size), centres[:, None].expand(size, size)
    pixels = torch.stack([across, along, torch.ones_like(across)]).flatten(1)
    return (_sampling_transform(plan).to(device) @ pixels).view(-1, 2, size, size).movedim(1, -1)


def _sampling_transform(plan: PlanRows) -> Float32[Tensor, "pictures 2 3"]:
    """Affine maps from where a pixel goes to where it is taken from, in ``grid_sample``'s −1…1 coordinates."""
    angle = torch.deg2rad(plan.rotation)
    cosine, sine = torch.cos(angle) / plan.scale, torch.sin(angle) / plan.scale
    flip = torch.where(plan.mirror, -1.0, 1.0)[:, None]
    right, down = -2.0 * plan.shift_x, -2.0 * plan.shift_y
    across = torch.stack([flip * cosine, -flip * sine, flip * (cosine * right - sine * down)], dim=-1)
    along = torch.stack([sine, cosine, sine * right + cosine * down], dim=-1)
    return torch.stack([across, along], dim=-2).flatten(0, 1)
