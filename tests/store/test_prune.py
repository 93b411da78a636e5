"""A prune drops what no manifest names, and nothing else."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from safetensors.numpy import save_file

from affect4d.store import ContentStore, content_key
from affect4d.store.prune import UnreadableManifestError, carry_out, plan_prune

LONG_AGO = 1_000_000_000


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def entry(data, word, text="pictures", folder="views", age=LONG_AGO):
    """Write an entry that nobody has used for a long time; return its key."""
    key = content_key(word=word)
    store = ContentStore(data / folder)
    with store.write(f"{key}.bin") as path:
        path.write_text(text)
    os.utime(store.path(f"{key}.bin"), (age, age))
    return key


def manifest(data, keys, version="2026-01-01", name="view_manifest"):
    path = data / f"{name}.parquet" / version / f"{name}.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame({"sequence": keys, "shard": [f"views/{key}.bin" for key in keys]}).to_parquet(path)
    return path


def left(data):
    return sorted(path.stem for path in (data / "views").iterdir())


def test_what_every_version_of_a_manifest_names_stays(data):
    old, new, unnamed = entry(data, "old"), entry(data, "new"), entry(data, "unnamed")
    manifest(data, [old], "2026-01-01")
    manifest(data, [new], "2026-02-01")
    prune = plan_prune(data)
    assert [one.key for one in prune.dropped] == [unnamed]
    assert left(data) == sorted([old, new, unnamed])
    assert carry_out(prune) == len("pictures")
    assert left(data) == sorted([old, new])
    assert plan_prune(data).dropped == ()


def test_when_a_version_is_dropped_only_what_it_alone_names_goes(data):
    old, both, new = entry(data, "old"), entry(data, "both"), entry(data, "new")
    manifest(data, [old, both], "2026-01-01").unlink()
    manifest(data, [both, new], "2026-02-01")
    carry_out(plan_prune(data))
    assert left(data) == sorted([both, new])


@pytest.mark.parametrize("kind", ["json", "list column", "attrs", "csv", "html"])
def test_a_key_counts_wherever_a_manifest_holds_it(data, kind):
    key = entry(data, "named")
    place = data / "somewhere"
    place.mkdir()
    if kind == "list column":
        pd.DataFrame({"shards": [["a", f"views/{key}.bin"]]}).to_parquet(place / "table.parquet")
    elif kind == "attrs":
        table = pd.DataFrame({"a": [1]})
        table.attrs["entry"] = f"ingest-{key}"
        table.to_parquet(place / "table.parquet")
    else:
        (place / f"receipt.{kind}").write_text(json.dumps({"root": f"/data/{key}"}))
    assert plan_prune(data).dropped == ()


def test_what_was_used_a_moment_ago_stays(data):
    key = entry(data, "found by a run that has not written its manifest yet")
    ContentStore(data / "views").has(f"{key}.bin")
    assert plan_prune(data).dropped == ()
    assert [one.key for one in plan_prune(data, keep_hours=0).dropped] == [key]


def test_what_is_used_between_plan_and_prune_stays(data):
    key = entry(data, "late")
    prune = plan_prune(data)
    ContentStore(data / "views").has(f"{key}.bin")
    assert carry_out(prune) == 0
    assert left(data) == [key]


def test_a_bank_stays_as_long_as_everything_it_was_derived_from(data):
    one, two = entry(data, "one"), entry(data, "two")
    bank = data / "views" / f"{content_key(word='bank')}.safetensors"
    save_file({}, bank, metadata={"shards": json.dumps([f"views/{one}.bin", f"views/{two}.bin"])})
    os.utime(bank, (LONG_AGO, LONG_AGO))
    path = manifest(data, [one, two])
    assert plan_prune(data).dropped == ()
    path.unlink()
    manifest(data, [one], "2026-02-01")
    assert {dropped.path for dropped in plan_prune(data).dropped} == {bank, data / "views" / f"{two}.bin"}


def test_a_folder_goes_whole_with_all_it_holds(data):
    key = content_key(word="model")
    folder = data / "models" / "affect_vlm" / key
    folder.mkdir(parents=True)
    (folder / "cost.json").write_text(json.dumps({"key": key}))
    os.utime(folder, (LONG_AGO, LONG_AGO))
    carry_out(plan_prune(data))
    assert list((data / "models" / "affect_vlm").iterdir()) == []


def test_of_raw_scans_only_fabricated_ones_may_go(data):
    """Keys of some databases have as many digits as ours."""
    recorded, fabricated = data / "01_raw" / "mine" / "507f1f77bcf86cd799439011", data / "01_raw" / "s" / ("ab" * 12)
    for folder in (recorded, fabricated):
        folder.mkdir(parents=True)
        (folder / f"{'cd' * 12}.obj").write_text("v 0 0 0")
    (fabricated / "counts.json").write_text("{}")
    for path in (*data.rglob("*.obj"), recorded, fabricated):
        os.utime(path, (LONG_AGO, LONG_AGO))
    carry_out(plan_prune(data))
    assert [path.parent for path in data.rglob("*.obj")] == [recorded]


def test_a_manifest_that_cannot_be_read_forbids_everything(data):
    entry(data, "unnamed")
    broken = data / "view_manifest.parquet"
    broken.write_bytes(b"not a table")
    with pytest.raises(UnreadableManifestError, match=r"view_manifest\.parquet.*nothing is dropped"):
        plan_prune(data)


def test_stores_behind_links_are_looked_into_once(data, tmp_path):
    key = entry(tmp_path, "elsewhere")
    data.mkdir()
    (data / "views").symlink_to(tmp_path / "views")
    (data / "again").symlink_to(tmp_path / "views")
    (tmp_path / "views" / "loop").symlink_to(data)
    assert [one.key for one in plan_prune(data).dropped] == [key]


def test_other_digests_and_other_files_are_nobodys_entries(data):
    data.mkdir()
    for name in ("0" * 32, "README.md", "2026-11-21T06.00.00.000Z"):
        (data / name).write_text("keep me")
    assert plan_prune(data, keep_hours=0).dropped == ()
    assert plan_prune(data).manifests == 3


def test_the_command_lists_and_drops_only_when_told(data, project_root):
    key = entry(data, "unnamed")
    command = [sys.executable, project_root / "scripts" / "prune.py", "--data", data]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 (8 B) may go" in listed.stdout
    assert "YES=1" in listed.stdout
    assert left(data) == [key]
    done = subprocess.run([*command, "--yes"], capture_output=True, text=True, check=True)
    assert "Freed 8 B" in done.stdout
    assert left(data) == []


def test_no_folder_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        plan_prune(tmp_path / "nowhere")
