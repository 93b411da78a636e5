import pandas as pd
import pytest
import torch

from affect4d.models import EncoderOptions, ModelOptions
from affect4d.scans.expression import EXPRESSIONS
from affect4d.training.options import TrainOptions
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.bank import ViewBank
from affect4d.views.input_options import InputOptions
from affect4d.views.mixed_view_sampling import sample_schedule

FRAMES = 3
EPOCHS = 2


@pytest.fixture(scope="session")
def sequences():
    return tuple(f"F{subject:03d}/{expression}" for subject in (1, 2) for expression in EXPRESSIONS)


@pytest.fixture(scope="session")
def expressions(sequences):
    return {sequence: sequence.split("/")[1] for sequence in sequences}


@pytest.fixture(scope="session")
def bank(sequences):
    rows = len(sequences) * FRAMES
    place = torch.arange(rows)
    pictures = torch.randint(
        0, 256, (rows, 3, 2, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return ViewBank(
        images=pictures,
        neutral=place // FRAMES * FRAMES,
        sequence=place // FRAMES,
        frame=place % FRAMES,
        in_window=place % FRAMES > 0,
        sequences=sequences,
        views=("front", "left", "right"),
    )


@pytest.fixture(scope="session")
def inputs():
    return InputOptions(channels=("grey", "shading"), size=24)


@pytest.fixture(scope="session")
def prompts(expressions):
    rows = [(name, f"a face of {word} {take}", word) for name, word in expressions.items() for take in ("now", "here")]
    return pd.DataFrame(rows, columns=["sequence", "prompt", "expression"]).assign(source="template")


@pytest.fixture(scope="session")
def pseudo_prompts(prompts):
    return prompts.rename(columns={"expression": "pseudo_label"})


@pytest.fixture(scope="session")
def model_options():
    encoders = EncoderOptions(
        text="compact", image_width=64, text_width=32, text_layers=1, text_heads=2, context_length=16
    )
    return ModelOptions(encoder=encoders, dim=16, views=3, channels=4, projector_width=32)


@pytest.fixture(scope="session")
def train_options():
    return TrainOptions(epochs=EPOCHS, batch_size=6, samples_per_sequence=1, device="cpu", threads=1)


def draw_plan(bank, groups, seed=0):
    return sample_schedule(
        bank.index(),
        MixedViewOptions(),
        epochs=EPOCHS,
        batch_size=6,
        samples_per_sequence=1,
        seed=seed,
        views=bank.views,
        groups=groups,
    )


@pytest.fixture(scope="session")
def plan(bank, expressions):
    return draw_plan(bank, expressions)


@pytest.fixture(scope="session")
def unlabelled_plan(bank):
    return draw_plan(bank, None)
