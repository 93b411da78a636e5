"""``export.*``: the packaged AffectVLM as ONNX, in full precision and as int8, beside the same model in torch.

How int8 changes answers is measured by ``scripts/measure_int8.py``: it needs people and labels.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from affect4d.inference.onnx_export_and_runtime import OnnxModel, export_onnx, input_shape, quantise_onnx
from affect4d.inference.packaged_model_description import find_packaged_model
from affect4d.inference.packaged_weights import LoadedModel, read_packaged_model
from affect4d.training.device import with_threads
from benchmarks.rows import Row, alternate

NAMES = ("export.onnx", "export.int8")
BATCH = 16


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """A frame alone and a batch of them, one thread each."""
    opened = read_packaged_model(find_packaged_model("affect_vlm"))
    drawn = np.random.default_rng(0).uniform(-1, 1, (BATCH, *input_shape(opened.description))).astype(np.float32)
    with with_threads(1), tempfile.TemporaryDirectory() as folder:
        full = export_onnx(opened, Path(folder) / "model.onnx")
        if wanted("export.onnx"):
            yield from _beside("export.onnx", OnnxModel(full, threads=1), "torch", _torch(opened), drawn, quick)
        if wanted("export.int8"):
            whole = OnnxModel(quantise_onnx(full, Path(folder) / "int8.onnx", drawn), threads=1)
            yield from _beside(
                "export.int8", whole, "the same in float32", OnnxModel(full, threads=1).answer, drawn, quick
            )


def _torch(opened: LoadedModel) -> Callable[[np.ndarray], object]:
    """The model's fused embedding, as a predictor asks for it."""

    @torch.inference_mode()
    def ask(images: np.ndarray) -> object:
        return opened.model.embed_views(torch.from_numpy(images)).fused

    return ask


def _beside(
    name: str, model: OnnxModel, peer: str, ask: Callable[[np.ndarray], object], drawn: np.ndarray, quick: bool
) -> Iterator[Row]:
    for images in (drawn[:1], drawn):
        seconds = alternate(partial(model.answer, images), partial(ask, images), 10 if quick else 60)
        note = f"{len(images)} of {images.shape[1]} views, {images.shape[-1]} px, one thread"
        yield Row(f"{name}.{len(images)}", 1000 * seconds[0], "ms", peer, 1000 * seconds[1], note=note)
