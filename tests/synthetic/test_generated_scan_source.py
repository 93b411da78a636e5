"""A corpus that is made when it is asked for goes through ingest as one that lies on a disk does."""

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from affect4d.parallel import EngineOptions
from affect4d.scans.corpora.corpus_class_and_scan_table import SCAN_COLUMNS
from affect4d.scans.ingest import CorpusRefusedError, IngestOptions, ingest_source, load_canonical_scan
from affect4d.scans.ingest_tables import SCAN_MANIFEST
from affect4d.scans.scan import ScanError
from affect4d.scans.scan_source_and_corpus_folder import FileSource
from affect4d.store import ContentStore
from affect4d.synthetic import generate_scans as corpus
from affect4d.synthetic.generate_scans import Take, scan_frame
from affect4d.synthetic.generated_scan_source import GeneratedSource, as_written, open_source
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.write_corpus import generate_corpus

TINY = CorpusRecipe(subjects=2, performances=PerformanceOptions(frames=3), seed=11)
MICRO = CorpusRecipe(subjects=2, performances=PerformanceOptions(macro=0, micro=2, distractors=1, frames=3))
PLACES = ["scan", "texture", "landmark_file", "checksum"]
"""Columns that say where a scan comes from; they differ between files and a stream."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """One recipe by files and by stream: sources and what ingest makes of them."""
    folder = tmp_path_factory.mktemp("both")
    made = [generate_corpus(TINY, ContentStore(folder), raw_files=raw_files) for raw_files in (True, False)]
    sources = [open_source(one) for one in made]
    stores = [ContentStore(folder / name) for name in ("files", "stream")]
    pairs = zip(sources, stores, strict=True)
    return sources, [ingest_source(source, IngestOptions(), store) for source, store in pairs]


def test_the_receipt_says_which_source(both):
    (files, generated), _ = both
    assert isinstance(files, FileSource)
    assert generated == GeneratedSource(TINY)


def test_files_and_stream_give_the_same_manifest(both):
    _, (files, generated) = both
    SCAN_MANIFEST.validate(generated.manifest)
    lists = ["pose", "landmarks", "confidence"]
    pd.testing.assert_frame_equal(
        files.manifest.drop(columns=[*PLACES, *lists]), generated.manifest.drop(columns=[*PLACES, *lists])
    )
    for name, tolerance in (("pose", 1e-5), ("landmarks", 1e-3), ("confidence", 1e-5)):
        ours, theirs = (np.stack(one.manifest[name].map(np.asarray)) for one in (files, generated))
        np.testing.assert_allclose(ours, theirs, atol=tolerance)
    pd.testing.assert_frame_equal(files.report.drop(columns="scan"), generated.report.drop(columns="scan"))


def test_files_and_stream_give_the_same_canonical_scan(both):
    sources, ingests = both
    read, made = (load_canonical_scan(s, i.manifest.iloc[7]) for s, i in zip(sources, ingests, strict=True))
    np.testing.assert_allclose(read.vertices, made.vertices, atol=1e-3)
    np.testing.assert_array_equal(read.faces, made.faces)
    np.testing.assert_allclose(read.texture_coordinates, made.texture_coordinates, atol=1e-4)
    assert np.abs(read.texture.astype(float) - made.texture).mean() < 3  # JPEG


def test_a_scan_that_is_written_loses_only_decimals():
    scan = scan_frame(TINY, Take(0, 0), 1)
    written = as_written(scan)
    np.testing.assert_allclose(written.vertices, scan.vertices, atol=6e-4)
    np.testing.assert_array_equal(as_written(written).vertices, written.vertices)
    assert written.texture is scan.texture


def test_the_table_is_made_without_making_a_scan(monkeypatch):
    monkeypatch.setattr(corpus, "scan_frame", lambda *_: pytest.fail("made a scan"))
    table = GeneratedSource(MICRO).table()
    assert list(table.columns) == list(SCAN_COLUMNS)
    assert len(table) == 2 * (2 * 30 + 3)
    assert table["expression"].isna().all()
    assert table["label"].notna().all()
    assert table.groupby("sequence")["frame"].apply(list).map(lambda frames: frames == list(range(len(frames)))).all()
    assert not any(GeneratedSource(MICRO).checksum(row) == "" for row in table.head(3).to_dict("records"))


def test_checksums_tell_scans_apart_and_stay_in_a_smaller_corpus():
    source, smaller = GeneratedSource(TINY), GeneratedSource(TINY.model_copy(update={"subjects": 1}))
    other = GeneratedSource(TINY.model_copy(update={"seed": 12}))
    rows = source.table().to_dict("records")
    assert len({source.checksum(row) for row in rows}) == len(rows)
    assert source.checksum(rows[0]) == smaller.checksum(rows[0]) != other.checksum(rows[0])
    assert source.fingerprint() != smaller.fingerprint()


def test_a_chunk_of_work_stays_small():
    source = GeneratedSource(CorpusRecipe(subjects=10_000, performances=PerformanceOptions(frames=None)))
    assert len(cloudpickle.dumps(source)) < 4_000


@pytest.mark.parametrize("row", [{"sequence": "F009/Angry", "frame": 0}, {"sequence": "F001/Angry", "frame": 3}])
def test_a_scan_that_the_recipe_does_not_have_is_refused(row):
    with pytest.raises(ScanError, match="not-in-recipe"):
        GeneratedSource(TINY).read({**row, "scan": "F001/Angry/000"})


def test_landmarks_come_along_only_where_they_are_wanted():
    source = GeneratedSource(TINY)
    row = source.table().iloc[0]
    assert source.read(row).landmarks.shape == (83, 3)
    assert source.read(row, landmarks=False).landmarks is None


def test_a_recipe_without_performances_is_refused_with_the_remedy(tmp_path):
    idle = GeneratedSource(CorpusRecipe(subjects=2, performances=PerformanceOptions(macro=0)))
    with pytest.raises(CorpusRefusedError, match=r"recipe\.performances"):
        ingest_source(idle, IngestOptions(), ContentStore(tmp_path))


@pytest.mark.slow
def test_a_stream_goes_through_processes_and_the_renderer(tmp_path, both):
    from affect4d.rendering.options import RenderOptions
    from affect4d.rendering.render_corpus import render_corpus
    from affect4d.rendering.shards import open_shard

    (files, generated), (on_disk, _) = both
    store = ContentStore(tmp_path)
    streamed = ingest_source(generated, IngestOptions(), store, EngineOptions(workers=2)).manifest
    views = [
        render_corpus(manifest, source, RenderOptions(size=48), store)
        for manifest, source in ((on_disk.manifest, files), (streamed, generated))
    ]
    assert list(views[0]["sequence"]) == list(views[1]["sequence"])
    shards = [[(store.path(row.shard), row.checksum) for row in table.itertuples()] for table in views]
    for read, made in zip(*shards, strict=True):
        for picture in ("texture", "normals"):
            one, other = (open_shard(*shard).stack(picture) for shard in (read, made))
            assert np.abs(one.astype(float) - other).mean() < 1.0
