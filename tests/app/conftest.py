"""Two untrained models as model_folders, and small scan files, for whoever drives the app."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def scan_files():
    """The writers of small scans that the readers are tested with."""
    place = Path(__file__).parents[1] / "scans" / "scan_files.py"
    spec = importlib.util.spec_from_file_location("app_scan_files", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory):
    """An AffectVLM and a SMILE-VLM that never learnt anything."""
    from affect4d.evaluation.zero_shot import expression_prompts
    from affect4d.inference import PackagedModel, write_packaged_model
    from affect4d.models import EncoderOptions, ModelOptions, build_model
    from affect4d.rendering.options import RenderOptions
    from affect4d.views.input_options import InputOptions

    encoders = EncoderOptions(text="compact", image_width=64, text_width=32, text_layers=1, text_heads=2)
    folder = tmp_path_factory.mktemp("models")
    for seed, kind in enumerate(("affect_vlm", "smile_vlm")):
        model = build_model(kind, ModelOptions(encoder=encoders, dim=32), seed).eval()
        told = {"name": kind, "kind": kind, "options": model.options, "inputs": InputOptions(), "crop_radius": 95.0}
        description = PackagedModel(**told, render=RenderOptions(size=64), prompts=expression_prompts())
        write_packaged_model(folder / kind, model, description)
    return [folder / "affect_vlm", folder / "smile_vlm"]
