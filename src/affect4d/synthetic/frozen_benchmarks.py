"""Named, frozen recipes, so that a stranger can measure a result again.

A recipe is a file ``recipes/NAME.yml``. ``recipes/frozen.yml`` holds, for each version of each, the digest of the
recipe with all its defaults and the hash of its scans. A frozen version is never overwritten by another result: a
change of a recipe, or of code that moves its scans, takes a new version or, before anything is published, ``--again``::

    python -m affect4d.synthetic.frozen_benchmarks [--check] [--ict FOLDER] [NAME …]
"""

import argparse
import functools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field

from affect4d.parallel import EngineOptions
from affect4d.renamed_options import former_names
from affect4d.store import ContentStore, content_key
from affect4d.synthetic.generate_scans import official_folds, official_split
from affect4d.synthetic.recipe import CorpusRecipe
from affect4d.synthetic.scan_content_hash import CorpusHash, machine_type
from affect4d.synthetic.write_corpus import generate_corpus

RECIPES, FROZEN = Path(__file__).parent / "recipes", "frozen.yml"
COMMAND = "python -m affect4d.synthetic.frozen_benchmarks"
BenchmarkVerdict = Literal["equal", "rounding", "different", "not frozen", "changed recipe"]


class Benchmark(BaseModel, frozen=True, extra="forbid"):
    """A named recipe of one version."""

    name: str = Field(description="name in parameters, and of its file")
    version: int = Field(ge=1, description="raised with every change of the recipe or of its scans")
    title: str = Field(description="description in one line")
    sample: Literal["all", "apex"] = Field(description="scans the hash covers: all, or the apex of every sequence")
    raw_files: bool = Field(description="whether raw files are written unless a run says otherwise")
    recipe: CorpusRecipe


class FrozenVersion(BaseModel, frozen=True, extra="forbid"):
    """One frozen version of a benchmark."""

    recipe: str = Field(description="digest of the recipe, defaults included")
    split: str = Field(description="digest of the split and the folds")
    _former = former_names(people="split")
    scans: CorpusHash


def benchmark_names(folder: Path = RECIPES) -> tuple[str, ...]:
    """Every benchmark whose recipe is in the folder, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.yml") if path.name != FROZEN))


def benchmark(name: str, folder: Path = RECIPES) -> Benchmark:
    """The benchmark of that name; a ValueError of another name lists the known ones."""
    known = benchmark_names(folder)
    if name not in known:
        raise ValueError(f"No benchmark is called {name!r}; there are {', '.join(known)}.")
    return Benchmark(name=name, **yaml.safe_load((folder / f"{name}.yml").read_text(encoding="utf-8")))


def changed(recipe: CorpusRecipe, changes: Mapping[str, Any]) -> CorpusRecipe:
    """A recipe with some of its values replaced, group by group: ``{"subjects": 6, "sensor": {"holes": 0}}``."""
    return CorpusRecipe.model_validate(_merged(recipe.model_dump(), changes))


def frozen_versions(folder: Path = RECIPES) -> dict[str, dict[int, FrozenVersion]]:
    """Every frozen version, by name and number."""
    path = folder / FROZEN
    written = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    return {
        name: {int(number): FrozenVersion.model_validate(entry) for number, entry in versions.items()}
        for name, versions in (written or {}).items()
    }


def frozen(one: Benchmark, folder: Path = RECIPES) -> FrozenVersion | None:
    """The frozen entry of this version of a benchmark; None if it was never frozen."""
    return frozen_versions(folder).get(one.name, {}).get(one.version)


@functools.lru_cache(maxsize=16)
def split_digest(recipe: CorpusRecipe) -> str:
    """Digest of a recipe's split and folds."""
    return content_key(split=official_split(recipe).digest, folds=[fold.digest for fold in official_folds(recipe)])


def verify(one: Benchmark, recipe: CorpusRecipe, found: CorpusHash, folder: Path = RECIPES) -> BenchmarkVerdict:
    """Compare a generated corpus with the frozen benchmark.

    ``rounding``: another type of machine gives another hash but the same mean figures; ``changed recipe``: a run
    replaced some of the recipe's values.
    """
    known = frozen(one, folder)
    if recipe.digest != one.recipe.digest:
        return "changed recipe"
    if known is None:
        return "not frozen"
    if found.hash == known.scans.hash:
        return "equal"
    return "rounding" if found.machine != known.scans.machine and found.looks_like(known.scans) else "different"


def explain(one: Benchmark, verdict: BenchmarkVerdict) -> str:
    """The verdict as a message, with its remedy."""
    name = f"{one.name} version {one.version}"
    return {
        "equal": f"{name}: the scans generated here are those it was frozen with, hash for hash.",
        "rounding": (
            f"{name}: the hash differs, the mean figures agree. This machine ({machine_type()}) rounds otherwise than "
            "the one it was frozen on; results are comparable, files are not equal byte for byte."
        ),
        "different": (
            f"{name}: the scans generated here are NOT those it was frozen with. Code or a library has changed what "
            "the recipe makes: do not compare results with published ones. If the change is meant, raise the version "
            f"in its recipe and run: {COMMAND} {one.name}"
        ),
        "not frozen": f"{name} is not frozen yet: {COMMAND} {one.name}",
        "changed recipe": f"This run changes the recipe of {name}: its results are not results on {one.name}.",
    }[verdict]


class FrozenAlreadyError(ValueError):
    """A frozen version gives another result now; names it and the remedy."""


def measure(one: Benchmark, engine: EngineOptions) -> CorpusHash:
    """Hash of the benchmark's scans, generated in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        store = ContentStore(Path(folder))
        made = generate_corpus(one.recipe, store, engine, raw_files=False, sample=one.sample)
    return CorpusHash.model_validate(made["fingerprint"])


def freeze(one: Benchmark, found: CorpusHash, folder: Path = RECIPES, *, again: bool = False) -> None:
    """Write a benchmark's hash under its version; other versions, and those that differ by rounding only, stay.

    A FrozenAlreadyError, unless ``again``: this version is frozen with another recipe, split or hash.
    """
    entry = FrozenVersion(recipe=one.recipe.digest, split=split_digest(one.recipe), scans=found)
    known = frozen(one, folder)
    if known is not None and not again:
        same_recipe = (known.recipe, known.split) == (entry.recipe, entry.split)
        if same_recipe and verify(one, one.recipe, found, folder) == "rounding":
            return
        if not same_recipe or known.scans.hash != found.hash:
            raise FrozenAlreadyError(
                f"{one.name} version {one.version} is frozen with another recipe, split or hash. Raise `version` in "
                f"recipes/{one.name}.yml, then freeze that."
            )
    versions = frozen_versions(folder)
    versions.setdefault(one.name, {})[one.version] = entry
    written = {
        name: {number: entry.model_dump(mode="json") for number, entry in sorted(numbers.items())}
        for name, numbers in sorted(versions.items())
    }
    head = f"# Every frozen version of every benchmark. Written by `{COMMAND}`, never by hand.\n"
    (folder / FROZEN).write_text(head + yaml.safe_dump(written, sort_keys=False, width=120), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Freeze or check the named benchmarks; 1 where something differs."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("names", nargs="*", help=f"benchmarks, all by default: {', '.join(benchmark_names())}")
    parser.add_argument("--folder", type=Path, default=RECIPES, help="recipes of your own, and their frozen versions")
    parser.add_argument("--check", action="store_true", help="compare with the frozen versions, write nothing")
    parser.add_argument("--again", action="store_true", help="overwrite a version that was never published")
    parser.add_argument("--ict", help="a clone of ICT-FaceKit; without one, benchmarks on it are left out")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 means one a core")
    chosen = parser.parse_args(arguments)
    good = True
    for name in chosen.names or benchmark_names(chosen.folder):
        one = benchmark(name, chosen.folder)
        if one.recipe.face == "ict_facekit" and chosen.ict is None:
            sys.stderr.write(f"{name}: left out, it needs --ict FOLDER\n")
            continue
        one = one.model_copy(update={"recipe": changed(one.recipe, {"ict_folder": chosen.ict})})
        found = measure(one, EngineOptions(workers=chosen.workers))
        if not chosen.check:
            freeze(one, found, chosen.folder, again=chosen.again)
        verdict = verify(one, one.recipe, found, chosen.folder)
        sys.stderr.write(f"{explain(one, verdict)} [{found.hash}, {found.scans} scans]\n")
        good &= verdict in ("equal", "rounding")
    return int(not good)


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if nested else value
    return merged


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
