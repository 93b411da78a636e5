"""Training samples as tensors, and batches made ahead by a second thread, in an order given by (seed, epoch) alone."""

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int64
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from affect4d.tensor_types import Labels, TextInputs, ViewImages
from affect4d.views.batch_augmentation_and_motion import ImageBank, ScheduledViews, assemble_batch
from affect4d.views.input_options import InputOptions

_PLAN = "plan."
BATCHES_AHEAD = 3


@dataclass(frozen=True)
class TrainingSamples:
    """Every sample of every step of every epoch."""

    views: ScheduledViews
    prompts: TextInputs  # the distinct ones
    prompt: Int64[Tensor, " samples"]  # position in ``prompts``
    groups: Labels  # classes, or numbers that are equal where pseudo-labels are
    sequences: Labels
    sizes: Int64[Tensor, "epochs steps"]  # samples of each step

    @property
    def steps(self) -> Sequence[Sequence[slice]]:
        """Samples of each step of each epoch."""
        ends = self.sizes.flatten().cumsum(0).view_as(self.sizes).tolist()
        return [
            [slice(end - size, end) for end, size in zip(*row, strict=True)]
            for row in zip(ends, self.sizes.tolist(), strict=True)
        ]


class SampleSplits(NamedTuple):
    """Samples to train on, and samples of held-out training subjects to choose the best epoch."""

    train: TrainingSamples
    validation: TrainingSamples | None = None


def save_samples(samples: TrainingSamples, path: Path) -> None:
    """Write samples to a safetensors file."""
    names = [field.name for field in dataclasses.fields(samples) if field.name != "views"]
    tensors = {name: getattr(samples, name) for name in names}
    plan = {f"{_PLAN}{name}": getattr(samples.views, name) for name in ScheduledViews.__slots__}
    save_file({name: tensor.contiguous() for name, tensor in {**tensors, **plan}.items()}, path)


def load_samples(path: Path) -> TrainingSamples:
    """Read samples written by :func:`save_samples`."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    plan = ScheduledViews(*(tensors.pop(f"{_PLAN}{name}") for name in ScheduledViews.__slots__))
    return TrainingSamples(plan, **tensors)


@dataclass(frozen=True)
class LabelledBatch:
    """Input of AffectVLM and the supervised baselines: augmented views, a prompt and a class for each sample."""

    images: ViewImages
    texts: TextInputs
    labels: Labels  # positions in EXPRESSIONS
    sequences: Labels  # positions in the bank, for error messages


@dataclass(frozen=True)
class UnlabelledBatch:
    """Input of SMILE-VLM: no field holds, or was made from, a human label."""

    images: ViewImages
    texts: TextInputs
    groups: Labels  # equal where pseudo-labels are
    sequences: Labels


TrainingBatch = LabelledBatch | UnlabelledBatch


@dataclass(frozen=True)
class BatchLoader:
    """Batches of a run, made from the samples of each step of each epoch."""

    steps: Sequence[Sequence[slice]]
    make: Callable[[slice], TrainingBatch]

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return len(self.steps[0])

    def batch_size(self, epoch: int, step: int) -> int:
        """Samples of a batch."""
        rows = self.steps[epoch][step]
        return int(rows.stop - rows.start)

    def __call__(self, epoch: int, first: int = 0) -> Iterator[TrainingBatch]:
        """Yield the batches of an epoch, in order, from a step on."""
        return map(self.make, self.steps[epoch][first:])

    def resume(self, epoch: int, step: int) -> Iterator[TrainingBatch]:
        """Yield the batches of an epoch from a step on, and those of all later epochs."""
        for later in range(epoch, len(self.steps)):
            yield from self(later, step if later == epoch else 0)


def make_loader(
    samples: TrainingSamples, bank: ImageBank, kind: type[TrainingBatch], inputs: InputOptions, device: torch.device
) -> BatchLoader:
    """Batches of one kind from the bank's images, which are augmented on the device."""
    prompts, groups = samples.prompts.to(device), samples.groups.to(device)

    def make(rows: slice) -> TrainingBatch:
        images = assemble_batch(bank, samples.views[rows], inputs, device)
        return kind(images, prompts[samples.prompt[rows].to(device)], groups[rows], samples.sequences[rows])

    return BatchLoader(samples.steps, make)


def split_batch(batch: Any, parts: int) -> list[Any]:
    """Parts of a batch of nearly equal size, in order; no more parts than samples."""
    fields = [field.name for field in dataclasses.fields(batch)]
    columns: list[tuple[Tensor, ...]] = [getattr(batch, name).tensor_split(parts) for name in fields]
    return [type(batch)(*column) for column in zip(*columns, strict=True) if len(column[0])]


@contextlib.contextmanager
def prefetched(batches: Iterator[Any], device: torch.device) -> Iterator[Iterator[Any]]:
    """The same batches in the same order, made by a second thread, on a GPU on its own stream; errors come in place."""
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def make() -> tuple[Any, torch.cuda.Event | None]:
        with torch.cuda.stream(stream):
            batch = next(batches, None)
            return batch, None if stream is None else stream.record_event()

    def receive() -> Iterator[Any]:
        while (item := ahead.popleft().result())[0] is not None:
            ahead.append(thread.submit(make))
            batch, event = item
            if event is not None:
                current = torch.cuda.current_stream()
                current.wait_event(event)
                for tensor in vars(batch).values():
                    if tensor.is_cuda:
                        tensor.record_stream(current)
            yield batch

    with ThreadPoolExecutor(1, "prefetch", torch.set_num_threads, (1,)) as thread:  # of that thread alone
        ahead = deque(thread.submit(make) for _ in range(BATCHES_AHEAD))
        try:
            yield receive()
        finally:
            thread.shutdown(cancel_futures=True)
