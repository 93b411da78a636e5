"""Freeze or check benchmarks: ``python -m affect4d.synthetic.freeze_benchmarks [--check] [--ict FOLDER] [NAME …]``.

Freezing generates the scans that a benchmark's hash covers, and writes recipe, split, folds and hash under the
benchmark's version to ``recipes/frozen.yml``. A frozen version is never overwritten by another result: raise the
version in ``recipes/NAME.yml`` instead (or, before anything is published, give ``--again``).
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from affect4d.parallel import EngineOptions
from affect4d.store import ContentStore
from affect4d.synthetic.benchmarks import (
    FROZEN,
    RECIPES,
    Benchmark,
    FrozenVersion,
    benchmark,
    benchmark_names,
    changed,
    explain,
    frozen,
    frozen_versions,
    split_digest,
    verify,
)
from affect4d.synthetic.corpus_hash import CorpusHash
from affect4d.synthetic.generate import generate_corpus

HEAD = """\
# Every frozen version of every benchmark. Written by `python -m affect4d.synthetic.freeze_benchmarks`, never by hand.
"""


class FrozenAlreadyError(ValueError):
    """A frozen version gives another result now; names it and the remedy."""


def main(arguments: Sequence[str]) -> int:
    """Freeze or check the named benchmarks; 1 where something differs."""
    parser = argparse.ArgumentParser(prog="python -m affect4d.synthetic.freeze_benchmarks", description=__doc__)
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


def measure(one: Benchmark, engine: EngineOptions) -> CorpusHash:
    """Hash of the benchmark's scans, generated in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        store = ContentStore(Path(folder))
        made = generate_corpus(one.recipe, store, engine, raw_files=False, sample=one.sample)
    return CorpusHash.model_validate(made["fingerprint"])


def freeze(one: Benchmark, found: CorpusHash, folder: Path = RECIPES, *, again: bool = False) -> None:
    """Write a benchmark's hash under its version; other versions, and those that differ by rounding only, stay.

    Raises:
        FrozenAlreadyError: If this version was frozen with another recipe, split or hash, unless ``again``.
    """
    entry = FrozenVersion(recipe=one.recipe.digest, people=split_digest(one.recipe), scans=found)
    known = frozen(one, folder)
    if known is not None and not again:
        same_recipe = (known.recipe, known.people) == (entry.recipe, entry.people)
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
    (folder / FROZEN).write_text(HEAD + yaml.safe_dump(written, sort_keys=False, width=120), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
