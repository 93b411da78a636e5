"""Small banks of made-up images, and the surface the rendering tests draw."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from affect4d.views.bank import ViewBank

_SPEC = importlib.util.spec_from_file_location(
    "generated_surface", Path(__file__).parents[1] / "rendering" / "generated_surface.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
sys.modules["generated_surface"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules["generated_surface"])

VIEWS = ("front", "left", "right")
FRAMES, SIZE = 4, 32


def small_bank(
    subjects: tuple[str, ...] = ("F001", "M001"), expressions: tuple[str, ...] = ("Happy", "Sad")
) -> ViewBank:
    """Smooth random images; frame 0 is neutral, frames 2 and 3 are near the apex."""
    sequences = tuple(f"{subject}/{expression}" for subject in subjects for expression in expressions)
    rows = len(sequences) * FRAMES
    coarse = torch.rand(rows, 9, 6, 6, generator=torch.Generator().manual_seed(0)) * 254 + 1
    smooth = torch.nn.functional.interpolate(coarse, SIZE, mode="bilinear")
    position = torch.arange(rows)
    return ViewBank(
        images=smooth.round().to(torch.uint8).unflatten(1, (3, 3)),
        neutral=position // FRAMES * FRAMES,
        sequence=position // FRAMES,
        frame=position % FRAMES * 10,
        in_window=position % FRAMES >= 2,
        sequences=sequences,
        views=VIEWS,
    )


@pytest.fixture
def bank() -> ViewBank:
    """Two subjects, two expressions, four frames each."""
    return small_bank()
