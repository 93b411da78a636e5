"""Meshes and textures as files hold them: bounded reading, checked counts, numbers and indices, triangles, images."""

import errno
import os
import re
import stat
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from affect4d.array_types import Faces, Texture, TextureCoordinates, Vertices
from affect4d.scans.scan import ScanError

MAX_FILE_BYTES = 128 * 2**20
MAX_VERTICES = 5_000_000
MAX_FACES = 10_000_000
MIN_RELATIVE_WIDTH = 1e-4  # smallest second-largest extent of a mesh, relative to the largest
MAX_COORDINATE = 1e7
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class MeshFile:
    """A checked mesh as its file holds it, with the images that the file names."""

    vertices: Vertices
    faces: Faces
    texture_coordinates: TextureCoordinates | None = None
    repairs: tuple[str, ...] = ()
    image_names: tuple[str, ...] | None = None  # untrusted; None: neither named nor found by stem
    image_notes: tuple[str, ...] = ()  # repairs to report where no image is found
    image: bytes | None = None  # an image file inside the scan's


def read_text(path: Path, cap: int = MAX_FILE_BYTES) -> bytes:
    """Bytes of a text file without its byte order mark; raises as :func:`read_bytes`."""
    return read_bytes(path, cap).removeprefix(BYTE_ORDER_MARK)


def read_bytes(path: Path, cap: int = MAX_FILE_BYTES) -> bytes:
    """Bytes of a regular file, never more than the cap; else, or if it is empty, a ScanError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # checked before opening, which waits for a pipe's other end
            raise OSError(errno.EINVAL, "a folder, pipe or device: name a regular file")
        with path.open("rb", buffering=0) as file:
            size = min(cap, os.fstat(file.fileno()).st_size) + 1
            raw = file.read(size)
            while raw and len(raw) < size and (more := file.read(size - len(raw))):  # a read may return fewer bytes
                raw += more
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


def check_vertices(vertices: Vertices, path: Path) -> None:
    """Refuse too few or too many points, numbers that are not finite, and points without extent."""
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
    """Refuse an index below 0 or at or above the count; the message counts from ``first``, as the file does."""
    if indices.size and indices.view(f"u{indices.itemsize}").max() >= count:  # as unsigned, one below 0 is very large
        position = int(np.flatnonzero((indices.ravel() < 0) | (indices.ravel() >= count))[0])
        wrong = int(indices.ravel()[position]) + first
        detail = f"{what} index {wrong} is outside {first} to {count - 1 + first}"
        raise ScanError("index-out-of-range", path, detail, f"corner {position}")


def check_count(declared: int, most: int, path: Path, what: str) -> None:
    """Refuse a declared count before anything is allocated for it."""
    if not 0 <= declared <= most:
        raise ScanError("wrong-count", path, f"{declared} {what}, expected 0 to {most}")


def check_faces(faces: Faces, count: int, path: Path) -> None:
    """Refuse a mesh without triangles, with too many, or with a corner that is no vertex."""
    if not 1 <= len(faces) <= MAX_FACES:
        raise ScanError("wrong-count", path, f"{len(faces)} triangles, expected 1 to {MAX_FACES}")
    check_indices(faces, count, path, "face")


def check_texture_coordinates(coordinates: TextureCoordinates, path: Path) -> None:
    """Refuse texture coordinates that are not finite."""
    if not np.isfinite([coordinates.min(), coordinates.max()]).all():
        first = int(np.flatnonzero(~np.isfinite(coordinates).all(axis=1))[0])
        raise ScanError("not-finite", path, "a texture coordinate is not a finite number", f"row {first}")


def fan_triangles(corners: np.ndarray, lengths: np.ndarray) -> Faces:
    """Triangle fans of consecutive polygons of these lengths; polygons of fewer than 3 corners give no triangle."""
    if (lengths == 3).all():
        return np.asarray(corners.reshape(-1, 3))
    starts = np.cumsum(lengths)
    starts -= lengths  # in place: there may be as many polygons without a corner as the file has bytes
    kept = lengths >= 3
    starts, fans = starts[kept], lengths[kept] - 2
    first = np.repeat(starts, fans)
    step = np.arange(len(first)) - np.repeat(np.cumsum(fans) - fans, fans)
    triangles: Faces = corners[np.stack([first, first + step + 1, first + step + 2], axis=1)]
    return triangles


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Indices of consecutive values, ``lengths[i]`` from ``starts[i]`` on, for one i after the other."""
    indices: np.ndarray = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return indices


def note_small_polygons(lengths: np.ndarray, smallest: int = 1) -> tuple[str, ...]:
    """The repair to report where polygons of ``smallest`` to 2 corners were left out; empty where there are none."""
    count = int(((lengths >= smallest) & (lengths < 3)).sum())
    return (f"{count} polygons of fewer than 3 corners left out",) if count else ()


def assemble_mesh(
    path: Path,
    vertices: Vertices,
    faces: Faces,
    coordinates: TextureCoordinates | None = None,
    texture_faces: Faces | None = None,
    repairs: tuple[str, ...] = (),
) -> MeshFile:
    """A checked mesh, one vertex for every pair of point and texture coordinate where the two index lists differ."""
    check_vertices(vertices, path)
    check_faces(faces, len(vertices), path)
    if coordinates is None or len(coordinates) == 0:
        return MeshFile(vertices, faces, repairs=repairs)
    check_texture_coordinates(coordinates, path)
    corners = faces if texture_faces is None else texture_faces
    aligned = len(coordinates) == len(vertices)
    if not (aligned and corners is faces):
        check_indices(corners, len(coordinates), path, "texture")
    if aligned and (corners is faces or np.array_equal(corners, faces)):
        return MeshFile(vertices, faces, coordinates, repairs)
    if corners.shape != faces.shape:
        raise ScanError("wrong-count", path, "position and texture index lists differ in length")
    pairs, corner = np.unique(faces.astype(np.int64) * len(coordinates) + corners, return_inverse=True)
    points, rows = pairs // len(coordinates), pairs % len(coordinates)
    return MeshFile(vertices[points], corner.reshape(-1, 3).astype(np.int32), coordinates[rows], repairs)


def merge_points(points: np.ndarray) -> tuple[np.ndarray, Faces]:
    """The distinct rows of ``float32`` numbers, and for every old row the index of its distinct one."""
    with np.errstate(invalid="ignore"):  # a NaN may be one that signals; it is refused later, by name
        bits = (points + np.float32(0)).view(np.uint32)
    order = np.lexsort(bits.T)
    differs = np.ones(len(points), dtype=bool)
    differs[1:] = (bits[order[1:]] != bits[order[:-1]]).any(axis=1)
    index = np.empty(len(points), dtype=np.int32)
    index[order] = np.cumsum(differs) - 1
    return np.ascontiguousarray(points[order[differs]]), index


def whole_indices(indices: np.ndarray, path: Path) -> np.ndarray:
    """Indices of any number type as ``int32``; refused where one is not whole or needs more bits."""
    wide = indices.astype(np.float64)
    wrong = np.flatnonzero(~((wide >= -(2.0**31)) & (wide < 2.0**31) & (wide == np.floor(wide))))
    if len(wrong):
        raise ScanError("index-out-of-range", path, f"{wide[wrong[0]]} is no index", f"corner {wrong[0]}")
    return indices.astype(np.int32)


FORMATS = ("JPEG", "PNG", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
MAX_PIXELS = 64_000_000
_THIS_FOLDER = re.compile(r"\A(?:\.[/\\]+)+")
_PLAIN_NAME = re.compile(r"[^/\\:\x00-\x1f]+")


class TextureRefusedError(ValueError):
    """An image that is not used; the message says why, as a repair."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image as RGB, with the width and height of its file and the file itself."""

    pixels: Texture
    size: tuple[int, int]
    file: Path


def find_image(scan: Path, mesh: MeshFile, given: Path | None, texels: int) -> tuple[ImageFile | None, tuple[str, ...]]:
    """The image of a scan, or None, and the repairs; ``texels`` suffice along the shorter side, 0 for all."""
    names = mesh.image_names
    if names is None and mesh.texture_coordinates is None:
        return None, ()
    if given is None and mesh.image is not None:
        names, given = (), scan
    if given is None and names is not None and len(names) > 1:
        return None, (*mesh.image_notes, f"{len(names)} textures named: none is read")
    place: Path | None = given
    repairs: tuple[str, ...] = ()
    if given is None:
        found = (None, ("texture missing",)) if names is None else find_texture(scan, next(iter(names), None))
        place, repairs = found
    if place is not None:
        try:
            return read_texture(place, texels, mesh.image if place == scan else None), repairs
        except TextureRefusedError as error:
            repairs = (*repairs, str(error))
    return None, (*mesh.image_notes, *repairs) if given is None else repairs


def find_texture(scan: Path, named: str | None) -> tuple[Path | None, tuple[str, ...]]:
    """The texture in the scan's own folder, or None, and repairs: by the name that it gives, else by its own stem."""
    repairs: tuple[str, ...] = ()
    candidates = [scan.with_suffix(suffix) for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES))]
    if named is not None and is_plain_name(in_folder(named)):
        candidates.insert(0, scan.parent / in_folder(named))
    elif named is not None:
        repairs = (f"texture name {named[:60]!r} refused: not a plain file name",)
    found = next((candidate for candidate in candidates if is_there(candidate)), None)
    return (found, repairs) if found is not None else (None, (*repairs, "texture missing"))


def is_plain_name(name: str) -> bool:
    """Whether a texture's name is a file name only: no folder, drive, address or control character; 255 bytes."""
    short = len(name.encode(errors="replace")) <= 255
    return bool(_PLAIN_NAME.fullmatch(name)) and name not in {".", ".."} and short


def in_folder(name: str) -> str:
    """The name without a leading ``./``."""
    return _THIS_FOLDER.sub("", name)


def is_there(path: Path) -> bool:
    """Whether it is a file; False for a name that the file system cannot have."""
    try:
        return path.is_file()
    except OSError:
        return False


def read_texture(path: Path, texels: int = 0, inside: bytes | None = None) -> ImageFile:
    """The image of a file, or the one ``inside`` it, as RGB.

    A JPEG is decoded to ½, ¼ or ⅛ of its size where ``texels`` (shorter side) suffice.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path if inside is None else BytesIO(inside), formats=FORMATS) as image:
                size = image.size
                if size[0] * size[1] > MAX_PIXELS:
                    raise TextureRefusedError(f"texture refused: {size[0]} by {size[1]} pixels")
                if texels:
                    image.draft("RGB", (texels, texels))
                return ImageFile(_rgb(image), size, path)
    except FileNotFoundError:
        raise TextureRefusedError("texture missing") from None
    except TextureRefusedError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error and more on damaged files
        raise TextureRefusedError(f"texture unreadable: {type(error).__name__}") from error


def _rgb(image: Image.Image) -> Texture:
    """Its pixels; grey of 16 bits, which Pillow cuts off at 255, is divided by 257."""
    if image.mode.startswith("I"):
        grey = (np.asarray(image) // 257).astype(np.uint8)
        return np.repeat(grey[..., np.newaxis], 3, axis=2)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
