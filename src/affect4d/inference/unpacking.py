"""What strangers send, sorted: scans, their pictures, materials and landmarks, out of single files and zip archives.

Nothing is believed. What a file is, its content says where it can; an archive's own word on sizes is not listened to,
links and folders in it are not followed, and of a name only its last part is used, if it is plain.
"""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import BaseModel, ConfigDict, Field

from affect4d.scans.readers import LANDMARK_READERS, READERS, natural_order

PICTURES: Mapping[str, tuple[bytes, ...]] = {
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".bmp": (b"BM",),
}
"""Suffix of a picture to what its first bytes are."""
ARCHIVE = b"PK\x03\x04"
MATERIAL = ".mtl"
KNOWN = (*READERS, MATERIAL, *PICTURES, *LANDMARK_READERS)
PIECE = 2**20
_PLAIN = re.compile(r"\w[\w .()+-]{0,99}")
_CLUTTER = re.compile(r"(^|/)(__MACOSX(/|$)|\.|Thumbs\.db$|desktop\.ini$)")


class UploadLimits(BaseModel):
    """What one upload may be, and what reading it may cost.

    Attributes:
        files: Files in all, those in archives included.
        scans: Scans among them.
        file_bytes: Bytes of one file.
        total_bytes: Bytes of all files, unpacked.
        memory_bytes: What the reading process may take beyond what it takes at rest.
        seconds: Of computing for one scan, or for unpacking; three times as long by the clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: int = Field(default=600, ge=1)
    scans: int = Field(default=150, ge=1)
    file_bytes: int = Field(default=64 * 2**20, ge=1)
    total_bytes: int = Field(default=400 * 2**20, ge=1)
    memory_bytes: int = Field(default=2 * 2**30, ge=1)
    seconds: int = Field(default=20, ge=1)


@dataclass
class Unpacked:
    """What an upload holds.

    Attributes:
        scans: Names of its scans, in natural order; each lies under that name in the folder.
        refused: What is not used, by the name it was sent under, and why.
    """

    scans: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


class UploadRefusedError(ValueError):
    """An upload that is not looked at any further; says why, and what may be sent."""


def unpack(sent: Mapping[str, Path], folder: Path, limits: UploadLimits) -> Unpacked:
    """Sort an upload into a folder of plain names.

    Args:
        sent: The name each file was sent under, untrusted, and where its bytes lie.
        folder: Empty; files are written to it and nowhere else.
        limits: What is allowed.

    Raises:
        UploadRefusedError: If there are too many files, or too many bytes once unpacked.
    """
    budget, unpacked = _Budget(limits), Unpacked()
    for name, place in sent.items():
        with place.open("rb") as file:
            head = file.read(len(ARCHIVE))
        if head == ARCHIVE:
            _unpack_archive(name, place, folder, budget, unpacked)
        else:
            with place.open("rb") as file:
                _take(name, file, folder, budget, unpacked)
    unpacked.scans.sort(key=natural_order)
    return unpacked


@dataclass
class _Budget:
    """What may still come."""

    limits: UploadLimits
    files: int = 0
    taken: int = 0

    def file(self) -> None:
        self.files += 1
        if self.files > self.limits.files:
            raise UploadRefusedError(f"More than {self.limits.files} files: send one sequence at a time.")

    def spend(self, count: int) -> None:
        self.taken += count
        if self.taken > self.limits.total_bytes:
            raise UploadRefusedError(
                f"More than {_megabytes(self.limits.total_bytes)} once unpacked: send a shorter sequence."
            )


def _unpack_archive(name: str, place: Path, folder: Path, budget: _Budget, unpacked: Unpacked) -> None:
    try:
        with zipfile.ZipFile(place) as archive:
            for member in archive.infolist():
                if member.is_dir() or _CLUTTER.search(member.filename):
                    continue
                reason = _refusal(member)
                if reason:
                    budget.file()
                    unpacked.refused.append((member.filename[:200], reason))
                    continue
                with archive.open(member) as file:
                    _take(member.filename, file, folder, budget, unpacked)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, UploadRefusedError):
            raise
        unpacked.refused.append((name[:200], f"is a damaged zip archive ({error})"))


def _refusal(member: zipfile.ZipInfo) -> str:
    """Why an entry of an archive is not even opened."""
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or a device, not a file"
    if member.flag_bits & 1:
        return "is encrypted: send it without a password"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in an unusual way: send a plain zip"
    return ""


def _take(sent: str, file: IO[bytes], folder: Path, budget: _Budget, unpacked: Unpacked) -> None:
    """Copy one file under a plain name, or say why not; a file that is too large is given up half-way."""
    budget.file()
    target = folder / _plain_name(sent, budget.files)
    reason = _unwanted(sent, target, unpacked, budget.limits)
    if not reason:
        with target.open("xb") as copy:
            for piece in _pieces(file, budget):
                copy.write(piece)
                if copy.tell() > budget.limits.file_bytes:
                    reason = f"is larger than {_megabytes(budget.limits.file_bytes)}"
                    break
        reason = reason or _false_picture(target)
        if reason:
            target.unlink()
    if reason:
        unpacked.refused.append((sent[:200], reason))
    elif target.suffix.lower() in READERS:
        unpacked.scans.append(target.name)


def _unwanted(sent: str, target: Path, unpacked: Unpacked, limits: UploadLimits) -> str:
    """Why a file is not copied at all."""
    suffix = target.suffix.lower()
    if suffix not in KNOWN:
        return f"is of no known kind; scans: {', '.join(READERS)}; pictures: {', '.join(PICTURES)}; or a zip of them"
    if target.exists():
        return f"has the name of another file, {target.name}: send one sequence at a time"
    if suffix in READERS and len(unpacked.scans) >= limits.scans:
        return f"is one scan too many: {limits.scans} are read at a time"
    return ""


def _false_picture(file: Path) -> str:
    """Why a file that is named as a picture is none."""
    signatures = PICTURES.get(file.suffix.lower())
    if signatures is None:
        return ""
    with file.open("rb") as opened:
        head = opened.read(16)
    every = tuple(signature for known in PICTURES.values() for signature in known)
    return "" if head.startswith(every) else "is called a picture, and is no JPEG, PNG or BMP"


def _pieces(file: IO[bytes], budget: _Budget) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        budget.spend(len(piece))
        yield piece


def _plain_name(sent: str, number: int) -> str:
    """The last part of a name if it is plain, else one of our own; the suffix is kept."""
    name = PurePosixPath(sent.replace("\\", "/")).name
    if _PLAIN.fullmatch(name):
        return name
    suffix = Path(name).suffix.lower()
    return f"file-{number}{suffix if suffix in KNOWN else ''}"


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.0f} MB" if count >= 2**20 else f"{count} bytes"
