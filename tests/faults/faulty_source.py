"""A corpus some of whose scans do worse than being malformed: they kill, hang or bloat the process that reads them."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from affect4d.scans.scan_source_and_corpus_folder import FileSource


@dataclass(frozen=True)
class FaultySource:
    """A corpus folder in BU-4DFE's layout.

    Attributes:
        root: The folder.
        faults: Scan → ``"kill"`` or ``"hang"``.
        pause: Seconds every reading takes longer.
    """

    root: Path
    faults: tuple[tuple[str, str], ...] = ()
    pause: float = 0.0

    @property
    def inner(self):
        return FileSource(self.root, "bu4dfe")

    def table(self):
        return self.inner.table()

    def fingerprint(self):
        return self.inner.fingerprint() + repr(self.faults)

    def identities(self, scans):
        return [f"{one} {self.faults}" for one in self.inner.identities(scans)]

    def read(self, row, landmarks=True, texels=0):
        time.sleep(self.pause)
        fault = dict(self.faults).get(str(row["scan"]))
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "hang":
            time.sleep(3600)
        return self.inner.read(row, landmarks, texels)

    def checksum(self, row):
        return self.inner.checksum(row)

    def locate(self, row):
        return self.inner.locate(row)

    def explain_absence(self):
        return self.inner.explain_absence()


def hold(megabytes):
    """Fill memory bit by bit, as a bad header would have a reader do."""
    held = []
    for _ in range(megabytes):
        held.append(bytearray(os.urandom(1024)) * 1024)
        time.sleep(0.002)
    return len(held)


def nap(number):
    """A short piece of work."""
    time.sleep(0.1)
    return number


def nap_somewhere(number):
    """A short piece of work, and the host that did it."""
    return nap(number), os.environ["FAULTS_HOST"]


def obey(order):
    """Do what is ordered: ``("work", n)``, ``("kill", n)``, ``("hang", n)``."""
    word, number = order
    if word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "hang":
        time.sleep(3600)
    return number
