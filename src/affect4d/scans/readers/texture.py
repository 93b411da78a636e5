"""Textures: JPEG, PNG or BMP beside the scan, capped; a bad image costs the colour, never the scan."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from affect4d.array_types import Texture
from affect4d.scans.readers.mesh_checks import MeshFile

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
    if given is None and names is not None and len(names) > 1:
        return None, (*mesh.image_notes, f"{len(names)} textures named: none is read")
    place: Path | None = given
    repairs: tuple[str, ...] = ()
    if given is None:
        found = (None, ("texture missing",)) if names is None else find_texture(scan, next(iter(names), None))
        place, repairs = found
    if place is not None:
        try:
            return read_texture(place, texels), repairs
        except TextureRefusedError as error:
            repairs = (*repairs, str(error))
    return None, (*mesh.image_notes, *repairs) if given is None else repairs


def find_texture(scan: Path, named: str | None) -> tuple[Path | None, tuple[str, ...]]:
    """The texture file of a scan, or None, and the repairs: under the name the scan gives, else under its own stem.

    Only the scan's own folder is searched, whatever the name says; a suffix may be in capitals.
    """
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


def read_texture(path: Path, texels: int = 0) -> ImageFile:
    """The image as RGB.

    Where fewer texels suffice along the shorter side, a JPEG is decoded to a half, a quarter or an eighth of its size,
    in a quarter of the time; other formats are read whole.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
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
