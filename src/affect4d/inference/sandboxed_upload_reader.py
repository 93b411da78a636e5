"""Uploaded scans, read in a confined worker process: limited in memory and time, and kept nowhere.

Nothing in an upload is trusted. File types are checked by content; sizes in an archive's directory are ignored; links
and folders are not followed; of a name only its last part is used, if it is plain. A worker that dies is replaced; it
returns JSON and safetensors, which are checked again, never pickled objects.
"""

import io
import json
import multiprocessing
import re
import resource
import signal
import stat
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, Field
from safetensors.numpy import load, save

from affect4d.malloc_and_peak_memory import keep_freed_memory
from affect4d.scans.readers import LANDMARK_READERS, READERS, natural_order, read_scan
from affect4d.scans.readers.mesh_checks_and_textures import assemble_mesh
from affect4d.scans.scan import FaceScan, ScanError

PlainData = tuple[dict[str, Any], dict[str, np.ndarray]]  # a JSON document, and arrays by name
SCAN_ARRAYS: Mapping[str, tuple[str, int, int]] = {
    "vertices": ("float32", 2, 3),
    "faces": ("int32", 2, 3),
    "texture_coordinates": ("float32", 2, 2),
    "texture": ("uint8", 3, 3),
    "landmarks": ("float32", 2, 3),
}  # arrays of a scan: type, number of axes, length of the last
IMAGES: Mapping[str, tuple[bytes, ...]] = {
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".bmp": (b"BM",),
}  # suffix of an image → its first bytes
ARCHIVE, MATERIAL = b"PK\x03\x04", ".mtl"
KNOWN = (*READERS, MATERIAL, *IMAGES, *LANDMARK_READERS)
PIECE, LARGEST_ANSWER = 2**20, 2**30
_PLAIN = re.compile(r"\w[\w .()+-]{0,99}")
_CLUTTER = re.compile(r"(^|/)(__MACOSX(/|$)|\.|Thumbs\.db$|desktop\.ini$)")
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)

REFUSED = "refused"
CLOCK = 3  # wall-clock seconds a job may take for each second of its computing limit
UPLOAD, STATUS = Path("upload"), Path("/proc/self/statm")
_POINTS = "0 0 0\n9 0 0\n0 9 0\n"
TRIANGLE: Mapping[str, str] = {
    ".wrl": "#VRML V2.0 utf8\nShape { geometry IndexedFaceSet { coord Coordinate { point [ 0 0 0, 9 0 0, 0 9 0 ] }\n"
    "coordIndex [ 0, 1, 2, -1 ] } }\n",
    ".obj": "v 0 0 0\nv 9 0 0\nv 0 9 0\nf 1 2 3\n",
    ".ply": "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    f"element face 1\nproperty list uchar int vertex_indices\nend_header\n{_POINTS}3 0 1 2\n",
    ".off": f"OFF\n3 1 0\n{_POINTS}3 0 1 2\n",
    ".stl": "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 9 0 0\nvertex 0 9 0\nendloop\nendfacet\n"
    "endsolid a\n",
}  # the smallest file of every text format: reading it loads, and on a new machine compiles, the reader's loops


class UploadLimits(BaseModel, frozen=True, extra="forbid"):
    """Largest upload, and the resources for reading it."""

    files: int = Field(default=600, ge=1, description="Files in all, those in archives included.")
    scans: int = Field(default=150, ge=1)
    file_bytes: int = Field(default=64 * 2**20, ge=1)
    total_bytes: int = Field(default=400 * 2**20, ge=1, description="Of all files, unpacked.")
    memory_bytes: int = Field(default=2 * 2**30, ge=1, description="Of the worker, beyond its own.")
    seconds: int = Field(default=20, ge=1, description="Of computing for a scan, or for unpacking; by the clock ×3.")


class UploadRefusedError(ValueError):
    """Upload that cannot be used at all; says why, and what may be sent."""


@dataclass(frozen=True, slots=True)
class UploadedScan:
    """Scan of an upload, or the reason why it is refused; ``reason`` also lists repairs."""

    name: str
    scan: FaceScan | None
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """Scans of an upload, in natural order of their names, and its refused files: (name, reason)."""

    scans: tuple[UploadedScan, ...]
    refused: tuple[tuple[str, str], ...]

    @property
    def usable(self) -> tuple[UploadedScan, ...]:
        """Scans that could be read."""
        return tuple(one for one in self.scans if one.scan is not None)


class _Worker(NamedTuple):
    process: SpawnProcess
    jobs: Connection
    results: Connection


class UploadReader:
    """Reads uploads in one warm worker process, which is replaced when it dies."""

    def __init__(self, limits: UploadLimits | None = None) -> None:
        self.limits = limits or UploadLimits()
        self._worker: _Worker | None = None
        self._lock = threading.Lock()

    def read(
        self,
        files: Sequence[tuple[str, bytes]],
        progress: Callable[[int, int], object] | None = None,
        texels: int = 0,
    ) -> Upload:
        """Read names, untrusted, and bytes of files or zips; a bad scan does not affect the others.

        ``texels`` suffice along the shorter side of a texture; 0 for all. UploadRefusedError if nothing can be used.
        """
        if len(files) > self.limits.files or sum(len(content) for _, content in files) > self.limits.total_bytes:
            most = f"{self.limits.files} files and {self.limits.total_bytes >> 20} MB"
            raise UploadRefusedError(f"At most {most} are taken at a time: send one sequence.")
        with self._lock, tempfile.TemporaryDirectory(prefix="affect4d-upload-") as folder:
            self._check_worker()
            try:
                unpacked, _ = self._run(unpack, files, Path(folder), self.limits)
            except ScanError as error:
                raise UploadRefusedError(error.detail) from error
            names, refused = unpacked["scans"], tuple((name, reason) for name, reason in unpacked["refused"])
            if not names:
                raise UploadRefusedError(_no_scan(refused))
            scans = []
            for count, name in enumerate(names):
                if progress is not None:
                    progress(count, len(names))
                scans.append(self._read(Path(folder, name), texels))
            return Upload(tuple(scans), refused)

    def start(self) -> None:
        """Start the worker now, so that the first upload does not wait for it."""
        with self._lock:
            self._check_worker()

    def close(self) -> None:
        """End the worker."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.jobs.close()
            worker.results.close()
            worker.process.kill()
            worker.process.join()

    def _read(self, file: Path, texels: int) -> UploadedScan:
        try:
            scan = _checked_scan(*self._run(_read_uploaded, file, texels))
        except ScanError as error:
            place = f" ({error.where})" if error.where else ""
            return UploadedScan(file.name, None, error.code, f"{error.detail}{place}")
        return UploadedScan(file.name, scan, "", "; ".join(scan.repairs))

    def _run(self, function: Callable[..., PlainData], *args: Any) -> PlainData:
        """What a function returns in the worker; ScanError if it fails or the worker dies, or UploadRefusedError."""
        self._worker = worker = self._worker or _start_worker(self.limits.memory_bytes)
        try:
            worker.jobs.send((self.limits.seconds, function, args))
            document, (code, detail, where) = json.loads(worker.results.recv_bytes(LARGEST_ANSWER))
            arrays = load(worker.results.recv_bytes(LARGEST_ANSWER))
        except Exception as error:
            self.close()
            raise ScanError(
                "reader-lost", UPLOAD, f"took more than {self.limits.seconds} s, or broke its reader"
            ) from error
        if code == REFUSED:
            raise UploadRefusedError(detail)
        if code:
            raise ScanError(code, UPLOAD, detail, where)
        return document, arrays

    def _check_worker(self) -> None:
        """Wait until the worker has done an empty job; replace one that died since its last."""
        try:
            self._run(unpack, (), Path(), self.limits)
        except ScanError:
            self._run(unpack, (), Path(), self.limits)


def _start_worker(memory: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    (taken, jobs), (results, given) = context.Pipe(duplex=False), context.Pipe(duplex=False)  # faster than one duplex
    process = context.Process(target=_work, args=(taken, given, memory), daemon=True)
    process.start()
    taken.close()
    given.close()  # so that the results end with the worker
    return _Worker(process, jobs, results)


def _work(jobs: Connection, results: Connection, memory: int) -> None:
    """Do one job after the other until the parent is gone; a job of unforeseen failure ends the process."""
    _confine(memory)
    while True:
        try:
            seconds, function, args = jobs.recv()
        except EOFError:
            return
        outcome: PlainData = {}, {}
        error = ("", "", "")
        try:
            outcome = _limited(seconds, function, *args)
        except ScanError as defect:
            error = defect.code, defect.detail, defect.where
        except UploadRefusedError as refusal:
            error = REFUSED, str(refusal), ""
        except MemoryError:
            error = "too-large", "needs more memory than a scan may", ""
        results.send_bytes(json.dumps([outcome[0], error]).encode())
        results.send_bytes(save(outcome[1]))


def _confine(memory: int) -> None:
    """Warm up the readers, then limit for good what this process may allocate, write and leave behind."""
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this process
    with tempfile.TemporaryDirectory() as folder:
        for suffix, text in TRIANGLE.items():
            file = Path(folder, f"face{suffix}")
            file.write_text(text)
            read_scan(file)
    if STATUS.exists():  # Linux: the limit counts from what is taken now
        limit = int(STATUS.read_text().split()[0]) * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, 2**30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limited(seconds: int, function: Callable[..., PlainData], *args: Any) -> PlainData:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    signal.alarm(CLOCK * seconds)
    try:
        return function(*args)
    finally:
        signal.alarm(0)


def _read_uploaded(file: Path, texels: int) -> PlainData:
    """Read one scan with its landmarks, and with the upload's only image if it is the upload's only scan."""
    landmarks = next((near for near in map(file.with_suffix, LANDMARK_READERS) if near.is_file()), None)
    beside = list(file.parent.iterdir())
    images = [near for near in beside if near.suffix.lower() in IMAGES]
    scans = [near for near in beside if near.suffix.lower() in READERS]
    image = images[0] if len(images) == len(scans) == 1 else None
    scan = read_scan(file, image, landmarks, texels=texels)
    arrays = {name: getattr(scan, name) for name in SCAN_ARRAYS}
    return {"repairs": scan.repairs}, {name: np.ascontiguousarray(a) for name, a in arrays.items() if a is not None}


def _checked_scan(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> FaceScan:
    """Scan from what a worker returned, which may have been taken over by the file it read."""
    arrays = {name: array.copy() for name, array in arrays.items()}  # writable, as those of a reader
    kinds = {name: (str(array.dtype), array.ndim, *array.shape[-1:]) for name, array in arrays.items()}
    if not {"vertices", "faces"} <= kinds.keys() or not kinds.items() <= SCAN_ARRAYS.items():
        raise ScanError("reader-lost", UPLOAD, f"broke its reader: {kinds}")
    mesh = assemble_mesh(UPLOAD, arrays["vertices"], arrays["faces"], arrays.get("texture_coordinates"))
    shape = (mesh.vertices, mesh.faces, mesh.texture_coordinates)
    return FaceScan(*shape, arrays.get("texture"), arrays.get("landmarks"), tuple(document["repairs"]))


@dataclass
class Unpacked:
    """Names of the scans in a folder, and refused files: (name, reason)."""

    limits: UploadLimits
    folder: Path
    scans: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0
    size: int = 0  # bytes copied

    def count_file(self) -> None:
        """Count one more file; UploadRefusedError if there are too many."""
        self.files += 1
        if self.files > self.limits.files:
            raise UploadRefusedError(f"More than {self.limits.files} files: send one sequence at a time.")

    def copy(self, file: IO[bytes], target: Path) -> bool:
        """Copy a file; stop where it exceeds its limit, and return whether it did. All together have theirs, too."""
        with target.open("xb") as copied:
            while piece := file.read(PIECE):
                self.size += len(piece)
                if self.size > self.limits.total_bytes:
                    total = self.limits.total_bytes / 2**20
                    raise UploadRefusedError(f"More than {total:g} MB once unpacked: send a shorter sequence.")
                copied.write(piece)
                if copied.tell() > self.limits.file_bytes:
                    return True
        return False


def unpack(files: Sequence[tuple[str, bytes]], folder: Path, limits: UploadLimits) -> PlainData:
    """Write the files of an upload, and of its archives, to an empty folder under plain names; list the scans."""
    unpacked = Unpacked(limits, folder)
    for name, content in files:
        if content.startswith(ARCHIVE):
            _unpack_archive(name, content, unpacked)
        else:
            _add(name, io.BytesIO(content), unpacked)
    return {"scans": sorted(unpacked.scans, key=natural_order), "refused": unpacked.refused}, {}


def _unpack_archive(name: str, content: bytes, unpacked: Unpacked) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                if member.is_dir() or _CLUTTER.search(member.filename):
                    continue
                reason = _not_opened(member)
                if reason:
                    unpacked.count_file()
                    unpacked.refused.append((member.filename[:200], reason))
                    continue
                with archive.open(member) as file:
                    _add(member.filename, file, unpacked)
    except UploadRefusedError:
        raise
    except (*ZIP_ERRORS, ValueError) as error:
        unpacked.refused.append((name[:200], f"is a damaged zip archive ({error})"))


def _not_opened(member: zipfile.ZipInfo) -> str:
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or a device, not a file"
    if member.flag_bits & 1:
        return "is encrypted: send it without a password"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in an unusual way: send a plain zip"
    return ""


def _add(name: str, file: IO[bytes], unpacked: Unpacked) -> None:
    unpacked.count_file()
    target = unpacked.folder / _plain_name(name, unpacked.files)
    reason = _unwanted(target, unpacked)
    if not reason:
        if unpacked.copy(file, target):
            reason = f"is larger than {unpacked.limits.file_bytes / 2**20:g} MB"
        elif target.suffix.lower() in IMAGES and not _is_image(target):
            reason = "is named as an image, and is no JPEG, PNG or BMP"
        if reason:
            target.unlink()
    if reason:
        unpacked.refused.append((name[:200], reason))
    elif target.suffix.lower() in READERS:
        unpacked.scans.append(target.name)


def _unwanted(target: Path, unpacked: Unpacked) -> str:
    suffix = target.suffix.lower()
    if suffix not in KNOWN:
        return f"is of no known kind; scans: {', '.join(READERS)}; images: {', '.join(IMAGES)}; or a zip of them"
    if target.exists():
        return f"has the name of another file, {target.name}: send one sequence at a time"
    if suffix in READERS and len(unpacked.scans) >= unpacked.limits.scans:
        return f"is one scan too many: {unpacked.limits.scans} are read at a time"
    return ""


def _is_image(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(16).startswith(tuple(first for kinds in IMAGES.values() for first in kinds))


def _plain_name(name: str, number: int) -> str:
    last = PurePosixPath(name.replace("\\", "/")).name
    if _PLAIN.fullmatch(last):
        return last
    suffix = Path(last).suffix.lower()
    return f"file-{number}{suffix if suffix in KNOWN else ''}"


def _no_scan(refused: Sequence[tuple[str, str]]) -> str:
    listed = ": " + "; ".join(f"{name} {reason}" for name, reason in refused[:3]) if refused else ""
    return f"There is no scan in this upload{listed}. Send {', '.join(READERS)}."
