"""Renders a corpus slowly with two workers: ``python drive.py CORPUS STORE``; somebody else kills it."""

import sys
from pathlib import Path

from faulty_source import FaultySource

from affect4d.parallel import EngineOptions
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_corpus import render_corpus
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.store import ContentStore

OPTIONS = RenderOptions(size=32)


def main(corpus, folder, pause):
    store, source = ContentStore(folder), FaultySource(corpus, pause=pause)
    manifest = ingest_source(FaultySource(corpus), IngestOptions(), store).manifest
    return render_corpus(manifest, source, OPTIONS, store, EngineOptions(workers=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), 0.5)
