"""Training of a model, top to bottom: load data, build, resume, loop over epochs and steps, checkpoint, report."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from affect4d.malloc_and_peak_memory import keep_freed_memory, peak_memory
from affect4d.models import build_model
from affect4d.training.batch_loader import BatchLoader, SampleSplits, TrainingBatch, make_loader, prefetched
from affect4d.training.device import choose_device, encoder_precision, encoders_of, threads_of, with_threads
from affect4d.training.distributed import SINGLE_PROCESS, Ranks, full_weights, shard_encoders, synchronise_batchnorm
from affect4d.training.gradients_and_optimizer import (
    FiniteGuard,
    NormStatistics,
    clip_gradients,
    compute_gradients,
    explained_out_of_memory,
    freeze,
    kept_statistics,
)
from affect4d.training.objectives import METHODS, TrainingTask
from affect4d.training.options import TrainingRecipe, TrainOptions
from affect4d.training.starting_weights import load_starting_weights
from affect4d.training.state_and_checkpoints import CheckpointPolicy, TrainingCost, TrainingState, handling_sigterm
from affect4d.views.batch_augmentation_and_motion import ImageBank

EpochCallback = Callable[[int, dict[str, float]], None]
"""Takes an epoch's number and the mean of every term."""

ModelCallback = Callable[[int, nn.Module], None]
"""Takes an epoch's number and the model as it is then; must leave it in training mode."""

StepCallback = Callable[[int, float, int], None]
"""Takes the number of steps done, the loss, and the samples of the step."""


def ignore(*values: Any) -> None:
    """Callback that does nothing."""


@dataclass(frozen=True)
class Callbacks:
    """Functions called after every step and every epoch; after a resume, ``on_epoch`` for earlier epochs again."""

    on_step: StepCallback = ignore
    on_model: ModelCallback = ignore
    on_epoch: EpochCallback = ignore


NO_CALLBACKS = Callbacks()
COUNTED_SAMPLES = 4


def train(
    method: str,
    samples: SampleSplits,
    bank: ImageBank,
    recipe: TrainingRecipe,
    sequence_names: tuple[str, ...],
    callbacks: Callbacks = NO_CALLBACKS,
    policy: CheckpointPolicy | None = None,
    ranks: Ranks = SINGLE_PROCESS,
) -> tuple[Any, TrainingState]:
    """Build a model by :data:`affect4d.training.objectives.METHODS` and train it; returns it with the last state."""
    keep_freed_memory()
    chosen, recipe = METHODS[method], recipe.for_views(len(bank.views))
    device = choose_device(recipe.train.device)
    loader = make_loader(samples.train, bank, chosen.batch, recipe.inputs, device)
    validation = []
    if samples.validation is not None:
        validation = list(make_loader(samples.validation, bank, chosen.batch, recipe.inputs, device)(0))
    model, task = build_model(chosen.model, recipe.model, recipe.train.seed), chosen.task(recipe.objective)
    if recipe.start is not None:
        load_starting_weights(model, recipe.start, recipe.inputs, bank.views)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.train.seed)  # noqa: TID251  (dropout of an encoder draws from it)
        policy = policy or CheckpointPolicy()
        trainer = Trainer(
            model, loader, task, recipe.optimisation, sequence_names, validation, callbacks, policy, ranks
        )
        return model, trainer.fit()


@dataclass
class Trainer:
    """Trains a model in place: resumes the newest checkpoint, loops over epochs and steps, saves."""

    model: nn.Module
    loader: BatchLoader
    task: TrainingTask[Any, Any]
    options: TrainOptions
    sequence_names: Sequence[str]  # of the bank, for error messages
    validation: Sequence[TrainingBatch] = ()  # held-out training subjects
    callbacks: Callbacks = NO_CALLBACKS
    policy: CheckpointPolicy = field(default_factory=CheckpointPolicy)  # by default nothing is saved
    ranks: Ranks = SINGLE_PROCESS

    def __post_init__(self) -> None:
        drawn, epochs = len(self.loader.steps), self.options.epochs
        if drawn != epochs:
            raise ValueError(f"The plan was drawn for {drawn} epochs, training has {epochs}: draw it anew.")
        if self.ranks.shard and self.options.ema_decay:
            raise ValueError("A moving average of sharded weights is not kept: set ema_decay to 0, or shard to false.")
        self.device = choose_device(self.options.device)
        self.guard = FiniteGuard(self.options.nonfinite_limit, self.sequence_names)
        self.state = self._prepare()
        self.norms = NormStatistics(self.model)

    def _prepare(self) -> TrainingState:
        model, options, device = self.model, self.options, self.device
        freeze(model, options.freeze)
        model.to(device).train()
        flops = count_flops(model, self.loader, self.task)
        for encoder in encoders_of(model):
            encoder.precision = encoder_precision(options, device)  # everything after the encoders stays float32
            if options.compile:
                encoder.tower.compile()  # in place: names of weights stay
        synchronise_batchnorm(model, self.ranks, device)
        if self.ranks.shard:
            shard_encoders(model, device)
        state = TrainingState.initial(model, options, options.epochs * self.loader.steps_per_epoch, device)
        state.cost.flops_per_sample = flops
        return state

    def fit(self) -> TrainingState:
        """Train to the end; the model ends in evaluation mode, on its device. Returns the last state.

        Deterministic on a CPU: the same model, batches and options give the same weights, to the last bit, however
        often training was interrupted (:class:`TrainingInterruptedError`: on SIGTERM, after saving).
        """
        state, options = self.state, self.options
        if self.policy.resume(state):
            for epoch in range(state.epoch):
                self.callbacks.on_epoch(epoch, state.epoch_means(epoch))
        meter = CostMeter(state.cost, self.device, self.ranks)
        batches = self.ranks.share_loader(self.loader).resume(state.epoch, state.step)
        with (
            with_threads(threads_of(options, self.ranks.local_world_size)),
            handling_sigterm(self.policy.stop),
            prefetched(batches, self.device) as ahead,
        ):
            while state.epoch < options.epochs and not state.ended:
                self._train_epoch(meter.waiting(islice(ahead, self.loader.steps_per_epoch - state.step)))
                self._validate()
                self.callbacks.on_model(state.epoch, self.model)
                self.callbacks.on_epoch(state.epoch, state.epoch_means(state.epoch))
                state.next_epoch()
            stop, _ = self.ranks.any(self.policy.requests(), self.device).tolist()  # received after the last step
            meter.update()
            self.policy.apply(state, bool(stop), save=False)
        state.finish()
        return state

    def _train_epoch(self, batches: Iterator[TrainingBatch]) -> None:
        state = self.state
        for batch in batches:
            samples = self.loader.batch_size(state.epoch, state.step)
            loss, stop, save = self._train_step(batch, samples)
            self.callbacks.on_step(state.steps_done, loss, samples)
            self.policy.apply(state, stop, save)

    def _train_step(self, batch: TrainingBatch, samples: int) -> tuple[float, bool, bool]:
        """Take a step, or skip it where it is not finite; returns the loss, and requests to stop and to save."""
        state, parts = self.state, self.options.accumulate
        state.optimizer.zero_grad(set_to_none=True)
        self.norms.save()
        with explained_out_of_memory(len(batch.sequences), parts):
            value = compute_gradients(
                self.model, batch, self.task, total=samples, parts=parts, scaler=state.scaler, ranks=self.ranks
            )
        state.scaler.unscale_(state.optimizer)
        norm = clip_gradients(self.model, self.options.gradient_clip)
        terms, stop, save = self._to_numbers({**value.terms, "gradient_norm": norm})
        if self.guard.accepts(terms, batch.sequences, state.where, state.scaler.is_enabled()):
            state.take_step(terms)
        else:
            self.norms.restore()
            state.scaler.update()
        state.next_step(samples)
        return terms["loss"], stop, save

    def _to_numbers(self, terms: Mapping[str, Tensor]) -> tuple[dict[str, float], bool, bool]:
        """Terms, and any process's requests, as numbers: the only wait for the device in a step."""
        device = terms["loss"].device
        requests = self.ranks.any(self.policy.requests(), device)
        stacked = torch.stack([term.detach().to(device, torch.float32) for term in terms.values()])
        *numbers, stop, save = torch.cat([stacked, requests]).tolist()
        return dict(zip(terms, numbers, strict=True)), bool(stop), bool(save)

    def _validate(self) -> None:
        """Loss on the held-out batches; keeps the best epoch's weights, and stops when patience is exhausted.

        Every process sees all batches, so that each sample counts once; the first one's loss decides.
        """
        if not self.validation:
            return
        state, model = self.state, self.state.evaluated.eval()
        with torch.no_grad():
            losses = [float(self.task.value(model, batch).loss) for batch in self.validation]
        self.model.train()
        loss = self.ranks.from_first(sum(losses) / len(losses))
        state.validation[state.epoch] = loss
        if loss < state.best_loss:
            state.best_loss, state.best_epoch, state.best = loss, state.epoch, full_weights(model)
        state.ended = bool(self.options.patience) and state.epoch - state.best_epoch >= self.options.patience


class CostMeter:
    """Adds time and memory to a cost, from now on."""

    def __init__(self, cost: TrainingCost, device: torch.device, ranks: Ranks) -> None:
        self._cost, self._device, self._last = cost, device, time.perf_counter()
        cost.processes = max(cost.processes, ranks.world_size)
        cost.device = "cpu"
        if device.type == "cuda":
            cost.device = torch.cuda.get_device_name(device)
            torch.cuda.reset_peak_memory_stats(device)

    def waiting(self, batches: Iterator[TrainingBatch]) -> Iterator[TrainingBatch]:
        """The same batches; the time each takes to arrive is counted."""
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self._cost.waiting_seconds += time.perf_counter() - start
            if batch is None:
                return
            yield batch
            self.update()

    def update(self) -> None:
        """Add the time since the last update."""
        now = time.perf_counter()
        self._cost.seconds += now - self._last
        self._last = now
        on_gpu = self._device.type == "cuda"
        held = torch.cuda.max_memory_allocated(self._device) if on_gpu else peak_memory()
        self._cost.peak_bytes = max(self._cost.peak_bytes, held)


def count_flops(model: Any, loader: BatchLoader, task: TrainingTask[Any, Any]) -> float:
    """Operations a sample, forward and backward, on the first samples; leaves model and random state as they were."""
    rows = loader.steps[0][0]
    batch = loader.make(slice(rows.start, min(rows.stop, rows.start + COUNTED_SAMPLES)))
    with torch.random.fork_rng(), kept_statistics(model), FlopCounterMode(display=False) as counter:
        task.value(model, batch).loss.backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    return float(counter.get_total_flops()) / len(batch.sequences)
