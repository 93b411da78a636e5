"""face-api's expression network: seven expressions from a 2D image of a face, read from the rendered front view.

``FaceExpressionNet`` of npm ``@vladmandic/face-api`` 1.7.15 (MIT; Mühler 2018, face-api.js), trained by its author on
photographs. Its weights, 0.33 MB, are an optional install.
"""

import functools
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float32
from scipy.special import softmax
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

from affect4d.evaluation.frozen_features import rows_of_some_subjects
from affect4d.evaluation.prediction_tables_and_leak_checks import labelled_rows
from affect4d.evaluation.sequence_embeddings_and_probabilities import FRAMES, window_rows
from affect4d.pretrained_files import (
    FACE_API_MANIFEST,
    FACE_API_WEIGHTS,
    PretrainedModelMissingError,
    find_pretrained_file,
)
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit
from affect4d.views.bank import ViewBank
from affect4d.views.input_options import InputOptions

CLASSES = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
"""Outputs of the network, in its order, by this project's names."""
SIX = tuple(CLASSES.index(expression) for expression in EXPRESSIONS)
SIDE = 112  # pixels a side of the network's input
MEAN_COLOUR = (122.782, 117.001, 104.298)  # of its training images: red, green, blue


def reader_version() -> str:
    """Digest of the network's weights, for cache keys; empty where they are not installed."""
    try:
        for file in (FACE_API_MANIFEST, FACE_API_WEIGHTS):
            find_pretrained_file(file)
    except PretrainedModelMissingError:
        return ""
    return FACE_API_WEIGHTS.sha256


@torch.inference_mode()
def expression_logits(
    images: Float[Tensor, "batch height width"], parameters: Mapping[str, Tensor] | None = None
) -> Float[Tensor, "batch 7"]:
    """Scores before the softmax, in the order of :data:`CLASSES`, of square grey images, 0…255.

    Raises:
        PretrainedModelMissingError: If no ``parameters`` are given and the network is not installed.
    """
    weights = _installed_parameters() if parameters is None else parameters
    square = interpolate(images[:, None], size=(SIDE, SIDE), mode="bilinear", antialias=True)
    features = (square - torch.tensor(MEAN_COLOUR)[:, None, None]) / 255
    for block in range(4):
        features = _dense_block(features, weights, f"dense{block}")
    pooled: Tensor = avg_pool2d(features, 7, 2).flatten(1)
    return pooled @ weights["fc/weights"] + weights["fc/bias"]


CROPS = (1.0, 0.85, 0.7)  # shares of the image's side
CHOICE = 120  # most training sequences on which crop and channel are chosen
IMAGES_AT_ONCE = 64

Logits = Float32[np.ndarray, "sequences 7"]


@dataclass(frozen=True)
class Reading:
    """Mean logits of sequences' apex windows, and their change since the neutral frame (0 where there is none)."""

    shown: Logits
    moved: Logits
    has_neutral: Bool[np.ndarray, " sequences"]

    def probabilities(self) -> Float[np.ndarray, "sequences 6"]:
        """Softmax over this project's expressions: of the change since the neutral frame where there is one."""
        logits = np.where(self.has_neutral[:, None], self.moved, self.shown)[:, SIX]
        return np.asarray(softmax(logits.astype(float), axis=1))


def read_expressions(bank: ViewBank, options: InputOptions, sequences: pd.DataFrame, split: SubjectSplit) -> Reading:
    """Reading of every sequence's front view in the crop and channel that name most training sequences rightly.

    Raises:
        PretrainedModelMissingError: If the network is not installed.
    """
    names, known = sequences["sequence"].to_numpy(), labelled_rows(sequences, split).train
    some = known[rows_of_some_subjects(sequences["subject"].to_numpy()[known], CHOICE)]
    truth = sequences["expression"].map(EXPRESSIONS.index).to_numpy()[some]
    channels = [place for place, name in enumerate(options.channels) if name in ("grey", "shading")] or [0]

    def accuracy(variant: tuple[int, float]) -> float:
        found = _read(bank, names[some], *variant).probabilities()
        return float((found.argmax(axis=1) == truth).mean())

    return _read(bank, names, *max(itertools.product(channels, CROPS), key=accuracy))


def _read(bank: ViewBank, names: Iterable[str], channel: int, crop: float) -> Reading:
    windows = [window_rows(bank, name, FRAMES) for name in names]
    neutral = bank.neutral[[rows[0] for rows in windows]].tolist()
    wanted = sorted({*neutral, *itertools.chain.from_iterable(windows)})
    place = {row: at for at, row in enumerate(wanted)}
    logits = np.concatenate(
        [
            expression_logits(_front(bank, wanted[start : start + IMAGES_AT_ONCE], channel, crop)).numpy()
            for start in range(0, len(wanted), IMAGES_AT_ONCE)
        ]
    )
    shown = np.stack([logits[[place[row] for row in rows]].mean(axis=0) for rows in windows])
    moved = shown - logits[[place[row] for row in neutral]]
    has_neutral = np.array([rows != [own] for rows, own in zip(windows, neutral, strict=True)])
    return Reading(shown, moved, has_neutral)


def _front(bank: ViewBank, rows: list[int], channel: int, crop: float) -> Float[Tensor, "rows side side"]:
    """Middle of the front view (of the first one, where there is none), a share ``crop`` of its side."""
    view = bank.views.index("front") if "front" in bank.views else 0
    images = bank.images[rows, view, channel].float()
    margin = round(images.shape[-1] * (1 - crop) / 2)
    return images[:, margin : images.shape[-2] - margin, margin : images.shape[-1] - margin]


def read_parameters(manifest: list[dict[str, Any]], data: bytes) -> dict[str, Tensor]:
    """Arrays of a TensorFlow.js weights file: float32, or uint8 with a scale and a minimum."""
    parameters, start = {}, 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        quantised = entry.get("quantization")
        kind = np.dtype(np.uint8 if quantised else "<f4")
        values = np.frombuffer(data, kind, math.prod(entry["shape"]), start).reshape(entry["shape"])
        start += values.nbytes
        scaled = values * quantised["scale"] + quantised["min"] if quantised else values
        parameters[entry["name"]] = torch.from_numpy(scaled.astype(np.float32))
    return parameters


@functools.cache
def _installed_parameters() -> dict[str, Tensor]:
    manifest, weights = (find_pretrained_file(file) for file in (FACE_API_MANIFEST, FACE_API_WEIGHTS))
    return read_parameters(json.loads(manifest.read_text()), weights.read_bytes())


def _dense_block(features: Tensor, weights: Mapping[str, Tensor], name: str) -> Tensor:
    """Four convolutions, each on the sum of all before it; the first one halves the image."""
    total = _convolve(features, weights, f"{name}/conv0", stride=2).relu()
    for layer in (1, 2, 3):
        total = total + _convolve(total.relu(), weights, f"{name}/conv{layer}", stride=1)
    return total.relu()


def _convolve(features: Tensor, weights: Mapping[str, Tensor], name: str, stride: int) -> Tensor:
    """A convolution, depthwise separable but for the first one, with TensorFlow's padding ("same")."""
    padded = pad(features, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
    bias = weights[f"{name}/bias"]
    if f"{name}/filters" in weights:
        return conv2d(padded, weights[f"{name}/filters"].permute(3, 2, 0, 1), bias, stride)
    depthwise = weights[f"{name}/depthwise_filter"].permute(2, 3, 0, 1)
    apart = conv2d(padded, depthwise, stride=stride, groups=len(depthwise))
    return conv2d(apart, weights[f"{name}/pointwise_filter"].permute(3, 2, 0, 1), bias)
