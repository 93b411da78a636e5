import copy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from generated_surface import bumpy_scan

from affect4d.parallel import CodeMismatchError, EngineOptions, LostChunkError
from affect4d.parallel import chunks as parallel_chunks
from affect4d.rendering import render_sequence as sequence_module
from affect4d.rendering.cameras_and_render_backends import OpenGLError, RenderError
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_corpus import render_corpus, render_report
from affect4d.rendering.render_sequence import DroppedScan, EmptySequenceError, block_means, frame_activity
from affect4d.rendering.shards import DamagedShardError, Shard, open_shard
from affect4d.scans.geometry import transform
from affect4d.scans.scan import ScanError
from affect4d.store import ContentStore, file_digest
from affect4d.store.prune import carry_out, plan_prune

FRAMES = 5
UNREADABLE = ("F002/Sad/3", *(f"F003/Sad/{frame}" for frame in range(FRAMES)))
OPTIONS = RenderOptions(size=32, max_failed_share=0.5)


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path / "store")


@pytest.fixture
def drawn(monkeypatch):
    """Scans come from a formula; the list of those that were asked for is returned."""
    asked = []

    def load(root, row, texels=0):
        asked.append(row["scan"])
        if row["scan"] in UNREADABLE:
            raise ScanError("truncated", root / row["scan"], "ends early")
        scan = bumpy_scan(lopsided=4.0 * row["frame"])
        aside = np.eye(4)
        aside[0, 3] = row["offset"]
        return transform(scan, aside)

    monkeypatch.setattr(sequence_module, "load_canonical_scan", load)
    return asked


def scan_manifest(*sequences, offset=0.0):
    return pd.DataFrame(
        {
            "sequence": sequence,
            "subject": sequence[:4],
            "expression": "happiness",
            "frame": frame,
            "scan": f"{sequence}/{frame}",
            "checksum": f"{sequence}{frame}",
            "crop_radius": 95.0,
            "pose": np.eye(4).ravel(),
            "offset": offset,
        }
        for sequence in sequences
        for frame in range(FRAMES)
    )


def test_one_row_a_sequence_tells_where_its_images_are(drawn, store, tmp_path):
    table = render_corpus(scan_manifest("F001/Happy", "M001/Happy"), tmp_path, OPTIONS, store)
    first = table.iloc[0]
    shard = Shard(store.path(first["shard"]))
    assert list(table["sequence"]) == ["F001/Happy", "M001/Happy"]
    assert shard.stack("texture").shape == shard.stack("normals").shape == (FRAMES, 3, 32, 32, 3)
    np.testing.assert_array_equal(shard.image("normals", 3, 1), shard.stack("normals")[3, 1])
    assert file_digest(store.path(first["shard"])) == first["checksum"]
    assert list(first["frames"]) == list(range(FRAMES))
    assert (first["subject"], first["neutral"], first["size"]) == ("F001", 0, 32)
    assert dict(zip(first["views"], first["angles"], strict=True)) == OPTIONS.angles
    assert first["activity"][0] == 0 < first["activity"][-1]
    assert render_report(table).empty


def test_nothing_is_drawn_twice(drawn, store, tmp_path):
    manifest = scan_manifest("F001/Happy")
    first = render_corpus(manifest, tmp_path, OPTIONS, store)
    drawn.clear()
    again = render_corpus(manifest, tmp_path, OPTIONS, store)
    assert drawn == []
    assert again["shard"].tolist() == first["shard"].tolist()
    assert list(again["activity"][0]) == list(first["activity"][0])


def test_a_lost_shard_alone_is_drawn_again(drawn, store, tmp_path):
    manifest = scan_manifest("F001/Happy", "F002/Happy")
    table = render_corpus(manifest, tmp_path, OPTIONS, store)
    store.path(table["shard"][1]).unlink()
    drawn.clear()
    again = render_corpus(manifest, tmp_path, OPTIONS, store)
    assert {scan[:4] for scan in drawn} == {"F002"}
    assert again["checksum"].tolist() == table["checksum"].tolist()


@pytest.mark.parametrize("left", [0, 8, -1])
@pytest.mark.parametrize("known", [True, False], ids=["in a known manifest", "alone"])
def test_what_a_power_cut_left_of_a_shard_is_drawn_again(drawn, store, tmp_path, left, known):
    manifest = scan_manifest("F001/Happy", "F002/Happy")
    table = render_corpus(manifest, tmp_path, OPTIONS, store)
    shard = store.path(table["shard"][1])
    shard.write_bytes(shard.read_bytes()[:left])
    if not known:
        shutil.rmtree(store.root / "view_manifests")
    drawn.clear()
    again = render_corpus(manifest, tmp_path, OPTIONS, store)
    assert {scan[:4] for scan in drawn} == {"F002"}
    assert again["checksum"].tolist() == [file_digest(store.path(name)) for name in again["shard"]]
    assert again["checksum"].tolist() == table["checksum"].tolist()


@pytest.mark.parametrize("known", [True, False], ids=["in a known manifest", "alone"])
def test_a_shard_with_zeros_in_its_middle_is_drawn_again_once_that_is_seen(drawn, store, tmp_path, known):
    manifest = scan_manifest("F001/Happy", "F002/Happy")
    table = render_corpus(manifest, tmp_path, OPTIONS, store)
    shard = store.path(table["shard"][1])
    data = bytearray(shard.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 512] = bytes(512)
    shard.write_bytes(data)
    if not known:
        shutil.rmtree(store.root / "view_manifests")
    found = render_corpus(manifest, tmp_path, OPTIONS, store).iloc[1]
    with pytest.raises(DamagedShardError, match=f"{shard} is damaged.*run again"):
        read_all(open_shard(shard, found["checksum"]))
    drawn.clear()
    again = render_corpus(manifest, tmp_path, OPTIONS, store)
    assert {scan[:4] for scan in drawn} == {"F002"}
    assert again["checksum"].tolist() == table["checksum"].tolist()


def read_all(shard):
    return [shard.stack(channel) for channel in shard.header["channels"]]


def test_what_a_power_cut_left_of_a_sequence_less_a_scan_is_drawn_again(drawn, store, tmp_path):
    manifest = scan_manifest("F002/Sad")
    shard = store.path(render_corpus(manifest, tmp_path, OPTIONS, store)["shard"][0])
    shard.write_bytes(b"")
    again = render_corpus(manifest, tmp_path, OPTIONS, store)
    assert file_digest(shard) == again["checksum"][0]


def test_changed_scans_poses_and_options_are_drawn_anew(drawn, store, tmp_path):
    manifest = scan_manifest("F001/Happy")
    moved = manifest.assign(pose=[np.eye(4).ravel() + 1e-9] * FRAMES)
    changed = manifest.assign(checksum="other")
    shards = [render_corpus(table, tmp_path, OPTIONS, store)["shard"][0] for table in (manifest, moved, changed)]
    shards.append(render_corpus(manifest, tmp_path, OPTIONS.model_copy(update={"size": 48}), store)["shard"][0])
    assert len(set(shards)) == 4


def test_views_in_another_order_are_other_images(drawn, store, tmp_path):
    manifest, turned = scan_manifest("F001/Happy"), {"right": 45.0, "front": 0.0, "left": -45.0}
    first = render_corpus(manifest, tmp_path, OPTIONS, store)
    second = render_corpus(manifest, tmp_path, OPTIONS.model_copy(update={"angles": turned}), store)
    assert [list(table["views"][0]) for table in (first, second)] == [["front", "left", "right"], list(turned)]
    one, other = (Shard(store.path(table["shard"][0])) for table in (first, second))
    np.testing.assert_array_equal(other.image("normals", 0, 0), one.image("normals", 0, 2))


def test_how_many_processes_draw_changes_nothing(drawn, store, tmp_path):
    manifest = scan_manifest("F001/Happy")
    first = render_corpus(manifest, tmp_path, OPTIONS, store)
    drawn.clear()
    render_corpus(manifest, tmp_path, OPTIONS, store, EngineOptions(workers=2))
    assert drawn == []
    assert len(first) == 1


def test_a_bad_scan_costs_itself_and_is_named(drawn, store, tmp_path):
    table = render_corpus(scan_manifest("F001/Happy", "F002/Sad"), tmp_path, OPTIONS, store)
    assert [list(frames) for frames in table["frames"]] == [[0, 1, 2, 3, 4], [0, 1, 2, 4]]
    assert Shard(store.path(table["shard"][1])).stack("texture").shape[0] == 4
    (note,) = render_report(table).to_dict("records")
    assert (note["sequence"], note["frame"], note["scan"]) == ("F002/Sad", 3, "F002/Sad/3")
    assert "ends early" in note["reason"]


def test_a_lost_neutral_frame_says_which_one_stands_for_it(drawn, store, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "UNREADABLE", ("F001/Happy/0", "F001/Happy/3"))
    table = render_corpus(scan_manifest("F001/Happy"), tmp_path, OPTIONS, store)
    first, later = render_report(table).to_dict("records")
    assert (table["neutral"][0], list(table["frames"][0])) == (0, [1, 2, 4])
    assert first["reason"].endswith(". Frame 1 is taken for the neutral one.")
    assert later["reason"].endswith("ends early [truncated]")


def test_what_may_have_been_an_accident_is_tried_again(drawn, store, tmp_path, monkeypatch):
    manifest = scan_manifest("F001/Happy", "F002/Sad")
    render_corpus(manifest, tmp_path, OPTIONS, store)
    monkeypatch.setitem(globals(), "UNREADABLE", ())
    drawn.clear()
    table = render_corpus(manifest, tmp_path, OPTIONS, store)
    assert {scan[:4] for scan in drawn} == {"F002"}
    assert list(table["frames"][1]) == [0, 1, 2, 3, 4]
    assert render_report(table).empty


def one_frame(*sequences):
    return scan_manifest(*sequences).query("frame == 0").assign(scan=lambda table: table["sequence"])


def test_an_accident_that_costs_a_sequence_of_one_frame_is_tried_again(drawn, store, tmp_path, monkeypatch):
    manifest = one_frame("F001/Happy", "F009/Happy")
    monkeypatch.setitem(globals(), "UNREADABLE", ("F009/Happy",))
    first = render_corpus(manifest, tmp_path, OPTIONS, store)
    assert render_report(first)[["scan", "lasting"]].to_numpy().tolist() == [["F009/Happy", False]]
    monkeypatch.setitem(globals(), "UNREADABLE", ())
    assert list(render_corpus(manifest, tmp_path, OPTIONS, store)["sequence"]) == ["F001/Happy", "F009/Happy"]


def test_a_dead_process_that_costs_a_sequence_of_one_frame_is_tried_again(drawn, store, tmp_path, monkeypatch):
    manifest = one_frame("F001/Happy", "F009/Happy")
    with monkeypatch.context() as patched:
        patched.setattr(parallel_chunks, "map_chunks", losing("F009/Happy"))
        report = render_report(render_corpus(manifest, tmp_path, OPTIONS, store))
    assert report[["scan", "reason", "lasting"]].to_numpy().tolist() == [
        ["F009/Happy", "LostChunkError: its process died", False]
    ]
    assert list(render_corpus(manifest, tmp_path, OPTIONS, store)["sequence"]) == ["F001/Happy", "F009/Happy"]


def test_notes_of_a_sequence_without_an_image_travel_between_processes_whole():
    error = EmptySequenceError((DroppedScan("F001/Happy", 0, "F001/Happy/0", "ends early", False),))
    again = copy.copy(error)  # as between processes: by what it says to be made of
    assert (again.dropped, str(again)) == (error.dropped, str(error))


def test_what_will_be_so_every_time_is_not_tried_again_and_stays_named(drawn, store, tmp_path):
    manifest = scan_manifest("F001/Happy")
    manifest.loc[2, "offset"] = 900.0
    first = render_corpus(manifest, tmp_path, OPTIONS, store)
    drawn.clear()
    again = render_corpus(manifest, tmp_path, OPTIONS, store)
    assert drawn == []
    pd.testing.assert_frame_equal(render_report(first), render_report(again))
    assert render_report(again)["frame"].tolist() == [2]


def test_a_sequence_without_a_readable_scan_is_left_out(drawn, store, tmp_path):
    table = render_corpus(scan_manifest("F001/Happy", "F003/Sad"), tmp_path, OPTIONS, store)
    assert list(table["sequence"]) == ["F001/Happy"]
    assert render_report(table)["scan"].tolist() == [f"F003/Sad/{frame}" for frame in range(FRAMES)]


def test_too_many_bad_scans_end_the_run(drawn, store, tmp_path):
    strict = OPTIONS.model_copy(update={"max_failed_share": 0.09})
    with pytest.raises(RenderError, match=r"1 of 10 scans .*F002/Sad, frame 3.*max_failed_share"):
        render_corpus(scan_manifest("F001/Happy", "F002/Sad"), tmp_path, strict, store)


DIED = LostChunkError("its process died")


def losing(scan, error=DIED):
    """``map_chunks`` whose process dies of one scan."""
    real = parallel_chunks.map_chunks

    def map_chunks(function, jobs, *words, **more):
        for job, result in real(function, jobs, *words, **more):
            fatal = any(row["scan"] == scan for row in job.rows)
            yield job, error if fatal else result

    return map_chunks


def test_a_tolerance_that_is_lowered_later_counts(drawn, store, tmp_path):
    manifest = scan_manifest("F001/Happy")
    manifest.loc[2, "offset"] = 900.0
    render_corpus(manifest, tmp_path, OPTIONS, store)
    with pytest.raises(RenderError, match=r"1 of 5 scans .*max_failed_share"):
        render_corpus(manifest, tmp_path, OPTIONS.model_copy(update={"max_failed_share": 0.1}), store)


def test_a_scan_that_its_process_does_not_survive_costs_itself(drawn, store, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel_chunks, "map_chunks", losing("F001/Happy/2"))
    table = render_corpus(scan_manifest("F001/Happy", "M001/Happy"), tmp_path, OPTIONS, store)
    assert [list(frames) for frames in table["frames"]] == [[0, 1, 3, 4], [0, 1, 2, 3, 4]]
    assert render_report(table)[["scan", "reason"]].to_numpy().tolist() == [
        ["F001/Happy/2", "LostChunkError: its process died"]
    ]


def test_an_empty_image_is_an_error_with_its_likely_cause(drawn, store, tmp_path):
    with pytest.raises(RenderError, match="pose is probably wrong") as raised:
        render_corpus(scan_manifest("F001/Happy", offset=900.0), tmp_path, OPTIONS, store)
    assert "max_failed_share" not in str(raised.value), "nothing is left to be enough"


def test_an_empty_manifest_points_to_the_ingest_report(store, tmp_path):
    with pytest.raises(ValueError, match="ingest report"):
        render_corpus(scan_manifest("F001/Happy").head(0), tmp_path, OPTIONS, store)


def test_a_driver_that_draws_nonsense_ends_the_batch_at_the_first_sequence(drawn, store, tmp_path, monkeypatch):
    asked = []

    def refuse(options):
        asked.append(options)
        raise OpenGLError("draws nothing")

    monkeypatch.setattr(sequence_module, "shared_renderer", refuse)
    with pytest.raises(OpenGLError, match="draws nothing"):
        render_corpus(scan_manifest("F001/Happy", "M001/Happy"), tmp_path, OPTIONS, store)
    assert len(asked) == 1


def test_a_worker_with_other_code_ends_the_batch(drawn, store, tmp_path, monkeypatch):
    def refuse(options):
        raise CodeMismatchError("another version")

    monkeypatch.setattr(sequence_module, "shared_renderer", refuse)
    with pytest.raises(CodeMismatchError, match="another version"):
        render_corpus(scan_manifest("F001/Happy", "M001/Happy"), tmp_path, OPTIONS, store)


@pytest.mark.parametrize("channels", [("texture",), ("depth",), ("normals", "depth", "shading"), ("shading",)])
def test_whatever_channels_are_drawn_are_stored(channels, drawn, store, tmp_path):
    options = OPTIONS.model_copy(update={"channels": channels})
    table = render_corpus(scan_manifest("F001/Happy"), tmp_path, options, store)
    shard = Shard(store.path(table["shard"][0]))
    assert list(shard.header["channels"]) == list(channels)
    assert table["activity"][0][-1] > 0


def activity(normals):
    return frame_activity([block_means({"normals": frame}) for frame in normals])


def test_activity_rises_with_movement_and_not_with_noise():
    generator = np.random.default_rng(0)
    still = generator.normal(150, 6, (8, 2, 48, 48, 3))
    moving = still.copy()
    moving[4:6, :, 12:24, 12:24] += 40
    noise, movement = (activity(images.astype(np.uint8)) for images in (still, moving))
    assert noise.max() < 0.3 * movement.max()
    assert set(np.flatnonzero(movement > 0.5 * movement.max())) == {4, 5}


def test_a_neutral_and_an_apex_alone_keep_their_activity():
    images = np.full((2, 1, 24, 24, 3), 128, np.uint8)
    images[1, :, :12] = 255
    assert activity(images)[1] > 0.1


def test_after_a_prune_what_is_named_is_not_drawn_again_and_what_is_not_is(drawn, tmp_path):
    data = tmp_path / "data"
    store, kept, let_go = ContentStore(data / "views"), scan_manifest("F001/Happy"), scan_manifest("M001/Happy")
    table = render_corpus(kept, tmp_path, OPTIONS, store)
    table.to_parquet(data / "view_manifest.parquet")
    other = render_corpus(let_go, tmp_path, OPTIONS, store)
    carry_out(plan_prune(data, keep_hours=0))
    drawn.clear()
    pd.testing.assert_frame_equal(render_corpus(kept, tmp_path, OPTIONS, store), table)
    assert drawn == []
    pd.testing.assert_frame_equal(render_corpus(let_go, tmp_path, OPTIONS, store), other)
    assert len(drawn) == FRAMES


def test_further_head_poses_lie_beside_the_canonical_one_and_leave_it_as_it_is(drawn, store):
    manifest = scan_manifest("F001/Happy")
    plain = render_corpus(manifest, Path("raw"), OPTIONS, store).iloc[0]
    more = render_corpus(manifest, Path("raw"), OPTIONS.model_copy(update={"head_poses": 2}), store).iloc[0]
    assert (plain["head_poses"], more["head_poses"]) == (0, 2)
    assert plain["activity"] == more["activity"]
    first, second = Shard(store.path(plain["shard"])), Shard(store.path(more["shard"]))
    assert np.array_equal(first.stack("normals"), second.stack("normals"))
    assert {"normals~1", "normals~2", "texture~1", "texture~2"} <= set(second.header["channels"])
    assert not np.array_equal(second.stack("normals~1"), second.stack("normals~2"))
