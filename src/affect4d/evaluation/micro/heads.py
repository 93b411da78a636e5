"""From a clip's features to its classes: a temporal head, and a linear one for what has no moments."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from affect4d.evaluation.micro.features import ClipFeatures
from affect4d.models.temporal import TemporalPooling

Shares = Float32[np.ndarray, "clips classes"]
Head = Callable[[ClipFeatures, np.ndarray, ClipFeatures, int], Shares]
"""(features and targets to fit on, features to judge, seed) → how surely each class is there, 0…1."""

WIDTH, ROUNDS, RATE, DECAY, DROPPED = 64, 120, 3e-3, 1e-2, 0.3
VARIANCE, STRENGTH = 0.95, 0.1


class TemporalHead(nn.Module):
    """Attention over a clip's moments, each marked with its place, then one linear unit a class."""

    def __init__(self, moments: int, width: int, classes: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(width, WIDTH)
        self.place = nn.Parameter(torch.zeros(moments, WIDTH))
        self.pool = TemporalPooling("attention", WIDTH)
        self.drop = nn.Dropout(DROPPED)
        self.out = nn.Linear(WIDTH, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[clips, moments, width] to logits [clips, classes]."""
        moments = torch.tanh(self.narrow(self.drop(features)) + self.place)
        scores: torch.Tensor = self.out(self.drop(self.pool(moments)))
        return scores


def temporal_head(known: ClipFeatures, told: np.ndarray, asked: ClipFeatures, seed: int) -> Shares:
    """Fit a :class:`TemporalHead` on clips whose classes are known; rare classes weigh as much as frequent ones."""
    mean, spread = known.mean(axis=(0, 1)), known.std(axis=(0, 1)) + 1e-6
    x, y = torch.from_numpy((known - mean) / spread), torch.from_numpy(told).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # noqa: TID251  (inside fork_rng; layers draw their weights and dropout from it)
        head = TemporalHead(known.shape[1], known.shape[2], told.shape[1])
        optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
        rarer = ((len(y) - y.sum(dim=0)) / y.sum(dim=0).clamp(min=1)).clamp(1, 10)
        for _ in range(ROUNDS):
            optimiser.zero_grad()
            binary_cross_entropy_with_logits(head(x), y, pos_weight=rarer).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.inference_mode():
        shares = head.eval()(torch.from_numpy((asked - mean) / spread)).sigmoid()
    return np.asarray(shares.numpy(), np.float32)


def linear_head(known: ClipFeatures, told: np.ndarray, asked: ClipFeatures, seed: int) -> Shares:
    """Principal components and a balanced logistic regression a class; nothing is drawn."""
    reduce = make_pipeline(StandardScaler(), PCA(VARIANCE, svd_solver="full"))
    seen, unseen = reduce.fit_transform(known.reshape(len(known), -1)), reduce.transform(asked.reshape(len(asked), -1))
    shares = np.tile(told.mean(axis=0, dtype=np.float32), (len(asked), 1))
    for place in np.flatnonzero((shares[0] > 0) & (shares[0] < 1)):  # what nobody, or everybody, showed is not learnt
        classify = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=2000)
        shares[:, place] = classify.fit(seen, told[:, place]).predict_proba(unseen)[:, 1]
    return shares
