"""A folder to hand on: it answers as the bundle does, and plain open_clip reads its encoders."""

import json

import open_clip
import pytest
import torch

from affect4d.inference.hub_folder import CONFIG_FILE, ENCODERS_FILE, PROMPTS_FILE, README, write_hub_folder
from affect4d.inference.packaged_weights import read_packaged_model
from affect4d.models import clip_tokens
from affect4d.prompts import read_prompt_set

SENTENCES = ["a joyful smiling face", "brows lowered and lips pressed together"]


@pytest.fixture(scope="module", params=["compact", "open_clip"])
def shared(request, make_bundle, tmp_path_factory):
    made = make_bundle(request.param)
    return made, write_hub_folder(made.folder, tmp_path_factory.mktemp("shared") / "model")


@pytest.fixture
def pictures(shared, generator):
    views, channels = shared[0].model.image.shape
    return torch.from_numpy(generator.uniform(-1, 1, (2, views, channels, 32, 32))).float()


@torch.inference_mode()
def test_the_folder_is_a_bundle_that_answers_alike(shared, pictures):
    made, folder = shared
    opened = read_packaged_model(folder)
    tokens = clip_tokens(SENTENCES[:1], 32)
    assert torch.equal(opened.model.embed_views(pictures).fused, made.model.embed_views(pictures).fused)
    assert torch.equal(opened.model.embed_texts(tokens), made.model.embed_texts(tokens))
    assert opened.description == read_packaged_model(made.folder).description


def test_the_prompts_may_go_back_in(shared):
    made, folder = shared
    prompts = read_packaged_model(made.folder).description.prompts
    assert {name: tuple(texts) for name, texts in read_prompt_set(folder / PROMPTS_FILE).items()} == prompts


def test_the_page_says_how_to_load_it(shared):
    made, folder = shared
    text = (folder / README).read_text()
    assert f'affect4d.load("path/to/{read_packaged_model(folder).description.name}")' in text
    assert 'model.predict("smile.ply", neutral="at_rest.ply")' in text
    assert ("open_clip.create_model" in text) == made.model.options.encoder.paired


def test_the_compact_encoder_is_not_passed_off_as_open_clips(make_bundle, tmp_path):
    folder = write_hub_folder(make_bundle("compact").folder, tmp_path / "model")
    assert not {CONFIG_FILE, ENCODERS_FILE} & {file.name for file in folder.iterdir()}


@torch.inference_mode()
@pytest.mark.parametrize("dim", [32, 48])
def test_plain_open_clip_reads_the_encoders(make_bundle, tmp_path, generator, dim):
    made = make_bundle("open_clip", dim)
    folder = write_hub_folder(made.folder, tmp_path / "model")
    theirs, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(SENTENCES)
    pictures = torch.from_numpy(generator.uniform(-1, 1, (2, 3, 32, 32))).float()
    assert torch.equal(theirs.eval().encode_image(pictures), made.model.image.tower(pictures))
    assert torch.equal(theirs.encode_text(tokens), made.model.text.tower(tokens))
    assert float(theirs.logit_scale.exp()) == pytest.approx(float(made.model.temperature()))
    steps = [step for step in transform.transforms if hasattr(step, "mean")]
    torch.testing.assert_close(steps[0]((pictures + 1) / 2), made.model.image.normalised(pictures))


def test_no_weight_lies_there_twice(make_bundle, tmp_path):
    made = make_bundle("open_clip")
    folder = write_hub_folder(made.folder, tmp_path / "model")
    sizes = {file.name: file.stat().st_size for file in folder.glob("*.safetensors")}
    assert sizes["model.safetensors"] < 0.1 * sizes[ENCODERS_FILE]
    assert json.loads((folder / CONFIG_FILE).read_text())["model_cfg"]["embed_dim"] == 32


def test_a_folder_that_was_handed_on_can_be_handed_on(make_bundle, tmp_path):
    first = write_hub_folder(make_bundle("open_clip").folder, tmp_path / "first")
    second = write_hub_folder(first, tmp_path / "second")
    assert sorted(file.name for file in first.iterdir()) == sorted(file.name for file in second.iterdir())
    assert (first / ENCODERS_FILE).read_bytes() == (second / ENCODERS_FILE).read_bytes()
    read_packaged_model(second)
