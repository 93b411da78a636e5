"""Train the landmark network on synthetic heads and write its model file, or measure it on a face model left out.

python scripts/train_landmark_network.py --ict-folder FOLDER                         # writes the model file
python scripts/train_landmark_network.py --ict-folder FOLDER --train-on procedural   # measures, writes nothing
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor, nn
from torch.nn import functional

from affect4d.scans.alignment.align import fit_landmarks
from affect4d.scans.alignment.landmark_network import CENTRE, HALF_WIDTH, MODEL_FILE, SIZE, landmark_image
from affect4d.scans.geometry import apply_pose, pose_of
from affect4d.scans.landmark_names import LANDMARK_COUNT, MIRROR
from affect4d.synthetic.varied_heads import GENERATORS, Variation, VariedHead, draw_weights, head_model, make_head

CELLS = SIZE // 4  # side of the maps from which landmarks are taken
BATCH, RATE = 32, 4e-3
VOTING = 40  # channels from which cells vote
EMPTY = -60.0  # depth, mm, in place of none
TURN, SHIFT = 6.0, 6.0  # greatest error of the pose about and along each axis, degrees and mm
TRAINING_SEED, TEST_SEED = 1, 2
FRAMES = 4  # expressions of a test subject beside the neutral one


@dataclass(frozen=True)
class Samples:
    """Depth images [samples, size, size] (mm, NaN where nothing is), and landmarks in their frame [samples, 83, 3]."""

    depths: np.ndarray
    landmarks: np.ndarray
    poses: np.ndarray  # [samples, 4, 4], from the canonical frame to that of the image


def sample(head: VariedHead, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth image and landmarks of a head, its canonical pose disturbed."""
    turn = Rotation.from_euler("xyz", rng.uniform(-TURN, TURN, 3), degrees=True).as_matrix()
    disturbance = pose_of(turn, rng.uniform(-SHIFT, SHIFT, 3) - CENTRE)
    pose = disturbance @ fit_landmarks(head.landmarks).pose
    depths = landmark_image(apply_pose(head.vertices, pose), head.faces)
    return depths.astype(np.float16), apply_pose(head.landmarks, pose), disturbance


def training_samples(generator: str, ict_folder: str | None, count: int) -> Samples:
    """As many heads, each another subject."""
    shapes = head_model(generator, ict_folder).shape_count
    rows = []
    for index in range(count):
        rng = np.random.default_rng([TRAINING_SEED, GENERATORS.index(generator), index])
        shape = rng.uniform(0.5, 1.3) * rng.normal(size=shapes)
        head = make_head(generator, ict_folder, shape, draw_weights(rng), Variation.draw(rng))
        rows.append(sample(head, rng))
    return _stacked(rows)


def test_samples(generator: str, ict_folder: str | None, subjects: int) -> Samples:
    """Unseen subjects of the face model's own shapes, each neutral first, then with ``FRAMES`` expressions."""
    shapes = head_model(generator, ict_folder).shape_count
    rows = []
    for index in range(subjects):
        rng = np.random.default_rng([TEST_SEED, GENERATORS.index(generator), index])
        shape, variation = rng.normal(size=shapes), Variation.draw(rng, strength=0.0)
        for frame in range(FRAMES + 1):
            weights = draw_weights(rng, neutral=float(frame == 0))
            rows.append(sample(make_head(generator, ict_folder, shape, weights, variation), rng))
    return _stacked(rows)


def _stacked(rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Samples:
    return Samples(*(np.stack(column) for column in zip(*rows, strict=True)))


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_block(width, width), nn.Conv2d(width, width, 3, 1, 1, bias=False))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, maps: Tensor) -> Tensor:
        """The maps and what is learnt about them."""
        return torch.relu(maps + self.norm(self.body(maps)))


class LandmarkNetwork(nn.Module):
    """Depth images [batch, size, size] in mm to 83 points and the expected error of each, mm.

    Every cell of a coarse map votes for the place of every landmark: its own place on the surface and an offset that is
    linear in the cell's features. A landmark is the mean of the votes by a softmax over the cells; the offset of the
    mean features is the mean of the offsets.
    """

    places: Tensor

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), _block(20, fine, 2), Residual(fine))
        self.down = nn.Sequential(_block(fine, middle, 2), Residual(middle))
        self.bottom = nn.Sequential(_block(middle, coarse, 2), Residual(coarse), Residual(coarse))
        self.up_coarse, self.up_middle = nn.Conv2d(coarse, middle, 1), nn.Conv2d(middle, VOTING, 1)
        self.middle, self.fine = Residual(middle), nn.Sequential(_block(VOTING + fine, VOTING), Residual(VOTING))
        self.attention = nn.Conv2d(VOTING, LANDMARK_COUNT, 1)
        self.offsets = nn.Parameter(torch.randn(LANDMARK_COUNT, VOTING, 4) / VOTING**0.5)
        self.bias = nn.Parameter(torch.zeros(LANDMARK_COUNT, 4))
        across = (np.arange(CELLS) + 0.5) / CELLS * 2 * HALF_WIDTH - HALF_WIDTH
        places = np.stack(np.meshgrid(across, -across), axis=-1).reshape(-1, 2)
        self.register_buffer("places", torch.tensor(places, dtype=torch.float32))

    def forward(self, depths: Tensor) -> tuple[Tensor, Tensor]:
        """Points [batch, 83, 3] in the frame of the image and their expected errors [batch, 83], mm."""
        there = ~torch.isnan(depths)
        heights = torch.where(there, depths, torch.full_like(depths, EMPTY))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):  # halves the time of training
            maps = self._features(_relief(heights, there.float()))
        maps = maps.float()
        weights = self.attention(maps).flatten(2).softmax(dim=-1)  # [batch, 83, cells]
        surface = functional.avg_pool2d(heights[:, None], SIZE // CELLS).flatten(2).transpose(1, 2)
        cells = torch.cat([self.places.expand(len(depths), -1, -1), surface, maps.flatten(2).transpose(1, 2)], dim=2)
        means = weights @ cells  # [batch, 83, 3 + features]
        learnt = (means[:, :, 3:, None] * self.offsets).sum(dim=2) + self.bias  # [batch, 83, 4]
        return means[:, :, :3] + 10.0 * learnt[:, :, :3], functional.softplus(learnt[:, :, 3]) + 0.05

    def _features(self, relief: Tensor) -> Tensor:
        fine = self.stem(relief)
        middle = self.down(fine)
        coarse = self.up_coarse(self.bottom(middle))
        middle = self.middle(middle + functional.interpolate(coarse, scale_factor=2.0, mode="nearest"))
        upper = functional.interpolate(self.up_middle(middle), scale_factor=2.0, mode="nearest")
        features: Tensor = self.fine(torch.cat([upper, fine], dim=1))
        return features


def _relief(heights: Tensor, there: Tensor) -> Tensor:
    """Depth, normals and presence [batch, 5, size, size]."""
    step = 4 * HALF_WIDTH / SIZE  # of a central difference, mm
    across = functional.pad(heights[:, :, 2:] - heights[:, :, :-2], (1, 1)) / step
    up = functional.pad(heights[:, :-2] - heights[:, 2:], (0, 0, 1, 1)) / step
    length = torch.sqrt(1 + across**2 + up**2)
    channels = [heights / 50, -across / length, -up / length, 1 / length, there]
    return torch.stack([channels[0], *(channel * there for channel in channels[1:4]), there], dim=1)


def train(samples: Samples, cycles: Sequence[int]) -> LandmarkNetwork:
    """The network after cycles of so many passes each, in which the rate of learning rises and falls once; seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # noqa: TID251  (inside fork_rng; layers draw their weights from it)
        network = LandmarkNetwork().to(memory_format=torch.channels_last)
    for cycle, epochs in enumerate(cycles):
        train_cycle(network, samples, epochs, np.random.default_rng(cycle))
    return network.eval()


def train_cycle(network: LandmarkNetwork, samples: Samples, epochs: int, rng: np.random.Generator) -> None:
    """Train a network for so many passes (Smith and Topin 2019, arXiv 1708.07120)."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02, fused=True)
    steps = len(samples.depths) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, epochs * steps, pct_start=0.15)
    start = time.monotonic()
    for epoch in range(epochs):
        order, total = rng.permutation(len(samples.depths)), 0.0
        for chosen in order[: steps * BATCH].reshape(steps, BATCH):
            depths, landmarks = _batch(samples, chosen, rng)
            points, errors = network(depths)
            distances = (points - landmarks).square().sum(dim=-1).add(0.25).sqrt()
            calibration = (errors.log() + distances.detach() / errors).mean()
            optimiser.zero_grad()
            (distances.mean() + calibration).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 20.0)
            optimiser.step()
            schedule.step()
            total += float(distances.mean().detach())
        sys.stderr.write(f"epoch {epoch + 1}: {total / steps:.2f} mm, {time.monotonic() - start:.0f} s\n")


def _batch(samples: Samples, chosen: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Images and landmarks, half of them mirrored, with further noise; patches, lower parts and sides are left out."""
    depths, landmarks = samples.depths[chosen].astype(np.float32), samples.landmarks[chosen].copy()
    depths += rng.uniform(0, 0.4, (len(depths), 1, 1)).astype(np.float32) * rng.normal(size=depths.shape)
    for image, points in zip(depths, landmarks, strict=True):
        if rng.random() < 0.5:
            image[:] = image[:, ::-1].copy()
            points[:] = points[list(MIRROR)] * (-1, 1, 1)
        if rng.random() < 0.3:
            row, column, tall, wide = rng.integers((0, 0, 4, 4), (SIZE, SIZE, 30, 30))
            image[row : row + tall, column : column + wide] = np.nan
        if rng.random() < 0.08:
            image[rng.integers(SIZE // 2, SIZE) :] = np.nan
        if rng.random() < 0.08:
            image[:, rng.integers(SIZE // 2, SIZE) :] = np.nan
    return torch.from_numpy(depths), torch.from_numpy(landmarks)


def locate(network: LandmarkNetwork, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Points and expected errors of all samples."""
    with torch.no_grad():
        parts = [network(torch.from_numpy(part.astype(np.float32))) for part in np.array_split(samples.depths, 16)]
    points, errors = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return points, errors


GROUPS = {
    "eyes": slice(0, 16),
    "brows": slice(16, 36),
    "nose": slice(36, 48),
    "lips": slice(48, 68),
    "contour": slice(68, 83),
}


def report(network: LandmarkNetwork, samples: Samples, title: str) -> str:
    """Median error, the same without each landmark's mean offset, the gain of movement, and the expected error."""
    points, expected = locate(network, samples)
    back = np.linalg.inv(samples.poses)
    found, true = (
        np.einsum("nij,nkj->nki", back[:, :3, :3], one) + back[:, None, :3, 3] for one in (points, samples.landmarks)
    )
    offsets = found - true
    errors = np.linalg.norm(offsets, axis=-1)
    centred = np.linalg.norm(offsets - offsets.mean(axis=0), axis=-1)
    parts = (
        f"{name} {np.median(errors[:, rows]):.1f} ({np.median(centred[:, rows]):.1f})" for name, rows in GROUPS.items()
    )
    return (
        f"{title}: median {np.median(errors):.2f} mm, p95 {np.percentile(errors, 95):.1f}; without mean offsets "
        f"{np.median(centred):.2f}; gain {gain_of_movement(found, true):.2f}; expected {np.median(expected):.2f}, "
        f"{(errors < 2 * expected).mean():.0%} within twice that; {', '.join(parts)}"
    )


def gain_of_movement(found: np.ndarray, true: np.ndarray) -> float:
    """Slope of found movement since each subject's neutral scan over the true one, of landmarks [samples, 83, 3]."""
    moves = [one.reshape(-1, FRAMES + 1, *one.shape[1:]) for one in (found, true)]
    found_move, true_move = ((one[:, 1:] - one[:, :1]).ravel() for one in moves)
    return float(found_move @ true_move / (true_move @ true_move))


def write_onnx(network: LandmarkNetwork, path: Path) -> None:
    """Write the network as an ONNX file."""
    image = torch.zeros(1, SIZE, SIZE)
    program = torch.onnx.export(
        network.to(memory_format=torch.contiguous_format),
        (image,),
        input_names=["depths"],
        output_names=["points", "errors"],
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    program.save(path)


def main() -> None:
    """Train, measure, and write the model file unless a face model is left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ict-folder", default=os.environ.get("AFFECT4D_ICT"), help="clone of ICT-FaceKit")
    parser.add_argument("--train-on", choices=GENERATORS, help="one face model only; the other is left out")
    parser.add_argument("--heads", type=int, default=4000, help="of each face model")
    parser.add_argument("--cycles", type=int, nargs="+", default=[4, 5], help="passes over them in each cycle")
    parser.add_argument("--subjects", type=int, default=60, help="test subjects of each face model")
    parser.add_argument("--output", type=Path, default=MODEL_FILE)
    given = parser.parse_args()
    used = (given.train_on,) if given.train_on else GENERATORS
    parts = [training_samples(generator, given.ict_folder, given.heads) for generator in used]
    samples = Samples(*(np.concatenate([getattr(part, name) for part in parts]) for name in Samples.__annotations__))
    network = train(samples, given.cycles)
    for generator in GENERATORS:
        tested = test_samples(generator, given.ict_folder, given.subjects)
        title = generator if generator in used else f"{generator} (left out)"
        sys.stdout.write(f"{report(network, tested, title)}\n")
    if given.train_on is None:
        write_onnx(network, given.output)


if __name__ == "__main__":
    main()
