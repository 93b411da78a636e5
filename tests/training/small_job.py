"""A training so small that it can be interrupted often. As a program: ``small_job.py FOLDER METHOD MOMENT NUMBER``.

The program kills itself at a moment: ``step 3`` (after that step), ``epoch 0`` (in its report), ``file 12`` (half-way
through writing that file); or it trains in so many processes: ``launch 2``.
"""

import os
import signal
import sys
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

from affect4d.models import EncoderOptions, ModelOptions
from affect4d.scans.expression import EXPRESSIONS
from affect4d.training import state_and_checkpoints
from affect4d.training.cached_training import make_samples
from affect4d.training.distributed import SINGLE_PROCESS
from affect4d.training.launch import TrainingJob, launch
from affect4d.training.options import (
    AffectOptions,
    CheckpointOptions,
    CrossEntropyOptions,
    DistributedOptions,
    SmileOptions,
    TrainingRecipe,
    TrainOptions,
)
from affect4d.training.state_and_checkpoints import CheckpointFolder, CheckpointPolicy
from affect4d.training.trainer import Callbacks, ignore, train
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.bank import ViewBank
from affect4d.views.input_options import InputOptions
from affect4d.views.mixed_view_sampling import sample_schedule

SEQUENCES = tuple(f"F{subject:03d}/{expression}" for subject in (1, 2, 3) for expression in EXPRESSIONS)
FRAMES, EPOCHS = 3, int(os.environ.get("SMALL_JOB_EPOCHS", "3"))
STEPS = 3 * EPOCHS
INPUTS = InputOptions(channels=("grey", "shading"), size=24)
MODEL = ModelOptions(
    encoder=EncoderOptions(
        text="compact", image_width=64, text_width=32, text_layers=1, text_heads=2, context_length=16
    ),
    dim=16,
    projector_width=32,
)
TRAIN = TrainOptions(
    epochs=EPOCHS, batch_size=6, samples_per_sequence=1, device="cpu", threads=1, ema_decay=0.9, precision="float32"
)
OBJECTIVES = {"affect_vlm": AffectOptions(), "smile_vlm": SmileOptions(), "cross_entropy": CrossEntropyOptions()}
IDENTITY = {"configuration": "small", "data": "job"}


def small_bank():
    rows = len(SEQUENCES) * FRAMES
    place = torch.arange(rows)
    generator = torch.Generator().manual_seed(0)
    return ViewBank(
        images=torch.randint(0, 256, (rows, 3, len(INPUTS.channels), 24, 24), dtype=torch.uint8, generator=generator),
        neutral=place // FRAMES * FRAMES,
        sequence=place // FRAMES,
        frame=place % FRAMES,
        in_window=place % FRAMES > 0,
        sequences=SEQUENCES,
        views=("front", "left", "right"),
    )


def small_tables(bank, method):
    words = {sequence: sequence.split("/")[1] for sequence in SEQUENCES}
    label = "pseudo_label" if method == "smile_vlm" else "expression"
    rows = [(name, f"a face of {word}", word, "template") for name, word in words.items()]
    prompts = pd.DataFrame(rows, columns=["sequence", "prompt", label, "source"])
    plan = sample_schedule(
        bank.index(),
        MixedViewOptions(),
        epochs=EPOCHS,
        batch_size=6,
        samples_per_sequence=1,
        seed=0,
        views=bank.views,
        groups=None if method == "smile_vlm" else words,
    )
    return plan, prompts


def small_recipe(method, options=TRAIN):
    return TrainingRecipe(INPUTS, MODEL, options, OBJECTIVES[method])


def small_run(method="affect_vlm", folder=None, options=TRAIN, keep=2, policy=None, ranks=SINGLE_PROCESS, **callbacks):
    """Train; with a folder, saving after every step and resuming what is there."""
    bank, recipe = small_bank(), small_recipe(method, options)
    samples = make_samples(method, bank, *small_tables(bank, method), recipe)
    if folder is not None:
        policy = CheckpointPolicy(CheckpointFolder(folder, IDENTITY, keep), CheckpointOptions(checkpoint_minutes=0))
    return train(method, samples, bank, recipe, bank.sequences, Callbacks(**callbacks), policy, ranks)


def write_job(folder, method="affect_vlm", **distributed):
    """Write a job anew; its checkpoints stay."""
    bank, recipe = small_bank(), small_recipe(method)
    options = DistributedOptions(**{"timeout_minutes": 2, **distributed})
    checkpoints = CheckpointOptions(checkpoint_minutes=0, checkpoints=100)
    job = TrainingJob(method, recipe, bank.views, bank.sequences, IDENTITY, checkpoints, options)
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder.parent / f"{folder.name}.bank"
    save_file({"images": bank.images, "neutral": bank.neutral}, stored)
    job.save(folder, make_samples(method, bank, *small_tables(bank, method), recipe), stored)


def small_launch(folder, method="affect_vlm", on_epoch=ignore, **distributed):
    """Train in processes of their own."""
    write_job(folder, method, **distributed)
    return launch(folder, on_epoch, ignore)


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder, method, moment, number):
    callbacks = {}
    if moment == "launch":
        small_launch(folder, method, processes=number)
        return
    if moment == "step":
        callbacks["on_step"] = lambda done, loss, samples: die() if done == number else None
    elif moment == "epoch":
        callbacks["on_epoch"] = lambda epoch, terms: die() if epoch == number else None
    else:
        write, written = state_and_checkpoints.save_file, []

        def write_half(tensors, path):
            write(tensors, path)
            written.append(path)
            if len(written) == number:
                os.truncate(path, path.stat().st_size // 2)
                die()

        state_and_checkpoints.save_file = write_half
    small_run(method, folder, **callbacks)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
