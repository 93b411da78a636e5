"""Named, frozen recipes: what a result is measured on, so that a stranger can measure it again.

A recipe is a file ``recipes/NAME.yml``. ``recipes/frozen.yml`` remembers, for each version of each, the digest of the
recipe with all its defaults and the fingerprint of its scans. Whoever changes a recipe, or code that moves its scans,
gives it a new version and freezes that: ``python -m affect4d.synthetic.freeze_benchmarks NAME``.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from affect4d.store import content_key
from affect4d.synthetic.corpus import official_folds, official_split
from affect4d.synthetic.corpus_hash import CorpusHash, machine_type
from affect4d.synthetic.recipe import CorpusRecipe

RECIPES = Path(__file__).parent / "recipes"
FROZEN = "frozen.yml"
Verdict = Literal["equal", "rounding", "different", "not frozen", "changed recipe"]


class Benchmark(BaseModel):
    """A named recipe of one version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="what parameters call it; the name of its file")
    version: int = Field(ge=1, description="raised with every change of the recipe or of its scans")
    title: str = Field(description="what it is, in one line")
    sample: Literal["all", "apex"] = Field(description="scans the hash covers: all, or the apex of every sequence")
    raw_files: bool = Field(description="whether raw files are written unless a run says otherwise")
    recipe: CorpusRecipe = Field(description="what is made")


class FrozenVersion(BaseModel):
    """What is known of one version of a benchmark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(description="digest of the recipe, defaults included")
    people: str = Field(description="digest of the split and the folds")
    scans: CorpusHash = Field(description="hash and mean figures of its scans")


def benchmark_names(folder: Path = RECIPES) -> tuple[str, ...]:
    """Every benchmark whose recipe is in the folder, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.yml") if path.name != FROZEN))


def benchmark(name: str, folder: Path = RECIPES) -> Benchmark:
    """The benchmark of that name.

    Raises:
        ValueError: If there is none; the message lists the known ones.
    """
    known = benchmark_names(folder)
    if name not in known:
        raise ValueError(f"No benchmark is called {name!r}; there are {', '.join(known)}.")
    return Benchmark(name=name, **yaml.safe_load((folder / f"{name}.yml").read_text(encoding="utf-8")))


def changed(recipe: CorpusRecipe, changes: Mapping[str, Any]) -> CorpusRecipe:
    """A recipe with some of its values replaced, group by group: ``{"subjects": 6, "sensor": {"holes": 0}}``.

    Raises:
        pydantic.ValidationError: If a value is unknown or absurd.
    """
    return CorpusRecipe.model_validate(_merged(recipe.model_dump(), changes))


def frozen_versions(folder: Path = RECIPES) -> dict[str, dict[int, FrozenVersion]]:
    """Every version that was ever frozen, by name and number."""
    path = folder / FROZEN
    written = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    return {
        name: {int(number): FrozenVersion.model_validate(entry) for number, entry in versions.items()}
        for name, versions in (written or {}).items()
    }


def frozen(one: Benchmark, folder: Path = RECIPES) -> FrozenVersion | None:
    """What was frozen of this version of a benchmark; None if it never was."""
    return frozen_versions(folder).get(one.name, {}).get(one.version)


@functools.lru_cache(maxsize=16)
def people_digest(recipe: CorpusRecipe) -> str:
    """Digest of a recipe's split and folds."""
    return content_key(split=official_split(recipe).digest, folds=[fold.digest for fold in official_folds(recipe)])


def judge(one: Benchmark, recipe: CorpusRecipe, found: CorpusHash, folder: Path = RECIPES) -> Verdict:
    """Whether a corpus made here is the benchmark as it was frozen.

    Args:
        one: The benchmark it was made for.
        recipe: What it was made by.
        found: CorpusHash of its scans.
        folder: Where frozen versions are remembered.

    Returns:
        ``equal``; ``rounding``, where another type of machine gives another hash but the same mean figures;
        ``different``; ``not frozen``; or ``changed recipe``, where a run replaced some of the recipe's values.
    """
    known = frozen(one, folder)
    if recipe.digest != one.recipe.digest:
        return "changed recipe"
    if known is None:
        return "not frozen"
    if found.hash == known.scans.hash:
        return "equal"
    return "rounding" if found.machine != known.scans.machine and found.looks_like(known.scans) else "different"


def explain(one: Benchmark, verdict: Verdict) -> str:
    """The verdict as a person reads it, with what to do."""
    name = f"{one.name} version {one.version}"
    return {
        "equal": f"{name}: the scans made here are those it was frozen with, hash for hash.",
        "rounding": (
            f"{name}: the hash differs, the mean figures agree. This machine ({machine_type()}) rounds otherwise than "
            "the one it was frozen on; results are comparable, files are not equal byte for byte."
        ),
        "different": (
            f"{name}: the scans made here are NOT those it was frozen with. Code or a library has changed what the "
            "recipe makes: do not compare results with published ones. If the change is meant, raise the version in "
            f"its recipe and run: python -m affect4d.synthetic.freeze_benchmarks {one.name}"
        ),
        "not frozen": f"{name} is not frozen yet: python -m affect4d.synthetic.freeze_benchmarks {one.name}",
        "changed recipe": f"This run changes the recipe of {name}: its results are not results on {one.name}.",
    }[verdict]


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if nested else value
    return merged
