"""Scans that strangers send: read in a process of their own, in limited memory and time, and kept nowhere.

Parsing is where a hostile file does its harm, so it is done where harm ends: a child process unpacks and reads, and is
replaced when it dies. What comes back is arrays, checked once more, in a temporary folder that goes with the call.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors.numpy import load_file

from affect4d.inference.unpacking import UploadLimits, UploadRefusedError
from affect4d.scans.readers.mesh import check_faces, check_texture_coordinates, check_vertices
from affect4d.scans.scan import FaceScan, ScanError

__all__ = ["ReadingRoom", "SentScan", "Upload", "UploadLimits", "UploadRefusedError"]

CLOCK = 3
"""By the clock, a job may take this many times the seconds of computing it has."""
START = 120.0
"""Seconds a reading process may take to start."""
SILENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Threads reserve address space, and a reader needs none."""


@dataclass(frozen=True, slots=True)
class SentScan:
    """One scan of an upload.

    Attributes:
        name: Under which it was sent, without folders.
        scan: None where it is refused.
        code: Short word for what is wrong; empty where nothing is.
        reason: What is wrong, or what was mended, in words.
    """

    name: str
    scan: FaceScan | None
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload held.

    Attributes:
        scans: In natural order of their names; refused ones too.
        refused: Other files that are not used: name and reason.
    """

    scans: tuple[SentScan, ...]
    refused: tuple[tuple[str, str], ...]

    @property
    def usable(self) -> tuple[SentScan, ...]:
        """Scans that could be read."""
        return tuple(sent for sent in self.scans if sent.scan is not None)


class ReadingRoom:
    """A reading process that is kept warm, and started anew when it died.

    Args:
        limits: What an upload may be and cost.
    """

    def __init__(self, limits: UploadLimits | None = None) -> None:
        self.limits = limits or UploadLimits()
        self._process: subprocess.Popen[str] | None = None
        self._fresh = True
        self._lock = threading.Lock()
        atexit.register(self.close)

    def read(
        self, sent: Sequence[tuple[str, bytes]], tell: Callable[[int, int], object] | None = None, texels: int = 0
    ) -> Upload:
        """Read an upload; one bad scan costs that scan.

        Args:
            sent: Name, untrusted, and bytes of every file: scans with their pictures and materials, or zips of them.
            tell: Called before every scan with how many were read, and of how many.
            texels: How many suffice along the shorter side of a texture; 0 for all.

        Raises:
            UploadRefusedError: If there is no scan in it, or too much of anything; says what may be sent.
        """
        with self._lock, tempfile.TemporaryDirectory(prefix="affect4d-upload-") as temporary:
            folder = Path(temporary)
            listing = self._unpack(_store(sent, folder / "sent", self.limits), folder / "files")
            refused = tuple((name, reason) for name, reason in listing["refused_files"])
            if not listing["scans"]:
                raise UploadRefusedError(_nothing_in(refused))
            scans = []
            for count, name in enumerate(listing["scans"]):
                if tell is not None:
                    tell(count, len(listing["scans"]))
                scans.append(self._read(folder / "files", name, texels))
            return Upload(tuple(scans), refused)

    def start(self) -> None:
        """Start the process now, so that the first upload need not wait for it."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                _shut(pipe)

    def _unpack(self, stored: Mapping[str, Path], folder: Path) -> dict[str, Any]:
        folder.mkdir()
        places = {name: str(place) for name, place in stored.items()}
        done = self._ask(do="unpack", sent=places, folder=str(folder), limits=self.limits.model_dump())
        if "refused" in done:
            raise UploadRefusedError(str(done["refused"]))
        return done

    def _read(self, folder: Path, name: str, texels: int) -> SentScan:
        result = folder.parent / "scan.safetensors"
        result.unlink(missing_ok=True)
        done = self._ask(do="read", folder=str(folder), scan=name, result=str(result), texels=texels)
        if "refused" in done:
            return SentScan(name, None, str(done["code"]), str(done["refused"]))
        try:
            return SentScan(name, _checked(load_file(result), done["repairs"]), "", "; ".join(done["repairs"]))
        except (ScanError, OSError, ValueError, KeyError) as error:
            return SentScan(name, None, "unreadable", getattr(error, "detail", "its arrays could not be handed over"))

    def _ask(self, **job: Any) -> dict[str, Any]:
        """The answer to a job; a process that dies over it is what is wrong with the file."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        clock = threading.Timer(CLOCK * self.limits.seconds + (START if self._fresh else 0), process.kill)
        clock.start()
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            clock.cancel()
        self._fresh = False
        if line.endswith("\n"):  # half a line is of a reader that ended over it
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.close()
        return {"refused": f"took more than {self.limits.seconds} s, or broke its reader", "code": "reader-lost"}

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None or self._process.poll() is not None:
            self.close()
            command = [sys.executable, "-m", "affect4d.inference.reading_room"]
            self._process = subprocess.Popen(
                [*command, str(self.limits.memory_bytes), str(self.limits.seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **SILENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            self._fresh = True
        return self._process


def _store(sent: Sequence[tuple[str, bytes]], folder: Path, limits: UploadLimits) -> dict[str, Path]:
    """The sent bytes under names of our own, for the reading process."""
    if not sent:
        raise UploadRefusedError(_nothing_in(()))
    if len(sent) > limits.files or sum(len(content) for _, content in sent) > limits.total_bytes:
        raise UploadRefusedError(
            f"At most {limits.files} files and {limits.total_bytes >> 20} MB are taken at a time: send one sequence."
        )
    folder.mkdir()
    stored: dict[str, Path] = {}
    for number, (name, content) in enumerate(sent):
        place = folder / str(number)
        place.write_bytes(content)
        stored[name if name not in stored else f"{number}/{name}"] = place
    return stored


def _checked(arrays: Mapping[str, np.ndarray], repairs: Sequence[str]) -> FaceScan:
    """The scan, once more held to what every reader promises: no mesh is drawn that was not checked here."""
    meshes: dict[str, Any] = dict(arrays)
    scan = FaceScan(**meshes, repairs=tuple(map(str, repairs)))
    nowhere = Path("upload")
    check_vertices(scan.vertices, nowhere)
    check_faces(scan.faces, len(scan.vertices), nowhere)
    if scan.texture_coordinates is not None:
        check_texture_coordinates(scan.texture_coordinates, nowhere)
    return scan


def _nothing_in(refused: Sequence[tuple[str, str]]) -> str:
    said = "; ".join(f"{name} {reason}" for name, reason in refused[:3])
    return f"There is no scan in this upload{': ' + said if said else ''}. Send .wrl, .obj, .ply, .bnt, .off or .stl."


def _shut(pipe: IO[str] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()
