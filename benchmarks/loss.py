"""The objectives, forward and backward, beside the losses of the libraries they are made of, at the same sizes."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from open_clip.loss import ClipLoss
from torch import Tensor, nn
from torch.nn.functional import normalize

from affect4d.tensor_types import Scalar
from affect4d.training.objectives import FaceTextOutputs, affect_objective, smile_objective
from affect4d.training.options import AffectOptions, SmileOptions
from benchmarks.rows import Row, alternate

NAMES = ("loss.affect", "loss.smile")

VIEWS, WIDTH, CLASSES = 3, 512, 6
PAIRS = ((0, 1), (0, 2), (1, 2))


class Heads(nn.Module):
    """The weights an objective asks a model for: temperature, margin, and no projector, as the peer has none."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(14.0))
        self.free_margin = nn.Parameter(torch.zeros(()))

    def temperature(self) -> Tensor:
        """Factor on cosines."""
        return self.scale

    def margin(self, low: float, high: float) -> Tensor:
        """α."""
        return low + (high - low) * self.free_margin.sigmoid()

    def project(self, hidden: Tensor) -> Tensor:
        """As they are."""
        return hidden


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Time and memory of both objectives; 256 samples, a tenth of the repeats when quick."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seen = draw(256, device)
    repeats = 5 if quick else 40
    heads: nn.Module = Heads().to(device)
    barlow, source = barlow_twins_peer()
    clip = ClipLoss()

    def contrasts() -> Scalar:
        images = [seen.fused, *seen.views.unbind(dim=1)]
        losses = [clip(image, seen.texts, heads.scale) for image in images]
        return losses[0] + torch.stack(losses[1:]).mean()

    def smile_peer() -> Scalar:
        pairs = [barlow(seen.hidden[:, u], seen.hidden[:, v]) for u, v in PAIRS]
        return contrasts() + torch.stack(pairs).mean() + barlow(seen.fused, seen.texts)

    miner = None
    with contextlib.suppress(ImportError):
        miner = metric_learning_peer()
    rows_of_all = seen.groups.repeat_interleave(VIEWS)

    def affect_peer() -> Scalar:
        if miner is None:
            return contrasts()
        everything = torch.cat([seen.views.flatten(0, 1), seen.texts])
        return contrasts() + miner(everything, torch.cat([rows_of_all, seen.groups]))

    library = "+ pytorch-metric-learning's ContrastiveLoss and hardest TripletMarginLoss on the same 1,024 rows"
    missing = "L_mc and L_mt have no peer here (pytorch-metric-learning is not installed)"
    measured = {
        "loss.affect": (
            lambda: affect_objective(heads, seen, AffectOptions()).loss,  # type: ignore[arg-type]
            affect_peer,
            f"open_clip ClipLoss, fused and each view; {library if miner else missing}",
        ),
        "loss.smile": (
            lambda: smile_objective(heads, seen, SmileOptions()).loss,  # type: ignore[arg-type]
            smile_peer,
            f"open_clip ClipLoss, fused and each view, + Barlow Twins ({source}) on 3 view pairs and on face–text",
        ),
    }
    for name, (ours, peer, peer_name) in measured.items():
        if wanted(name):
            yield row(name, ours, peer, peer_name, seen, repeats)


def row(
    name: str,
    ours: Callable[[], Scalar],
    peer: Callable[[], Scalar],
    peer_name: str,
    seen: FaceTextOutputs,
    repeats: int,
) -> Row:
    """One objective beside its peer."""

    def step(loss: Callable[[], Scalar]) -> None:
        loss().backward()  # type: ignore[no-untyped-call]
        if seen.fused.is_cuda:
            torch.cuda.synchronize()

    seconds = alternate(lambda: step(ours), lambda: step(peer), repeats)
    memory = [saved_megabytes(loss) for loss in (ours, peer)]
    return Row(
        name,
        1000 * seconds[0],
        "ms",
        peer_name,
        1000 * seconds[1],
        "≤1.1",
        f"forward + backward, B={len(seen.groups)}, V={VIEWS}, d={WIDTH}; kept for the backward pass: "
        f"{memory[0]:.1f} MB, peer {memory[1]:.1f} MB",
        device=seen.fused.device.type,
    )


def draw(samples: int, device: torch.device) -> FaceTextOutputs:
    """Random embeddings that want gradients."""
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        drawn = torch.randn(*shape, generator=generator).to(device)
        return normalize(drawn, dim=-1).requires_grad_()

    hidden, views = leaf(samples, VIEWS, WIDTH), leaf(samples, VIEWS, WIDTH)
    fused, texts = leaf(samples, WIDTH), leaf(samples, WIDTH)
    return FaceTextOutputs(hidden, views, fused, texts, torch.arange(samples, device=device) % CLASSES)


def barlow_twins_peer() -> tuple[Callable[[Tensor, Tensor], Scalar], str]:
    """Lightly's loss where it is installed; else the formula as its authors published it."""
    try:
        from lightly.loss import BarlowTwinsLoss
    except ImportError:
        return published_barlow_twins, "published code; lightly is not installed"
    return BarlowTwinsLoss(), "lightly"


def metric_learning_peer() -> Callable[[Tensor, Tensor], Scalar]:
    """The pair and the mined triplet loss as the field's library has them.

    Raises:
        ImportError: If it is not installed.
    """
    from pytorch_metric_learning import distances, losses, miners

    cosine = distances.CosineSimilarity()
    pairs = losses.ContrastiveLoss(pos_margin=1.0, neg_margin=0.3, distance=cosine)
    triplets, hardest = losses.TripletMarginLoss(margin=0.3, distance=cosine), miners.BatchHardMiner(distance=cosine)
    return lambda rows, labels: pairs(rows, labels) + triplets(rows, labels, hardest(rows, labels))


def published_barlow_twins(a: Tensor, b: Tensor, weight: float = 0.0051) -> Scalar:
    """Zbontar et al. 2021, as in the authors' repository: affine-free batch normalisation, matrix, two sums."""
    normal = [torch.nn.functional.batch_norm(x, None, None, training=True) for x in (a, b)]
    matrix = normal[0].T @ normal[1] / len(a)
    on_diagonal = (torch.diagonal(matrix) - 1).square().sum()
    off_diagonal = matrix.flatten()[:-1].view(len(matrix) - 1, len(matrix) + 1)[:, 1:].flatten()
    return on_diagonal + weight * off_diagonal.square().sum()


def saved_megabytes(loss: Callable[[], Scalar]) -> float:
    """What autograd keeps between forward and backward: distinct storages."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        value = loss()
    del value
    return sum(kept.values()) / 2**20
