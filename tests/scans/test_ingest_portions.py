"""An ingest is kept portion by portion: what is there is not read again, and what comes out is the same."""

import hashlib
import os

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scan_files import bumpy_grid, obj_text, write_corpus, write_picture

from affect4d.scans import ingest as ingest_module
from affect4d.scans.corpora.corpus_class_and_scan_table import SCAN_COLUMNS
from affect4d.scans.ingest import CorpusRefusedError, IngestOptions, divide_into_portions, ingest_source
from affect4d.scans.scan_source_and_corpus_folder import FileSource
from affect4d.store import KEY_LENGTH, ContentStore
from affect4d.store.prune import carry_out, plan_prune

HERE = IngestOptions()
SUBJECTS = ("F001", "F002", "M001")


@pytest.fixture(autouse=True)
def a_portion_a_sequence(monkeypatch):
    monkeypatch.setattr(ingest_module, "SCANS_PER_PORTION", 1)


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path / "store")


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus", SUBJECTS, frames=2)


@pytest.fixture
def seen(monkeypatch):
    """Names of the scans that are read."""
    names, read = [], FileSource.read

    def note(source, row, *args, **kwargs):
        names.append(row["scan"])
        return read(source, row, *args, **kwargs)

    monkeypatch.setattr(FileSource, "read", note)
    return names


def take_in(corpus, store, layout="bu4dfe", **options):
    return ingest_source(FileSource(corpus, layout), IngestOptions(**options), store)


def assert_as_in_one_go(ingest, corpus, tmp_path, layout="bu4dfe"):
    """Every table is the one that an empty store gives, cell for cell."""
    whole = take_in(corpus, ContentStore(tmp_path / "fresh"), layout)
    for name in ("manifest", "report", "completeness"):
        pd.testing.assert_frame_equal(getattr(ingest, name), getattr(whole, name), check_exact=True)


def test_what_was_read_before_an_interruption_is_not_read_again(corpus, store, tmp_path, seen, monkeypatch):
    note = FileSource.read

    def interrupted(source, row, *args, **kwargs):
        if row["scan"] == "F002/Happy/001.wrl":
            raise KeyboardInterrupt
        return note(source, row, *args, **kwargs)

    monkeypatch.setattr(FileSource, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        take_in(corpus, store)
    assert len(seen) == 7
    monkeypatch.setattr(FileSource, "read", note)
    seen.clear()
    ingest = take_in(corpus, store)
    assert sorted({name.rpartition("/")[0] for name in seen}) == ["F002/Happy", "M001/Angry", "M001/Happy"]
    assert len(seen) == 6
    assert_as_in_one_go(ingest, corpus, tmp_path)


def test_a_touched_file_reads_its_own_portion_only(corpus, store, tmp_path, seen):
    take_in(corpus, store)
    for name in ("F002/Angry/001.wrl", "F002/Angry/001.jpg", "BU4DFE_BND_V1.1/F002/Angry/001.bnd"):
        seen.clear()
        file = corpus / name
        file.write_bytes(file.read_bytes() + b"\n")
        ingest = take_in(corpus, store)
        assert seen == ["F002/Angry/000.wrl", "F002/Angry/001.wrl"], name
        assert_as_in_one_go(ingest, corpus, tmp_path / file.suffix)


def test_a_file_that_belongs_to_no_scan_reads_nothing(corpus, store, seen):
    take_in(corpus, store)
    seen.clear()
    (corpus / "readme.txt").write_text("received on Monday")
    take_in(corpus, store)
    assert seen == []


def test_an_added_subject_reads_itself_only_and_a_removed_file_its_sequence(corpus, store, tmp_path, seen):
    take_in(corpus, store)
    seen.clear()
    write_corpus(tmp_path / "more", ("A000",), frames=2)
    (tmp_path / "more" / "A000").rename(corpus / "F000")
    assert len(take_in(corpus, store).manifest) == 16
    assert {name[:4] for name in seen} == {"F000"}
    seen.clear()
    (corpus / "F001/Angry/000.wrl").unlink()
    ingest = take_in(corpus, store)
    assert seen == ["F001/Angry/001.wrl"]
    assert_as_in_one_go(ingest, corpus, tmp_path)


def test_what_is_said_of_a_subject_is_in_its_own_portions(corpus, store, tmp_path, seen):
    take_in(corpus, store)
    seen.clear()
    (corpus / "subjects.csv").write_text("subject,age_group\nM001,31-50\n")
    ingest = take_in(corpus, store)
    assert {name[:4] for name in seen} == {"M001"}
    assert ingest.manifest.set_index("subject").loc["M001", "age_group"].tolist() == ["31-50"] * 4
    assert_as_in_one_go(ingest, corpus, tmp_path)


def test_how_many_may_be_refused_is_judged_without_reading(corpus, store, seen):
    for name in ("F001/Angry/000.wrl", "F001/Angry/001.wrl", "F002/Angry/001.wrl"):
        (corpus / name).write_text("garbage")
    with pytest.raises(CorpusRefusedError, match="3 of 12"):
        take_in(corpus, store)
    seen.clear()
    assert len(take_in(corpus, store, max_refused_share=0.5).manifest) == 9
    with pytest.raises(CorpusRefusedError, match="3 of 12"):
        take_in(corpus, store)
    assert seen == []
    take_in(corpus, store, max_refused_share=0.5, crop_radius=80)
    assert len(seen) == 12


def test_a_picture_that_appears_beside_a_scan_is_found(tmp_path, store, seen):
    """The material beside the scan names it; the corpus' table does not."""
    root = tmp_path / "mine"
    for name in ("anna", "bob"):
        (root / name).mkdir(parents=True)
        (root / name / "face.obj").write_text(obj_text(bumpy_grid(), material="skin.mtl"))
        (root / name / "skin.mtl").write_text("newmtl a\nmap_Kd skin.png\n")
    assert take_in(root, store, "folder").report["texture_size"].tolist() == ["", ""]
    seen.clear()
    write_picture(root / "bob" / "skin.png")
    ingest = take_in(root, store, "folder")
    assert ingest.report["texture_size"].tolist() == ["", "8 × 6"]
    assert seen == ["bob/face.obj"]
    assert_as_in_one_go(ingest, root, tmp_path, "folder")


def test_a_picture_that_only_the_scan_names_counts_in_its_checksum(tmp_path, store):
    """Else what was rendered with the old picture, or in grey, would be taken for what the new one gives."""
    root = tmp_path / "mine"
    for name in ("anna", "bob"):
        (root / name).mkdir(parents=True)
        (root / name / "face.obj").write_text(obj_text(bumpy_grid(), material="skin.mtl"))
        (root / name / "skin.mtl").write_text("newmtl a\nmap_Kd skin.png\n")
    checksums = [take_in(root, store, "folder").manifest["checksum"].tolist()]
    for colour in ("black", "white"):
        Image.new("RGB", (8, 6), colour).save(root / "bob" / "skin.png")
        checksums.append(take_in(root, store, "folder").manifest["checksum"].tolist())
    assert [len({some[row] for some in checksums}) for row in (0, 1)] == [1, 3], "anna's stay, bob's are three"


def test_a_checksum_is_of_the_bytes_that_the_table_names(corpus, store):
    row = take_in(corpus, store).manifest.iloc[0]
    told = b"".join((corpus / row[name]).read_bytes() for name in ("scan", "texture", "landmark_file"))
    assert row["checksum"] == hashlib.sha256(told).hexdigest()[:KEY_LENGTH]


def test_a_damaged_portion_is_read_again(corpus, store, tmp_path, seen):
    kept = [store.path(name) for name in take_in(corpus, store).report.attrs["portions"]]
    held = kept[1].read_bytes()
    middle = len(held) // 3
    kept[1].write_bytes(held[:middle] + bytes(64) + held[middle + 64 :])
    kept[4].write_bytes(kept[4].read_bytes()[:-100])
    (corpus / "readme.txt").write_text("so that the whole is put together anew")
    seen.clear()
    ingest = take_in(corpus, store)
    assert sorted({name.rpartition("/")[0] for name in seen}) == ["F001/Happy", "M001/Angry"]
    assert_as_in_one_go(ingest, corpus, tmp_path)
    assert pq.read_table(kept[1], page_checksum_verification=True).num_rows == 2


def test_a_prune_spares_the_portions_of_a_report_and_drops_superseded_ones(corpus, tmp_path, seen):
    data = tmp_path / "data"
    store = ContentStore(data / "scans")
    before = set(take_in(corpus, store).report.attrs["portions"])
    os.utime(corpus / "F001/Angry/000.wrl", (1, 1))
    report = take_in(corpus, store).report
    report.to_parquet(data / "ingest_report.parquet")
    carry_out(plan_prune(data, keep_hours=0))
    left = {path.relative_to(store.root).as_posix() for path in (store.root / "outcomes").iterdir()}
    assert left == set(report.attrs["portions"])
    assert len(before - left) == 1
    seen.clear()
    take_in(corpus, store)
    assert seen == []


class Listed:
    """A source of which nothing is known but its table."""

    def identities(self, scans):
        return list(scans["scan"])


def listed(sequences, frames):
    rows = [
        {**dict.fromkeys(SCAN_COLUMNS), "sequence": name, "subject": name, "frame": frame, "scan": f"{name}/{frame}"}
        for name in sequences
        for frame in range(frames)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("frames", [1, 40, 700])
def test_portions_are_some_hundred_scans_and_an_added_sequence_shifts_none(frames, monkeypatch):
    monkeypatch.setattr(ingest_module, "SCANS_PER_PORTION", 300)
    names = [f"S{number:04d}" for number in range(8000 // frames)]
    before = divide_into_portions(Listed(), listed(names, frames), 95.0)
    sizes = pd.Series([len(portion.scans) for portion in before])
    assert sizes.sum() == len(names) * frames
    assert 0.6 < sizes.mean() / max(300, frames) < 1.6
    after = divide_into_portions(Listed(), listed([*names, "S0003b"], frames), 95.0)
    gone = {portion.name for portion in before} - {portion.name for portion in after}
    assert len(gone) <= 1
    assert divide_into_portions(Listed(), listed(names[::-1], frames), 95.0)[0].name == before[0].name


def test_scans_are_read_again_with_another_landmark_detector(corpus, store, seen, monkeypatch):
    """Else what was aligned by shape would stay so after the detector is installed."""
    take_in(corpus, store)
    read = len(seen)
    take_in(corpus, store)
    assert len(seen) == read
    monkeypatch.setattr("affect4d.scans.alignment.face_landmarker.detector_version", lambda: "")
    take_in(corpus, store)
    assert len(seen) == 2 * read
