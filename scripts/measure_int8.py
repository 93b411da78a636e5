"""What whole numbers cost: accuracy and speed of a bundle as ONNX, in full precision and as int8, on unseen people.

    python scripts/measure_int8.py PROJECT CORPUS [MODEL]

The project's finished run gives pictures and labels; the ranges of int8 are found on people of the training side.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from affect4d.evaluation.sequence_embeddings_and_probabilities import FRAMES, window_rows
from affect4d.inference.onnx_export_and_runtime import CALIBRATION, OnnxModel, export_onnx, quantise_onnx
from affect4d.inference.packaged_model_description import find_packaged_model
from affect4d.inference.packaged_weights import read_packaged_model
from affect4d.views.bank import ViewBank, load_view_bank
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented

REPEATS = 30


def main(project: str, corpus: str, model: str = "affect_vlm") -> None:
    """Print the table."""
    catalog = open_catalog(Path(project), corpus)
    opened = read_packaged_model(find_packaged_model(model))
    views = catalog.load("view_manifest").dropna(subset=["expression"]).reset_index(drop=True)
    split, inputs = catalog.load("subject_split"), opened.description.inputs
    bank = load_view_bank(views, catalog.load("view_store"), inputs)
    sides = {side: views[views["subject"].isin(split[side])] for side in ("train", "test")}

    def pictures(sequences: pd.Series, frames: int) -> list[np.ndarray]:
        return [see(bank, name, inputs, frames) for name in sequences]

    calibration = sides["train"].sample(min(CALIBRATION, len(sides["train"])), random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        full = export_onnx(opened, Path(folder) / "full.onnx")
        whole = quantise_onnx(full, Path(folder) / "int8.onnx", np.concatenate(pictures(calibration["sequence"], 1)))
        unseen = pictures(sides["test"]["sequence"], FRAMES)
        truth = sides["test"]["expression"].map(opened.description.expressions.index).to_numpy()
        report({file.stem: OnnxModel(file, threads=1) for file in (full, whole)}, unseen, truth, Path(folder))


def open_catalog(project: Path, corpus: str) -> Any:
    """The catalog of a project's newest run on a corpus."""
    bootstrap_project(project)
    with KedroSession.create(project, runtime_params={"corpus": corpus}) as session:
        return cast(KedroSession, session).load_context().catalog


def see(bank: ViewBank, sequence: str, inputs: Any, frames: int) -> np.ndarray:
    """Pictures of a sequence's apex window, as the model sees them."""
    return assemble_unaugmented(bank, torch.tensor(window_rows(bank, sequence, frames)), inputs).numpy()


def report(models: dict[str, OnnxModel], unseen: list[np.ndarray], truth: np.ndarray, folder: Path) -> None:
    """Accuracy, agreement, size; processor time of a sample alone and of sixty-four."""
    shares = {
        name: np.concatenate([model.answer(images).sequence_probabilities for images in unseen])
        for name, model in models.items()
    }
    many = np.concatenate(unseen)[:64]
    seconds = {count: alternate(models, many[:count]) for count in (1, len(many))}
    for name, found in shares.items():
        right, same = (found.argmax(1) == truth).mean(), (found.argmax(1) == shares["full"].argmax(1)).mean()
        furthest, size = np.abs(found - shares["full"]).max(), (folder / f"{name}.onnx").stat().st_size
        taken = ", ".join(f"{1000 * seconds[count][name]:.2f} ms for {count}" for count in seconds)
        sys.stdout.write(
            f"{name}: accuracy {right:.1%} of {len(truth)} sequences, same answer {same:.1%}, "
            f"furthest probability {furthest:.3f}, {size / 1e6:.2f} MB, {taken}\n"
        )


def alternate(models: dict[str, OnnxModel], images: np.ndarray) -> dict[str, float]:
    """Median processor seconds a batch, turn by turn, so that all meet the same noise."""
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(REPEATS):
        for name, model in models.items():
            start = time.process_time()
            model.answer(images)
            taken[name].append(time.process_time() - start)
    return {name: float(np.median(values[1:])) for name, values in taken.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
