"""Which models can be asked: those that come with the package, and those that were trained here."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kedro.utils import find_kedro_project

from affect4d.inference.bundle import Bundle, BundleError, read_description
from affect4d.inference.packaged import bundle_folder, last_written, packaged_models
from affect4d.inference.preparation import texels_for

TITLES = {"affect_vlm": "AffectVLM", "smile_vlm": "SMILE-VLM"}
FOLDERS = "AFFECT4D_BUNDLES"
"""Environment variable: more bundles, as folders separated by colons."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be asked.

    Attributes:
        title: What a person calls it.
        folder: Its bundle.
        bundle: What it says of itself.
    """

    title: str
    folder: Path
    bundle: Bundle

    @property
    def texels(self) -> int:
        """How many along the shorter side of a texture it needs."""
        return texels_for(self.bundle.render)

    @property
    def identity(self) -> tuple[str, str, int]:
        """Tells its answers from those of another model, also of one trained anew under the same title."""
        return self.title, str(self.folder), last_written(self.folder)

    @property
    def measured(self) -> str:
        """How well it does, in words; or that nobody measured it."""
        scores = self.bundle.scores
        if scores is None:
            return "Its accuracy is not measured."
        low, high = scores.interval
        return (
            f"Names {scores.accuracy:.0%} of {scores.sequences} sequences of {scores.subjects} unseen people of "
            f"{scores.corpus} rightly (95 % interval {low:.0%}–{high:.0%})."
        )


def model_choices() -> dict[str, ModelChoice]:
    """Every model that can be asked, by its title; those that were named by hand first, then packaged ones."""
    found: dict[str, ModelChoice] = {}
    for folder, suffix in _folders():
        try:
            bundle = read_description(folder)
        except BundleError:
            continue
        title = TITLES.get(bundle.kind, bundle.name) + suffix
        while title in found:
            title += "′"
        found[title] = ModelChoice(title, folder, bundle)
    return found


def _folders() -> Iterator[tuple[Path, str]]:
    """Bundles, and what is said behind their name."""
    for folder in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        yield Path(folder), f" · {Path(folder).name}"
    for name in packaged_models():
        yield bundle_folder(name), ""
    project = find_kedro_project(Path.cwd())
    if project is not None:
        yield from _trained(project)


def _trained(project: Path) -> Iterator[tuple[Path, str]]:
    """The newest bundle of each kind and corpus in a project."""
    for record in sorted(project.glob("data/06_models/*/*_bundle.json")):
        versions = sorted(record.glob("*/*.json"))
        if versions:
            told = json.loads(versions[-1].read_text(encoding="utf-8"))
            inside = record.parent / told["entry"]  # the project may lie elsewhere than when it was written
            yield inside if inside.exists() else project / told["folder"], f" · {record.parent.name}"
