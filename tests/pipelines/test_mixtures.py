"""A mixture of corpora: generated and located, split, ingested and described part by part."""

import re
import shutil

import pandas as pd
import pytest

from affect4d.configuration_layers_and_checks import corpus_parameters
from affect4d.pipelines.data.nodes import SplitOptions, ingest_scans, split_subjects
from affect4d.pipelines.data.raw_corpus import CorpusChoice, generate_raw_corpus
from affect4d.pipelines.reporting.nodes import describe_corpus
from affect4d.scans.ingest import IngestOptions
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore
from affect4d.synthetic import generate_scans
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.write_corpus import export_layout, generate_corpus

SHORT = PerformanceOptions(frames=3)
RECIPES = {
    "small": CorpusRecipe(subjects=2, performances=SHORT, seed=1),
    "other": CorpusRecipe(subjects=3, performances=SHORT, seed=2),
    "micro": CorpusRecipe(subjects=2, performances=PerformanceOptions(macro=0, micro=9, frames=3), seed=3),
}
KNOWN = {name: {"recipe": recipe} for name, recipe in RECIPES.items()}


def choose(name, **given):
    return CorpusChoice(name=name, known={**KNOWN, "pair": {"parts": ["small", "other"]}}, **given)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """A mixture, its true action units, and what ingest makes of it."""
    store = ContentStore(tmp_path_factory.mktemp("mixture"))
    raw_corpus, truth = generate_raw_corpus(choose("small+other"), store)
    return raw_corpus, truth, ingest_scans(raw_corpus, IngestOptions(), store)


def test_a_mixture_is_streamed_into_one_manifest(mixture):
    raw_corpus, truth, (manifest, sequences, report, _) = mixture
    assert all(part["streamed"] for part in raw_corpus["parts"].values())
    assert len(sequences) == len(report) / 3 == 5 * 6
    assert sequences.groupby("part")["subject"].nunique().to_dict() == {"other": 3, "small": 2}
    assert set(truth["sequence"]) == set(manifest["sequence"])


def test_each_part_keeps_its_own_split(mixture):
    raw_corpus, _, (_, sequences, _, _) = mixture
    split = SubjectSplit.from_dict(split_subjects(sequences, raw_corpus, SplitOptions()))
    for name, part in raw_corpus["parts"].items():
        own = SubjectSplit.from_dict(part["split"])
        assert {subject for subject in split.test if subject.startswith(name)} == {f"{name}:{one}" for one in own.test}
    assert len(split.train) + len(split.test) == 5


def test_a_mixture_is_described_by_its_parts_and_typed_as_one(mixture):
    raw_corpus, _, _ = mixture
    assert re.search(r"mixture.*small: 2 synthetic subjects.*other: 3 synthetic subjects", describe_corpus(raw_corpus))
    assert corpus_parameters(raw_corpus) == "corpus=small+other"
    on_ict = {**raw_corpus, "parts": {"a": {"recipe": {"face": "ict_facekit"}}, "b": {}}}
    assert corpus_parameters(on_ict).endswith(",ict_folder=FOLDER_OF_ICT_FACEKIT")


def test_a_known_corpus_may_list_its_parts(tmp_path):
    raw_corpus, _ = generate_raw_corpus(choose("pair", subjects=2, balanced=True), ContentStore(tmp_path))
    assert list(raw_corpus["parts"]) == ["small", "other"]
    assert [part["subjects"] for part in raw_corpus["parts"].values()] == [2, 2]
    assert raw_corpus["balanced"]


def test_a_mixture_that_disagrees_is_refused_before_a_scan_is_generated(tmp_path, monkeypatch):
    monkeypatch.setattr(generate_scans, "scan_frame", lambda *_: pytest.fail("made a scan"))
    with pytest.raises(ValueError, match=r"small and micro cannot be mixed: small shows anger.*micro shows micro-ex"):
        generate_raw_corpus(choose("small+micro"), ContentStore(tmp_path))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("small+nobody", {}, "No corpus is called 'nobody'"),
        ("small+small", {}, "name two or more, once"),
        ("small+other", {"folder": "/data"}, "corpus_root is of one corpus"),
        ("small+other", {"layout": "bosphorus"}, "layout is of one corpus"),
    ],
)
def test_a_mixture_is_of_several_known_corpora(name, given, message):
    with pytest.raises(ValueError, match=message):
        choose(name, **given)


@pytest.mark.slow
def test_files_in_two_layouts_and_a_stream_go_together(tmp_path):
    """One part has no textures and no landmark files."""
    store = ContentStore(tmp_path / "made")
    faces = generate_corpus(RECIPES["small"].model_copy(update={"seed": 9}), store)["root"]
    shutil.rmtree(f"{faces}/BU4DFE_BND_V1.1")
    for image in list((tmp_path / "made").rglob("*.jpg")):
        image.unlink()
    static = export_layout(RECIPES["other"].model_copy(update={"subjects": 2}), "bu3dfe", store)["root"]
    choice = choose("small+bu4dfe+bu3dfe", folders={"bu4dfe": faces, "bu3dfe": static})
    raw_corpus, truth = generate_raw_corpus(choice, store)
    assert not raw_corpus["synthetic"]
    manifest, sequences, _, completeness = ingest_scans(raw_corpus, IngestOptions(), store)
    assert sequences.groupby("part")["subject"].nunique().to_dict() == {"bu3dfe": 2, "bu4dfe": 2, "small": 2}
    assert len(completeness[completeness["item"].str.startswith("bu4dfe: ")])
    assert isinstance(truth, pd.DataFrame)
    split = split_subjects(sequences, raw_corpus, SplitOptions())
    assert {name.partition(":")[0] for name in split["test"]} == {"small", "bu4dfe", "bu3dfe"}
    assert manifest["texture"].notna().groupby(manifest["sequence"].str.partition(":")[0]).any().to_dict() == {
        "bu3dfe": True,
        "bu4dfe": False,
        "small": False,
    }
