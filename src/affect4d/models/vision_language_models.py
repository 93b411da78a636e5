"""AffectVLM, SMILE-VLM, their cross-entropy baseline and pretrained models; built by name, saved and loaded."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from affect4d.models.encoders import JointEmbedding, ViewEncoder, build_encoders, text_encoder, view_encoder
from affect4d.models.options import LOCAL_FOLDER, EncoderOptions, ModelOptions
from affect4d.tensor_types import Presence, Scalar, TextEmbeddings, TextInputs, ViewEmbeddings, ViewImages

LARGEST_SCALE = math.log(100)
FIRST_SCALE = math.log(1 / 0.07)
CLIP_SCALE = 100.0  # factor on cosines that CLIP's training ends with (Radford et al. 2021, section 2.5)
WEIGHTS_FILE = "weights.safetensors"


class Temperature(nn.Module):
    """The factor on cosines before a softmax: ``exp(logit_scale)``, held within [1, 100] (Radford et al. 2021).

    Outside the bounds the value is clamped, the gradient is not: the way back stays open.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_SCALE))

    def forward(self) -> Scalar:
        """The factor itself, 1…100."""
        clamped = self.logit_scale.clamp(0, LARGEST_SCALE)
        return (self.logit_scale + (clamped - self.logit_scale).detach()).exp()


class VisionLanguageModel(nn.Module):
    """Image and text encoder in one space, view fusion, and a temperature."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        encoders = build_encoders(options.encoder, options.channels)
        self.options = options.model_copy(update={"encoder": encoders.options})
        self.hidden_width = encoders.image_width
        self.image = view_encoder(encoders, options)
        self.text = text_encoder(encoders, options)
        self.temperature = Temperature()

    def embed_views(self, images: ViewImages, present: Presence | None = None) -> JointEmbedding:
        """Embed samples; see :class:`JointEmbedding`."""
        embedding: JointEmbedding = self.image(images, present)
        return embedding

    def preprocess_texts(self, texts: Sequence[str]) -> TextInputs:
        """Prompts as the text encoder takes them: tokens, [prompts, tokens], or sentence vectors, [prompts, 384]."""
        return self.text.preprocess(texts)

    def embed_texts(self, inputs: TextInputs) -> TextEmbeddings:
        """Embed preprocessed prompts as unit vectors, [prompts, dim]."""
        embeddings: TextEmbeddings = self.text(inputs)
        return embeddings


class AffectVLM(VisionLanguageModel):
    """AffectVLM (Behzad, Zhao 2025, arXiv 2504.19739): with a learnable margin α, by a free parameter."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__(options)
        self.free_margin = nn.Parameter(torch.zeros(()))

    def margin(self, low: float, high: float) -> Scalar:
        """α: smooth in the free parameter, and never outside [low, high]; it starts half-way."""
        return low + (high - low) * self.free_margin.sigmoid()


class Projector(nn.Module):
    """Two linear layers, and batch normalisation over all views between them (Zbontar et al. 2021, shallower)."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(hidden, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width, bias=False)
        )

    def forward(self, hidden: ViewEmbeddings) -> ViewEmbeddings:
        """[batch, views, hidden] to [batch, views, width]."""
        projected: ViewEmbeddings = self.layers(hidden.flatten(0, 1)).view(*hidden.shape[:2], -1)
        return projected


class SmileVLM(VisionLanguageModel):
    """SMILE-VLM (Behzad 2025, arXiv 2506.01203): with the projector of the decorrelation term."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__(options)
        self.projector = Projector(self.hidden_width, options.projector_width)

    def project(self, hidden: ViewEmbeddings) -> ViewEmbeddings:
        """Hidden states of the views as the decorrelation term sees them, [batch, views, projector width]."""
        projected: ViewEmbeddings = self.projector(hidden)
        return projected


class ViewClassifier(nn.Module):
    """The cross-entropy baseline: the same image encoder and view fusion, of hidden states, under a linear head."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        encoders = build_encoders(options.encoder, options.channels)
        width = encoders.image_width
        self.options = options.model_copy(update={"encoder": encoders.options})
        shape = {"views": options.views, "channels": options.channels, "dim": width}
        self.image = ViewEncoder(encoders, nn.Identity(), fusion=options.fusion, **shape)
        self.head = nn.Linear(width, options.classes)

    def embed_views(self, images: ViewImages, present: Presence | None = None) -> JointEmbedding:
        """Embed samples; the joint space is that of the hidden states."""
        embedding: JointEmbedding = self.image(images, present)
        return embedding

    def classify(self, images: ViewImages, present: Presence | None = None) -> Float[Tensor, "batch classes"]:
        """Class scores before the softmax, [batch, classes]."""
        hidden = self.image.hidden(images, present)
        scores: Tensor = self.head(self.image.fusion(hidden, present))
        return scores


class PretrainedModel(nn.Module):
    """A published vision-language model, views embedded one by one and averaged; images have ``size`` pixels a side."""

    def __init__(self, options: EncoderOptions) -> None:
        super().__init__()
        if options.pretrained is None and not str(options.open_clip_name).startswith(LOCAL_FOLDER):
            raise ValueError(
                f"{options.image!r} without weights has learnt nothing: name an open_clip tag or a .safetensors file "
                f'as `pretrained`, or a folder as "{LOCAL_FOLDER}…".'
            )
        encoders = build_encoders(options, channels=3)
        shape = ModelOptions(encoder=options, dim=encoders.image_width, views=1, channels=3)
        self.image, self.text, self.scale = view_encoder(encoders, shape), text_encoder(encoders, shape), CLIP_SCALE
        side = getattr(encoders.image, "image_size", 224)
        self.size = int(side[0] if isinstance(side, tuple | list) else side)

    def embed_views(self, images: ViewImages) -> JointEmbedding:
        """Embed samples; images are −1…1, of one channel (shown as grey) or three."""
        coloured = images.flatten(0, 1).expand(-1, 3, -1, -1)  # [batch × views, 3, size, size]
        views = self.image(coloured.unsqueeze(1)).views.view(*images.shape[:2], -1)
        return JointEmbedding(views, views, normalize(views.mean(dim=1), dim=-1))

    def embed_texts(self, inputs: TextInputs) -> TextEmbeddings:
        """Embed preprocessed prompts as unit vectors, [prompts, dim]."""
        embeddings: TextEmbeddings = self.text(inputs)
        return embeddings

    def preprocess_texts(self, texts: Sequence[str]) -> TextInputs:
        """Tokens of prompts, [prompts, tokens]."""
        return self.text.preprocess(texts)


Model = AffectVLM | SmileVLM | ViewClassifier

MODELS: Mapping[str, Callable[[ModelOptions], Model]] = {
    "affect_vlm": AffectVLM,
    "smile_vlm": SmileVLM,
    "view_classifier": ViewClassifier,
}


def build_model(name: str, options: ModelOptions, seed: int = 0) -> Model:
    """Build one of :data:`MODELS`; the same seed gives the same weights, and the caller's random state is kept."""
    if name not in MODELS:
        raise ValueError(f"There is no model {name!r}; known models: {', '.join(sorted(MODELS))}.")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return MODELS[name](options)


def save_model(model: nn.Module, folder: Path, weights: Mapping[str, Tensor] | None = None) -> Path:
    """Write a model to a folder: ``config.json`` (name and options) and ``weights.safetensors``.

    The weights of an open_clip or timm encoder keep their names behind ``image.tower.`` and ``text.tower.``; they are
    given by name where the model's own are spread over processes.
    """
    names = {kind: name for name, kind in MODELS.items()}
    if type(model) not in names or not isinstance(model, Model):
        raise ValueError(f"{type(model).__name__} is none of the known models: {', '.join(sorted(MODELS))}.")
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model": names[type(model)], "options": model.options.model_dump(mode="json")}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = model.state_dict() if weights is None else weights
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / WEIGHTS_FILE)
    return folder


def load_model(folder: Path, device: torch.device | str = "cpu") -> Model:
    """Read a :func:`save_model` folder in evaluation mode (FileNotFoundError: none); bit for bit equal on the CPU."""
    config_file, weights = folder / "config.json", folder / WEIGHTS_FILE
    for file in (config_file, weights):
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing: the folder was not written by save_model, or not completely.")
    config = json.loads(config_file.read_text())
    model = build_model(config["model"], ModelOptions.model_validate(config["options"]))
    model.load_state_dict(load_file(weights))
    return model.eval().to(device)
