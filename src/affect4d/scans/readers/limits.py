"""What every reader holds to before it believes a file: caps, finite numbers, valid indices, a real extent."""

import errno
import io
import os
import stat
from pathlib import Path

import numpy as np

from affect4d.arrays import Faces, TextureCoordinates, Vertices
from affect4d.scans.scan import ScanError

MAX_FILE_BYTES = 128 * 2**20
MAX_VERTICES = 5_000_000
MAX_FACES = 10_000_000
MIN_RELATIVE_WIDTH = 1e-4
"""A face must have two extents at least this far apart from zero, as a share of the largest one."""
MAX_COORDINATE = 1e7
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_capped(path: Path, cap: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a text file without its byte order mark, never more than the cap.

    Raises:
        ScanError: If the file is missing, unreadable, no regular file (a folder, a pipe), empty or larger than the cap.
    """
    return read_bytes(path, cap).removeprefix(BYTE_ORDER_MARK)


def read_bytes(path: Path, cap: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file, never more than the cap; raises as :func:`read_capped`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # asked before opening, which waits for a pipe's other end
            raise OSError(errno.EINVAL, "a folder, pipe or device: name a regular file")
        with path.open("rb", buffering=0) as file:
            raw = read_whole(file, min(cap, os.fstat(file.fileno()).st_size))
    except OSError as error:
        raise ScanError("unreadable", path, f"the file cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ScanError("unreadable", path, f"the file cannot be read ({error})") from error
    if len(raw) > cap:
        detail = f"the file is larger than {cap} bytes: check that it is the right one, or write it smaller"
        raise ScanError("too-large", path, detail)
    if not raw or raw.isspace():
        raise ScanError("empty", path, "the file is empty")
    return raw


def read_whole(file: io.RawIOBase, size: int) -> bytes:
    """So many bytes and one more, if there is one; a read may give fewer than it is asked for.

    Args:
        file: Unbuffered, at its start.
        size: Bytes that there should be.
    """
    parts = [file.read(size + 1) or b""]
    left = size - len(parts[0])
    while left > 0 and (more := file.read(left + 1)):
        parts.append(more)
        left -= len(more)
    return b"".join(parts)


def check_vertices(vertices: Vertices, path: Path) -> None:
    """Refuse too few or too many points, numbers that are not finite, and points without extent.

    Raises:
        ScanError: Naming what is wrong.
    """
    if not 3 <= len(vertices) <= MAX_VERTICES:
        raise ScanError("wrong-count", path, f"{len(vertices)} vertices, expected 3 to {MAX_VERTICES}")
    axes = np.ascontiguousarray(vertices.T)  # 20 times as fast as reducing over rows of three
    low, high = axes.min(axis=1), axes.max(axis=1)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        first = int(np.flatnonzero(~np.isfinite(vertices).all(axis=1))[0])
        raise ScanError("not-finite", path, "a coordinate is not a finite number", f"vertex {first}")
    if max(np.abs(low).max(), np.abs(high).max()) > MAX_COORDINATE:
        raise ScanError("absurd-extent", path, f"a coordinate is beyond {MAX_COORDINATE:g}")
    extents = np.sort(high.astype(np.float64) - low)
    if extents[1] <= MIN_RELATIVE_WIDTH * extents[2] or extents[2] == 0:
        raise ScanError("degenerate", path, "all points lie on one line or in one place")


def check_indices(indices: np.ndarray, count: int, path: Path, what: str, first: int = 0) -> None:
    """Refuse an index below 0 or at or above the count; a file that counts from ``first`` is told its own numbers.

    Raises:
        ScanError: Naming the first index that points nowhere.
    """
    if indices.size and indices.view(f"u{indices.itemsize}").max() >= count:  # as unsigned, one below 0 is very large
        position = int(np.flatnonzero((indices.ravel() < 0) | (indices.ravel() >= count))[0])
        wrong = int(indices.ravel()[position]) + first
        detail = f"{what} index {wrong} is outside {first} to {count - 1 + first}"
        raise ScanError("index-out-of-range", path, detail, f"corner {position}")


def check_count(declared: int, most: int, path: Path, what: str) -> None:
    """Refuse a number of things a header promises, before anything is made to hold them.

    Raises:
        ScanError: If it is negative or above the cap.
    """
    if not 0 <= declared <= most:
        raise ScanError("wrong-count", path, f"{declared} {what}, expected 0 to {most}")


def check_grid(rows: int, columns: int, path: Path) -> None:
    """Refuse a grid without a cell, or of more points than a scan may have, before it is made.

    Raises:
        ScanError: Naming the size.
    """
    if min(rows, columns) < 2:
        raise ScanError("wrong-count", path, f"a grid of {rows} rows of {columns} points has no cells")
    check_count(rows * columns, MAX_VERTICES, path, f"points ({rows} rows of {columns})")


def check_faces(faces: Faces, count: int, path: Path) -> None:
    """Refuse a mesh without triangles, with too many, or with a corner that is no vertex.

    Raises:
        ScanError: Naming what is wrong.
    """
    if not 1 <= len(faces) <= MAX_FACES:
        raise ScanError("wrong-count", path, f"{len(faces)} triangles, expected 1 to {MAX_FACES}")
    check_indices(faces, count, path, "face")


def check_texture_coordinates(coordinates: TextureCoordinates, path: Path) -> None:
    """Refuse texture coordinates that are not finite.

    Raises:
        ScanError: Naming the first row that is not.
    """
    if not np.isfinite([coordinates.min(), coordinates.max()]).all():
        first = int(np.flatnonzero(~np.isfinite(coordinates).all(axis=1))[0])
        raise ScanError("not-finite", path, "a texture coordinate is not a finite number", f"row {first}")
