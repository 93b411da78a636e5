"""The training loop beside a bare one: what data, guards and logging cost; on a GPU beside open_clip's."""

import contextlib
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from open_clip.loss import ClipLoss

from affect4d.malloc_and_peak_memory import keep_freed_memory
from affect4d.models import EncoderOptions, ModelOptions, build_model, text_preprocessor
from affect4d.scans.expression import EXPRESSIONS
from affect4d.training.batch_loader import make_loader
from affect4d.training.cached_training import labelled_samples, progress_bar
from affect4d.training.device import choose_device, encoder_precision, encoders_of, threads_of, with_threads
from affect4d.training.gradients_and_optimizer import build_optimizer
from affect4d.training.objectives import METHODS
from affect4d.training.options import AffectOptions, CheckpointOptions, TrainOptions
from affect4d.training.state_and_checkpoints import CheckpointFolder, CheckpointPolicy, TrainingCost
from affect4d.training.trainer import Callbacks, Trainer
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.bank import ViewBank
from affect4d.views.input_options import InputOptions
from affect4d.views.mixed_view_sampling import sample_schedule
from benchmarks.rows import Row

NAMES = ("train.overhead", "train.overhead.spare", "gpu.train")

H200_BF16_FLOPS = 989e12
"""Dense bfloat16 operations a second of an H200 (NVIDIA's data sheet); other GPUs: :data:`PEAKS`."""
PEAKS = {"H200": H200_BF16_FLOPS, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
VIEWS = ("front", "left", "right")
VIT_B_16 = EncoderOptions(image="open_clip:ViT-B-16", text="open_clip:ViT-B-16")
TINY = EncoderOptions(
    image="open_clip:tiny",
    text="open_clip:tiny",
    context_length=16,
    architecture={
        "embed_dim": 64,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "head_width": 32, "layers": 2},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
    },
)
"""For a rehearsal on a CPU."""


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Two rows on this machine's processor; one on its GPU, where there is one."""
    cores = threads_of(TrainOptions())
    if wanted("train.overhead"):
        yield overhead(quick, "train.overhead", cores, "on the cores that train")
    if wanted("train.overhead.spare") and cores > 1:
        yield overhead(quick, "train.overhead.spare", cores - 1, "on the one core that does not train")
    if wanted("gpu.train"):
        yield (
            beside_open_clip(quick)
            if torch.cuda.is_available()
            else Row("gpu.train", None, "samples/s", "open_clip's loop", target="≥1.2", note="no GPU")
        )


class Trial:
    """One model, one plan, and the pictures for it.

    Args:
        epochs: Of the plan.
        batch: Samples a step.
        inputs: What the model sees.
        encoders: Which.
        device: Where.
        stored: Side of a stored picture, pixels.
        dim: Width of the joint space.
    """

    def __init__(
        self,
        epochs: int,
        batch: int,
        inputs: InputOptions,
        encoders: EncoderOptions,
        device: str = "cpu",
        stored: int = 112,
        dim: int = 128,
    ) -> None:
        keep_freed_memory()
        names = tuple(f"F{subject:03d}/{word}" for subject in range(max(6, batch // 6)) for word in EXPRESSIONS)
        self.bank = _bank(names, len(inputs.channels), stored)
        words = {name: name.split("/")[1] for name in names}
        table = [(name, f"a face of {word}", word) for name, word in words.items()]
        prompts = pd.DataFrame(table, columns=["sequence", "prompt", "expression"])
        plan = sample_schedule(
            self.bank.index(),
            MixedViewOptions(),
            epochs=epochs,
            batch_size=batch,
            samples_per_sequence=4,
            seed=0,
            views=VIEWS,
            groups=words,
        )
        views, channels = inputs.input_shape(len(VIEWS))
        self.size = ModelOptions(encoder=encoders, dim=dim, views=views, channels=channels)
        self.options = TrainOptions(epochs=epochs, batch_size=batch, device=device, threads=torch.get_num_threads())  # type: ignore[arg-type]
        self.device, self.method = choose_device(device), METHODS["affect_vlm"]
        schedule = labelled_samples(plan, self.bank, prompts, text_preprocessor(encoders))
        self.batches = make_loader(schedule, self.bank, self.method.batch, inputs, self.device)
        self.task = self.method.task(AffectOptions())

    @property
    def samples(self) -> int:
        """Of the whole run."""
        return sum(rows.stop - rows.start for epoch in self.batches.steps for rows in epoch)

    def real(self, folder: Path) -> TrainingCost:
        """The project's loop with real data, bar and report; it is over before the first checkpoint would be due."""
        model = build_model("affect_vlm", self.size)
        policy = CheckpointPolicy(CheckpointFolder(folder, {}), CheckpointOptions())
        with progress_bar(len(self.batches.steps) * self.batches.steps_per_epoch) as on_step:
            callbacks, names = Callbacks(on_step=on_step), self.bank.sequences
            trainer = Trainer(model, self.batches, self.task, self.options, names, (), callbacks, policy)
            state = trainer.fit()
        return state.cost

    def bare(self) -> float:
        """Seconds of the shortest loop there is, on tensors that are in memory already."""
        model: Any = build_model("affect_vlm", self.size).to(self.device).train()
        for encoder in encoders_of(model):
            encoder.precision = encoder_precision(self.options, self.device)
        optimizer = build_optimizer(model, self.options)
        prepared = list(self.batches(0))
        start = time.perf_counter()
        for _ in self.batches.steps:
            for batch in prepared:
                optimizer.zero_grad()
                self.task.value(model, batch).loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        _wait(self.device)
        return time.perf_counter() - start


def overhead(quick: bool, name: str, threads: int, where: str) -> Row:
    """Samples a second of the real loop, each run beside the bare ones just before and after: a shared host wavers.

    Args:
        quick: One short run instead of six.
        name: Of the row.
        threads: Of both loops; the process has its cores all the same.
        where: Batches of the real loop are made, in words.
    """
    with with_threads(threads):
        return _overhead(quick, name, where)


def _overhead(quick: bool, name: str, where: str) -> Row:
    trial = Trial(1 if quick else 12, 36, InputOptions(), EncoderOptions(text="compact"))
    real, waiting = [], []
    bare = [trial.samples / trial.bare() for _ in range(2)][1:]  # the first warms up
    for _ in range(1 if quick else 6):
        with tempfile.TemporaryDirectory() as folder:
            cost = trial.real(Path(folder))
        real.append(trial.samples / cost.seconds)
        waiting.append(cost.waiting_seconds / cost.seconds)
        bare.append(trial.samples / trial.bare())
    ratios = [2 * rate / (before + after) for rate, before, after in zip(real, bare, bare[1:], strict=False)]
    ratio = statistics.median(ratios)
    return Row(
        name,
        statistics.median(real),
        "samples/s",
        "bare loop, tensors in memory",
        statistics.median(real) / ratio,
        "≥0.97",
        f"AffectVLM, compact encoders, batch 36, 3 views of 6 channels at 64 px from 112 px; {trial.samples} samples; "
        f"median of {len(ratios)} ratios, {min(ratios):.2f}–{max(ratios):.2f}; {statistics.median(waiting):.0%} of the "
        f"time waits for batches, which are made {where}",
    )


def beside_open_clip(
    quick: bool,
    encoder: EncoderOptions = VIT_B_16,
    device: str = "cuda",
    batch: int = 252,
    size: int = 224,
    dim: int = 512,
) -> Row:
    """ViT-B/16 with three views, in the project's loop and in open_clip's; bfloat16 where the device has it."""
    inputs = InputOptions(channels=("grey", "shading", "curvature"), motion="none", size=size)
    trial = Trial(1 if quick else 4, batch, inputs, encoder, device, stored=size + 32, dim=dim)
    with tempfile.TemporaryDirectory() as folder:
        trial.real(Path(folder) / "warm")  # kernels and allocator
        cost = trial.real(Path(folder) / "measured")
    ours = trial.samples / cost.seconds
    peer = trial.samples / _open_clip_seconds(trial)
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    peak = next((flops for part, flops in PEAKS.items() if part in name), None)
    used = "not known" if peak is None else f"{cost.flops_per_sample * ours / peak:.1%}"
    return Row(
        "gpu.train",
        ours,
        "samples/s",
        "open_clip's loop (its step, its ClipLoss, the same encoder, batches in memory)",
        peer,
        "≥1.2",
        f"{encoder.image}, batch {batch}, 3 views; model FLOPs utilisation {used} (target ≥45 %), "
        f"waiting for data {cost.waiting_seconds / cost.seconds:.1%} (target ≤2 %), "
        f"peak {cost.peak_bytes / 2**30:.1f} GiB",
        device=name,
    )


def _open_clip_seconds(trial: Trial) -> float:
    """open_clip's ``train_one_epoch``, its bare step: autocast round everything, ClipLoss, AdamW, clamped scale.

    Every view is a picture beside its sample's prompt, so that as many pictures go through the encoder.
    """
    model: Any = build_model("affect_vlm", trial.size).to(trial.device).train()
    optimizer = build_optimizer(model, trial.options)
    loss_of = ClipLoss()
    prepared = list(trial.batches(0))
    half: Any = contextlib.nullcontext
    if trial.device.type == "cuda":
        half = functools.partial(torch.autocast, "cuda", torch.bfloat16)

    def steps(epochs: int) -> float:
        start = time.perf_counter()
        for _ in range(epochs):
            for batch in prepared:
                optimizer.zero_grad()
                with half():
                    pictures = model.image.projection(
                        model.image.tower(model.image.normalised(batch.images.flatten(0, 1)))
                    )
                    texts = model.text.projection(model.text.tower(batch.texts)).repeat_interleave(len(VIEWS), dim=0)
                    images, texts = (torch.nn.functional.normalize(x, dim=-1) for x in (pictures, texts))
                    loss = loss_of(images, texts, model.temperature.logit_scale.exp())
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                with torch.no_grad():
                    model.temperature.logit_scale.clamp_(0, 4.6052)
        _wait(trial.device)
        return time.perf_counter() - start

    steps(1)
    return steps(len(trial.batches.steps))


def _bank(names: tuple[str, ...], channels: int, size: int, frames: int = 3) -> ViewBank:
    """Pictures of noise; what is on them costs nothing."""
    place = torch.arange(len(names) * frames)
    generator = torch.Generator().manual_seed(0)
    shape = (len(place), len(VIEWS), channels, size, size)
    pictures = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    frame = place % frames
    return ViewBank(pictures, place // frames * frames, place // frames, frame, frame > 0, names, VIEWS)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    if sys.argv[1:] != ["--rehearse"]:
        sys.exit("python -m benchmarks.train --rehearse goes the way of gpu.train on a CPU; else: python -m benchmarks")
    row = beside_open_clip(True, TINY, "cpu", batch=24, size=32, dim=64)
    print(f"rehearsed: {row.value:.0f} {row.unit}, peer {row.peer_value:.0f}; {row.note}")
