"""A scan that kills, hangs or bloats the process that reads it costs itself, and is named."""

import os
import signal
import threading

import pytest
from faulty_source import FaultySource, hold, nap, obey

from affect4d.parallel import ChunkTimeoutError, EngineOptions, LostChunkError, map_chunks
from affect4d.parallel.dask_client_and_workers import open_client
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_corpus import render_corpus, render_report
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.store import ContentStore

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]
TWO = EngineOptions(workers=2, seconds=25)
OPTIONS = RenderOptions(size=32, max_failed_share=0.2)
KILLS, HANGS = "F002/Angry/002.wrl", "F004/Happy/001.wrl"
SPOILED = ((KILLS, "kill"), (HANGS, "hang"))


def test_scans_that_kill_or_hang_a_reader_are_refused_by_name_and_the_rest_is_taken_in(corpus, tmp_path):
    source = FaultySource(corpus, SPOILED)
    ingest = ingest_source(source, IngestOptions(), ContentStore(tmp_path / "store"), TWO)
    lost = ingest.report[ingest.report["code"] == "worker-lost"].set_index("scan")["reason"]
    assert sorted(lost.index) == [KILLS, HANGS]
    assert "process died" in lost[KILLS]
    assert "longer than 25 s" in lost[HANGS]
    assert len(ingest.manifest) == 22


def test_scans_that_kill_or_hang_a_renderer_are_dropped_by_name_and_their_sequences_stay(corpus, tmp_path):
    store = ContentStore(tmp_path / "store")
    manifest = ingest_source(FaultySource(corpus), IngestOptions(), store).manifest
    table = render_corpus(manifest, FaultySource(corpus, SPOILED), OPTIONS, store, TWO)
    report = render_report(table).set_index("scan")["reason"]
    assert sorted(report.index) == [KILLS, HANGS]
    assert "process died" in report[KILLS]
    assert "longer than 25 s" in report[HANGS]
    frames = {row["sequence"]: list(row["frames"]) for row in table.to_dict("records")}
    assert len(frames) == 8
    assert frames["F002/Angry"] == [0, 1]
    assert frames["F004/Happy"] == [0, 2]
    assert all(found == [0, 1, 2] for name, found in frames.items() if name not in ("F002/Angry", "F004/Happy"))
    healed = render_corpus(manifest, FaultySource(corpus), OPTIONS, store, TWO)
    assert render_report(healed).empty
    assert all(list(found) == [0, 1, 2] for found in healed["frames"])


def test_processes_that_die_and_hang_again_and_again_are_replaced():
    engine = EngineOptions(workers=2, seconds=4)
    good = [("work", number) for number in range(6)]
    for _ in range(3):
        outcomes = dict(map_chunks(obey, [*good[:3], ("kill", 0), ("hang", 0), *good[3:]], "obeying", engine))
        assert isinstance(outcomes["hang", 0], ChunkTimeoutError)
        assert type(outcomes["kill", 0]) is LostChunkError
        assert [outcomes[order] for order in good] == list(range(6))


def test_a_worker_killed_from_outside_in_the_middle_costs_nothing():
    client = open_client(TWO)
    victim = next(iter(client.run(os.getpid).values()))
    killer = threading.Timer(1.0, os.kill, (victim, signal.SIGKILL))
    killer.start()
    outcomes = dict(map_chunks(nap, list(range(60)), "napping", TWO))
    killer.join()
    assert outcomes == {number: number for number in range(60)}
    with pytest.raises(ProcessLookupError):
        os.kill(victim, 0)


def test_a_chunk_that_takes_all_memory_ends_only_its_own_process():
    engine = EngineOptions(workers=2, memory="600MB", seconds=60)
    outcomes = list(map_chunks(hold, [1, 1, 4000, 1, 1, 1], "holding memory", engine))
    assert [chunk for chunk, outcome in outcomes if isinstance(outcome, Exception)] == [4000]
    assert all(isinstance(outcome, LostChunkError) for chunk, outcome in outcomes if chunk == 4000)
