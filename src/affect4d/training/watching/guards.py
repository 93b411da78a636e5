"""What may go wrong in a step, and is said clearly: numbers that are not finite, exploding gradients, full memory."""

import contextlib
import statistics
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

WINDOW = 100
"""Steps whose gradient norms are remembered."""
EXPLOSION = 100.0
"""A gradient this many times as long as usual is reported."""
OVERFLOWS = 32
"""Scaled gradients in a row that overflow, though the scale is halved each time: from 65,536 it is then nothing."""


class NonFiniteLossError(ArithmeticError):
    """Too many steps in a row were not finite; names epoch, step, terms, and the sequences of the last batch."""


class BatchTooLargeError(RuntimeError):
    """A batch does not fit into memory; says how much of it would."""


class Statistics:
    """The running statistics of a model's batch normalisations, to go back to when a step was bad."""

    def __init__(self, model: nn.Module) -> None:
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        self._buffers = [buffer for norm in norms for buffer in norm.buffers(recurse=False)]
        self._kept: list[Tensor] = []

    @torch.no_grad()
    def keep(self) -> None:
        """Remember them as they are."""
        if not self._kept:
            self._kept = [torch.empty_like(buffer) for buffer in self._buffers]
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)

    @torch.no_grad()
    def give_back(self) -> None:
        """Put them back as they were when last kept."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(kept)


@contextlib.contextmanager
def kept_statistics(model: nn.Module) -> Iterator[None]:
    """Whatever a model sees meanwhile, its running statistics stay."""
    statistics_ = Statistics(model)
    statistics_.keep()
    try:
        yield
    finally:
        statistics_.give_back()


class FiniteGuard:
    """Leaves out steps that are not finite, with the batch named; ends the run after some in a row.

    Args:
        limit: So many in a row end the run.
        sequence_names: The bank's.
    """

    def __init__(self, limit: int, sequence_names: Sequence[str]) -> None:
        self._limit, self._names = limit, sequence_names
        self._in_a_row = 0
        self._overflows = 0
        self._norms: deque[float] = deque(maxlen=WINDOW)

    def accepts(self, terms: Mapping[str, float], sequences: Tensor, where: str, scaled: bool = False) -> bool:
        """Whether a step may be taken.

        Args:
            terms: Numbers of the step, with ``loss`` and ``gradient_norm``.
            sequences: Of the batch.
            where: ``"epoch 3, step 17"``.
            scaled: The loss was scaled: the scaler itself leaves out gradients that overflowed.

        Raises:
            NonFiniteLossError: If this one is not finite, and one too many in a row; or if no scale is small enough.
        """
        judged = [terms["loss"]] if scaled else [terms["loss"], terms["gradient_norm"]]
        if all(abs(number) < float("inf") for number in judged):
            self._in_a_row = 0
            if scaled and self._overflowed(terms["gradient_norm"], where):
                return True
            self._watch(terms["gradient_norm"], sequences, where)
            return True
        self._in_a_row += 1
        told = ", ".join(f"{name} {number:.4g}" for name, number in terms.items())
        message = f"The loss or its gradient is not finite at {where} ({told}). {self._of(sequences)}"
        if self._in_a_row >= self._limit:
            raise NonFiniteLossError(
                f"{message} That makes {self._in_a_row} in a row; the weights are those before them. Lower the "
                "learning rate, or set precision to float32."
            )
        warnings.warn(f"{message} The step is left out.", stacklevel=2)
        return False

    def _overflowed(self, norm: float, where: str) -> bool:
        """Whether a scaled gradient is not finite: the scaler leaves the step out and tries a smaller scale."""
        self._overflows = 0 if abs(norm) < float("inf") else self._overflows + 1
        if self._overflows >= OVERFLOWS:
            raise NonFiniteLossError(
                f"The gradient in float16 is not finite at {where}, for the {self._overflows}th time in a row, at ever "
                "smaller scales; the weights are those before them. Set precision to bfloat16 or float32."
            )
        return self._overflows > 0

    def _watch(self, norm: float, sequences: Tensor, where: str) -> None:
        usual = statistics.median(self._norms) if len(self._norms) >= WINDOW // 10 else None
        if usual and norm > EXPLOSION * usual:
            warnings.warn(
                f"The gradient at {where} is {norm / usual:.0f} times as long as usual ({norm:.3g}); it is clipped. "
                f"{self._of(sequences)}",
                stacklevel=3,
            )
        self._norms.append(norm)

    def _of(self, sequences: Tensor) -> str:
        names = sorted({self._names[place] for place in sequences.tolist()})
        return f"Sequences of the batch: {', '.join(names)}."


def warn_of_untouched(model: nn.Module, frozen: tuple[str, ...] = ()) -> None:
    """Name the parameters the loss does not depend on, and the parts of a model that are frozen by mistake.

    Args:
        model: After a backward pass.
        frozen: Starts of names of parameters that were asked to stay as they are.
    """
    learning: dict[str, bool] = {}
    unused = []
    for name, parameter in model.named_parameters():
        part = ".".join(name.split(".")[:2])
        learning[part] = learning.get(part, False) or parameter.requires_grad or name.startswith(frozen)
        if parameter.requires_grad and parameter.grad is None:
            unused.append(name)
    if unused:
        warnings.warn(f"The loss does not depend on {', '.join(unused)}: freeze or remove them.", stacklevel=3)
    still = [part for part, learns in learning.items() if not learns]
    if still:
        warnings.warn(f"Nothing in {', '.join(still)} learns, though freeze does not name it.", stacklevel=3)


def parts_that_fit(attempt: Callable[[int], object], samples: int, parts: int) -> int | None:
    """A number of parts in which a batch goes through: twice as many, four times, … down to two samples; None if none.

    Args:
        attempt: Run a step in so many parts; raises ``torch.OutOfMemoryError`` where they are too large.
        samples: Of the batch.
        parts: In how many it did not fit.
    """
    most = samples // 2
    while parts < most:
        parts = min(2 * parts, most)
        try:
            attempt(parts)
        except torch.OutOfMemoryError:
            continue
        return parts
    return None


def out_of_memory(samples: int, parts: int, fitting: int | None = None) -> BatchTooLargeError:
    """The error that says what would fit.

    Args:
        samples: Of the batch, on this process.
        parts: In how many it did not fit.
        fitting: In how many it does; 0 where not even two samples do, None where that was not tried.
    """
    tried = f"A batch of {samples} samples does not fit into memory" + (f" in {parts} parts" if parts > 1 else "")
    if fitting is None:
        return BatchTooLargeError(f"{tried}: raise accumulate, lower batch_size, or use more processes.")
    if not fitting:
        return BatchTooLargeError(f"{tried}, nor do two at a time: use a smaller tower or pictures, or spread it.")
    return BatchTooLargeError(
        f"{tried}; {-(-samples // fitting)} samples at a time do. Set accumulate={fitting} (the loss still sees the "
        "whole batch), or let when_memory_ends=accumulate do it."
    )
