"""Textures: JPEG, PNG or BMP beside the scan, capped; a bad one costs the colour, never the scan."""

import contextlib
import re
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from affect4d.arrays import Texture

FORMATS = ("JPEG", "PNG", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
MAX_PIXELS = 64_000_000
_THIS_FOLDER = re.compile(r"\A(?:\.[/\\]+)+")
_PLAIN_NAME = re.compile(r"[^/\\:\x00-\x1f]+")


@dataclass(slots=True)
class Enough:
    """How large a picture need be read, and how large the one that was read is.

    Attributes:
        side: Texels that suffice along the shorter side; 0 for all.
        size: Width and height of the file last read; None before, or where all of it was read.
        file: The file last read; None before.
    """

    side: int = 0
    size: tuple[int, int] | None = None
    file: Path | None = None


_ENOUGH: ContextVar[Enough | None] = ContextVar("enough_texels", default=None)


class TextureRefusedError(ValueError):
    """A picture that is not used; the message says why, as a repair."""


@contextlib.contextmanager
def enough_texels(side: int) -> Iterator[Enough]:
    """Within, a picture may be read at a half, a quarter or an eighth of its size, where its format does that well.

    JPEG does: it is decoded to the size asked for, in a quarter of the time, instead of being averaged down afterwards.

    Args:
        side: Texels that suffice along the shorter side; 0 reads pictures whole.

    Yields:
        What learns the file and its size.
    """
    enough = Enough(side)
    token = _ENOUGH.set(enough)
    try:
        yield enough
    finally:
        _ENOUGH.reset(token)


def is_plain_name(name: str) -> bool:
    """Whether a texture's name is a file name only: no folder, drive, address or control character; 255 bytes."""
    short = len(name.encode(errors="replace")) <= 255
    return bool(_PLAIN_NAME.fullmatch(name)) and name not in {".", ".."} and short


def in_folder(name: str) -> str:
    """A name without the ``./`` in front of it, which says the folder it is in already."""
    return _THIS_FOLDER.sub("", name)


def find_texture(scan: Path, named: str | None) -> tuple[Path | None, tuple[str, ...]]:
    """Where the texture of a scan is: under the name the scan gives, else under the scan's own stem.

    Only files in the scan's own folder are looked at, whatever the name says; a suffix may be in capitals.

    Returns:
        The picture (None where there is none) and what was mended, in words.
    """
    repairs: tuple[str, ...] = ()
    candidates = [scan.with_suffix(suffix) for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES))]
    if named is not None and is_plain_name(in_folder(named)):
        candidates.insert(0, scan.parent / in_folder(named))
    elif named is not None:
        repairs = (f"texture name {named[:60]!r} refused: not a plain file name",)
    found = next((candidate for candidate in candidates if is_there(candidate)), None)
    return (found, repairs) if found is not None else (None, (*repairs, "texture missing"))


def is_there(path: Path) -> bool:
    """Whether it is a file; a name that the file system cannot have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def read_texture(path: Path) -> Texture:
    """The picture as RGB; perhaps smaller than its file, within :func:`enough_texels`.

    Returns:
        ``uint8`` [height, width, 3].

    Raises:
        TextureRefusedError: If it is missing, of another kind than JPEG, PNG or BMP, damaged, or above ``MAX_PIXELS``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise TextureRefusedError(f"texture refused: {picture.width} by {picture.height} pixels")
                enough = _ENOUGH.get()
                if enough is not None and enough.side:
                    enough.size = picture.size
                    picture.draft("RGB", (enough.side, enough.side))
                texture = _colours(picture)
                if enough is not None:
                    enough.file = path
                return texture
    except FileNotFoundError:
        raise TextureRefusedError("texture missing") from None
    except TextureRefusedError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error and more on damaged files
        raise TextureRefusedError(f"texture unreadable: {type(error).__name__}") from error


def _colours(picture: Image.Image) -> Texture:
    """Its pixels as RGB; grey of 16 bits, which Pillow cuts off at 255, is divided by 257."""
    if picture.mode.startswith("I"):
        grey = (np.asarray(picture) // 257).astype(np.uint8)
        return np.repeat(grey[..., np.newaxis], 3, axis=2)
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def attach_one_of(scan: Path, named: tuple[str, ...], given: Path | None) -> tuple[Texture | None, tuple[str, ...]]:
    """As :func:`attach_texture`, of a scan that may name several pictures, of which none is read then."""
    if len(named) > 1 and given is None:
        return None, (f"{len(named)} textures named: none is read",)
    return attach_texture(scan, named[0] if len(named) == 1 else None, given)


def attach_texture(scan: Path, named: str | None, given: Path | None) -> tuple[Texture | None, tuple[str, ...]]:
    """The texture of a scan file and what was mended on the way.

    Args:
        scan: The scan file.
        named: The name the scan gives, untrusted.
        given: A picture to use instead, trusted.
    """
    place, repairs = (given, ()) if given is not None else find_texture(scan, named)
    if place is None:
        return None, repairs
    try:
        return read_texture(place), repairs
    except TextureRefusedError as error:
        return None, (*repairs, str(error))
