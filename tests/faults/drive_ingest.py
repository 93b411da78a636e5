"""Takes in a corpus slowly with two workers: ``python drive_ingest.py CORPUS STORE``; somebody else kills it."""

import sys
from pathlib import Path

from faulty_source import FaultySource

from affect4d.parallel import EngineOptions
from affect4d.scans import ingest
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.store import ContentStore


def main(corpus, folder, pause):
    ingest.SCANS_PER_PORTION = 1  # every sequence is one
    return ingest_source(
        FaultySource(corpus, pause=pause), IngestOptions(), ContentStore(folder), EngineOptions(workers=2)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), 0.5)
