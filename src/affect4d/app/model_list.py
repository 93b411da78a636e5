"""Available models: those that come with the package, those trained in the project, and folders given by hand."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kedro.utils import find_kedro_project

from affect4d.inference.packaged_model import (
    PackagedModel,
    PackagedModelError,
    find_packaged_model,
    last_written,
    packaged_models,
    project_models,
    read_description,
)
from affect4d.inference.preprocessing import texels_for

TITLES = {"affect_vlm": "AffectVLM", "smile_vlm": "SMILE-VLM"}
FOLDERS = "AFFECT4D_BUNDLES"
"""Environment variable: folders of further packaged models, separated by colons."""


@dataclass(frozen=True, slots=True)
class AvailableModel:
    """Packaged model with the title it is selected by."""

    title: str
    folder: Path
    description: PackagedModel

    @property
    def texels(self) -> int:
        """Texels it needs along the shorter side of a texture."""
        return texels_for(self.description.render)

    @property
    def identity(self) -> tuple[str, str, int]:
        """Cache key: title, folder, and time of writing, which changes when it is trained anew."""
        return self.title, str(self.folder), last_written(self.folder)

    @property
    def measured(self) -> str:
        """Sentence on its accuracy."""
        scores = self.description.scores
        if scores is None:
            return "Its accuracy is not measured."
        low, high = scores.interval
        return (
            f"Accuracy {scores.accuracy:.0%} on {scores.sequences} sequences of {scores.subjects} unseen subjects of "
            f"{scores.corpus} (95 % interval {low:.0%}–{high:.0%})."
        )


def available_models() -> dict[str, AvailableModel]:
    """Models by title: folders given by hand first, then packaged ones, then the project's."""
    found: dict[str, AvailableModel] = {}
    for folder, suffix in _folders():
        try:
            description = read_description(folder)
        except PackagedModelError:
            continue
        title = TITLES.get(description.kind, description.name) + suffix
        while title in found:
            title += "′"
        found[title] = AvailableModel(title, folder, description)
    return found


def _folders() -> Iterator[tuple[Path, str]]:
    """Folders of models, and the ends of their titles."""
    for folder in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        yield Path(folder), f" · {Path(folder).name}"
    for name in packaged_models():
        yield find_packaged_model(name), ""
    project = find_kedro_project(Path.cwd())
    for corpus in sorted(project.glob("data/06_models/*")) if project is not None else []:
        newest = {model.name: model for model in reversed(project_models(corpus))}
        yield from ((newest[name].folder, f" · {corpus.name}") for name in sorted(newest))
