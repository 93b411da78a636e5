"""Frozen benchmarks: named, hashed, and not to be changed in silence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from affect4d.parallel import IN_PROCESS
from affect4d.scans.scan import FaceScan
from affect4d.synthetic import frozen_benchmarks as benchmarks
from affect4d.synthetic.frozen_benchmarks import (
    Benchmark,
    benchmark,
    benchmark_names,
    changed,
    explain,
    frozen,
    frozen_versions,
    split_digest,
    verify,
)
from affect4d.synthetic.generate_scans import Take, official_folds, scan_frame
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.scan_content_hash import CorpusHash, join_sums, sum_scan

TINY = Benchmark(
    name="tiny",
    version=1,
    title="for tests",
    sample="apex",
    raw_files=False,
    recipe=CorpusRecipe(subjects=2, performances=PerformanceOptions(frames=3), seed=11),
)


@pytest.fixture(scope="module")
def found():
    return benchmarks.measure(TINY, IN_PROCESS)


def fingerprint_of(scan: FaceScan, label: str = "anger") -> CorpusHash:
    sums = join_sums({"sequence": "F001/Angry", "label": label}, [sum_scan("0", scan)])
    return CorpusHash.of([sums], pd.DataFrame({"subject": ["F001"]}))


def test_the_promised_benchmarks_are_there():
    assert {"open-4dfer-s", "open-4dfer-m", "open-4dfer-l", "open-4dmer"} <= set(benchmark_names())
    sizes = {name: benchmark(name).recipe.subjects for name in benchmark_names()}
    assert (sizes["open-4dfer-m"], sizes["open-4dfer-l"]) == (100, 1000)
    assert benchmark("open-4dfer-s").recipe.face == benchmark("open-4dmer").recipe.face == "procedural"
    assert benchmark("open-4dfer-l").recipe.face == "ict_facekit"
    assert len({benchmark(name).recipe.seed for name in benchmark_names()}) == len(benchmark_names())
    assert all(len(official_folds(benchmark(name).recipe)) == 10 for name in benchmark_names())


@pytest.mark.parametrize("name", benchmark_names())
def test_a_frozen_recipe_is_not_changed_without_a_new_version(name):
    one = benchmark(name)
    known = frozen(one)
    assert known is not None, (
        f"{name} version {one.version} is not frozen: python -m affect4d.synthetic.frozen_benchmarks {name}"
    )
    assert (known.recipe, known.split) == (one.recipe.digest, split_digest(one.recipe)), (
        f"The recipe of {name}, or a default it relies on, has changed. Raise its version, then freeze that."
    )


def test_an_unknown_benchmark_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"open-9dfer.*open-4dfer-s"):
        benchmark("open-9dfer")


def test_changes_reach_into_groups_and_are_validated():
    recipe = changed(TINY.recipe, {"subjects": 5, "sensor": {"holes": 0.0}})
    assert (recipe.subjects, recipe.sensor.holes) == (5, 0.0)
    assert recipe.sensor.noise_mm == TINY.recipe.sensor.noise_mm
    with pytest.raises(ValidationError, match="hats"):
        changed(TINY.recipe, {"sensor": {"hats": 1}})


def test_making_it_again_gives_the_same_hash(found):
    assert benchmarks.measure(TINY, IN_PROCESS) == found
    other = TINY.model_copy(update={"recipe": changed(TINY.recipe, {"seed": 12})})
    assert benchmarks.measure(other, IN_PROCESS).hash != found.hash


def test_the_hash_sees_geometry_picture_landmarks_and_labels():
    scan = scan_frame(TINY.recipe, Take(0, 0), 1)
    whole = fingerprint_of(scan)
    moved, seen, tracked = scan.vertices.copy(), scan.texture.copy(), scan.landmarks.copy()
    moved[0, 0] += 0.02
    seen[0, 0, 0] ^= 1
    tracked[0, 0] += 0.02
    parts = {"vertices": moved, "texture": seen, "landmarks": tracked}
    fields = {
        name: getattr(scan, name) for name in ("vertices", "faces", "texture_coordinates", "texture", "landmarks")
    }
    hashes = {fingerprint_of(FaceScan(**{**fields, name: part})).hash for name, part in parts.items()}
    assert len(hashes | {whole.hash, fingerprint_of(scan, "sadness").hash}) == 5


def test_noise_far_below_a_scanners_does_not_change_the_hash():
    scan = scan_frame(TINY.recipe, Take(0, 0), 1)
    rounded = np.round(scan.vertices, 2)
    one, other = (replace(scan, vertices=vertices) for vertices in (rounded, rounded + np.float32(1e-4)))
    assert fingerprint_of(one).hash == fingerprint_of(other).hash


def test_a_verdict_for_each_case(tmp_path, found):
    folder, recipe = tmp_path, TINY.recipe
    assert verify(TINY, recipe, found, folder) == "not frozen"
    benchmarks.freeze(TINY, found, folder)
    assert verify(TINY, recipe, found, folder) == "equal"
    elsewhere = found.model_copy(update={"hash": "0" * 24, "machine": "Darwin arm64"})
    assert verify(TINY, recipe, elsewhere, folder) == "rounding"
    far = elsewhere.model_copy(update={"middle": (9.0, 9.0, 9.0)})
    assert verify(TINY, recipe, far, folder) == "different"
    assert verify(TINY, recipe, found.model_copy(update={"hash": "0" * 24}), folder) == "different"
    assert verify(TINY, changed(recipe, {"subjects": 1}), found, folder) == "changed recipe"
    assert "raise the version" in explain(TINY, "different")


def test_a_version_that_was_frozen_is_never_overwritten(tmp_path, found):
    folder = tmp_path
    benchmarks.freeze(TINY, found, folder)
    benchmarks.freeze(TINY, found, folder)
    other = TINY.model_copy(update={"recipe": changed(TINY.recipe, {"seed": 12})})
    with pytest.raises(benchmarks.FrozenAlreadyError, match="Raise `version`"):
        benchmarks.freeze(other, found, folder)
    benchmarks.freeze(other.model_copy(update={"version": 2}), found, folder)
    assert sorted(frozen_versions(folder)["tiny"]) == [1, 2]
    assert frozen_versions(folder)["tiny"][1].recipe == TINY.recipe.digest


def test_another_processors_rounding_is_no_other_result(tmp_path, found):
    benchmarks.freeze(TINY, found, tmp_path)
    elsewhere = found.model_copy(update={"hash": "0" * 24, "machine": "Darwin arm64"})
    benchmarks.freeze(TINY, elsewhere, tmp_path)
    assert frozen_versions(tmp_path)["tiny"][1].scans == found
    other = TINY.model_copy(update={"recipe": changed(TINY.recipe, {"seed": 12})})
    with pytest.raises(benchmarks.FrozenAlreadyError):
        benchmarks.freeze(other, elsewhere, tmp_path)


def test_the_command_freezes_checks_and_refuses(tmp_path, capsys):
    values = TINY.model_dump(mode="json", exclude={"name"})
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump(values))
    arguments = ["tiny", "--folder", str(tmp_path), "--workers", "1"]
    assert benchmarks.main(["--check", *arguments]) == 1
    assert benchmarks.main(arguments) == 0
    assert benchmarks.main(["--check", *arguments]) == 0
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump({**values, "recipe": {**values["recipe"], "seed": 12}}))
    assert benchmarks.main(["--check", *arguments]) == 1
    with pytest.raises(benchmarks.FrozenAlreadyError):
        benchmarks.main(arguments)
    assert benchmarks.main(["--again", *arguments]) == 0
    assert benchmark_names(tmp_path) == ("tiny",)


def test_a_file_with_the_former_key_is_read_with_a_warning(tmp_path, found):
    benchmarks.freeze(TINY, found, tmp_path)
    known, file = frozen(TINY, tmp_path), tmp_path / benchmarks.FROZEN
    file.write_text(file.read_text().replace("split:", "people:"))
    with pytest.warns(FutureWarning, match="people is called split now"):
        assert frozen(TINY, tmp_path) == known


@pytest.mark.slow
@pytest.mark.parametrize("name", ["open-4dfer-s", "open-4dmer"])
def test_the_embedded_benchmarks_are_made_again_as_they_were_frozen(name):
    one = benchmark(name)
    found = benchmarks.measure(one, IN_PROCESS)
    verdict = verify(one, one.recipe, found)
    if verdict == "rounding":
        pytest.skip(explain(one, verdict))
    assert verdict == "equal", explain(one, verdict)
