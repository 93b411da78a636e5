"""Small packaged models on each kind of encoder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from affect4d.evaluation.zero_shot import expression_prompts
from affect4d.inference.packaged_model_description import Calibration, PackagedModel
from affect4d.inference.packaged_weights import write_packaged_model
from affect4d.models import AffectVLM, EncoderOptions, ModelOptions, SmileVLM, build_model
from affect4d.rendering.options import RenderOptions
from affect4d.store import ContentStore
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.write_corpus import generate_corpus
from affect4d.views.input_options import InputOptions


@dataclass(frozen=True)
class Made:
    """A packaged model, and the model it was written from."""

    folder: Path
    model: AffectVLM | SmileVLM


@pytest.fixture(scope="session")
def make_packaged_model(write_clip, tmp_path_factory) -> Callable[[str], Made]:
    """Writes a packaged model: a calibrated AffectVLM of ``"compact"`` or ``"minilm"``; SMILE-VLM of others."""

    def make(encoder: str, dim: int = 32) -> Made:
        folder = tmp_path_factory.mktemp(encoder)
        if encoder == "open_clip":
            write_clip(folder, context_length=32)
            kind, fusion, inputs = "smile_vlm", "attention", InputOptions(size=32, motion="views")
            source = f"local-dir:{folder}"
            encoders, calibration = EncoderOptions(image=source, text=source), None
        elif encoder == "timm":
            kind, fusion, inputs = "smile_vlm", "weights", InputOptions(size=32)
            encoders, calibration = EncoderOptions(image="timm:test_resnet", text="compact"), None
        else:
            kind, fusion, inputs = "affect_vlm", "weights", InputOptions(size=32)
            encoders, calibration = EncoderOptions(text=encoder), Calibration(temperature=2.0, fitted_on="nobody")
        views, channels = inputs.input_shape(3)
        model = build_model(
            kind, ModelOptions(encoder=encoders, dim=dim, views=views, channels=channels, fusion=fusion)
        ).eval()
        with torch.no_grad():
            model.image.fusion.view_scores.copy_(torch.linspace(-1, 1, views))
        description = PackagedModel(
            name=kind,
            kind=kind,
            options=model.options,
            inputs=inputs,
            render=RenderOptions(),
            crop_radius=95.0,
            prompts=expression_prompts(),
            calibration=calibration,
        )
        return Made(write_packaged_model(folder / "model", model, description), model)

    return make


@pytest.fixture(scope="session")
def raw_scans(tmp_path_factory) -> Path:
    """A folder of raw scans on disk: three frames of each expression of one synthetic face."""
    recipe = CorpusRecipe(subjects=1, seed=3, performances=PerformanceOptions(frames=3))
    return Path(generate_corpus(recipe, ContentStore(tmp_path_factory.mktemp("raw")))["root"])
