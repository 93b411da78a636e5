"""Materials of a Wavefront file: the pictures that the ``.mtl`` files beside it give to what its ``usemtl`` lines name.

Nothing but a file in the scan's own folder is opened, whatever a name says.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from affect4d.scans.readers.limits import read_capped
from affect4d.scans.readers.numbers import whole_lines
from affect4d.scans.readers.texture import in_folder, is_plain_name, is_there
from affect4d.scans.scan import ScanError

MAX_MATERIAL_BYTES, MAX_MATERIAL_FILES = 2**20, 16
HEAD_BYTES = 65536
"""How far into the file its materials may be named."""
_STATEMENT = re.compile(rb"^[ \t]*(newmtl|map_Kd)[ \t]+([^\n]+)", re.MULTILINE | re.IGNORECASE)
_NUMBER = rb"[ \t]+[+-]?[\d.]+(?:[eE][+-]?\d+)?(?=[ \t])"
_OPTIONS = re.compile(
    rb"(?:(?:-mm(?:%(number)s){2}|-[ost](?:%(number)s){1,3}"
    rb"|-(?:blendu|blendv|cc|clamp|imfchan|texres|boost|bm|type)[ \t]+\S+)[ \t]+)*+" % {b"number": _NUMBER}
)
"""Options between ``map_Kd`` and the name of its picture, each with its arguments."""


def named_pictures(raw: bytes, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The pictures of the materials in use, or of all where no ``usemtl`` names one that there is.

    Args:
        raw: The ``.obj`` file, its lines ended by line feeds.
        path: Where it is.

    Returns:
        Names of pictures, untrusted, each once; and which of the material files it names are not read, in words.
    """
    pictures: dict[bytes, str | None] = {}
    notes = []
    for name in _material_files(raw, path.parent):
        if not is_plain_name(name):
            notes.append(f"material name {name[:60]!r} refused: not a plain file name")
        elif not is_there(path.parent / name):
            notes.append(f"material {name[:60]!r} missing")
        else:
            try:
                pictures = _pictures(whole_lines(read_capped(path.parent / name, MAX_MATERIAL_BYTES))) | pictures
            except ScanError as error:
                notes.append(f"material {name[:60]!r} refused: {error.detail}")
    chosen = set(pictures.values())
    if len(chosen) > 1:  # else it is the same whatever is used, and the file need not be searched
        used = pictures.keys() & set(_behind(b"usemtl", raw))
        chosen = {pictures[material] for material in used or pictures}
    return tuple(sorted(name for name in chosen if name is not None)), tuple(notes)


def _material_files(raw: bytes, folder: Path) -> tuple[str, ...]:
    """What ``mtllib`` lines name: a name may have blanks, and a line several names; whichever is there."""
    names: dict[str, None] = {}
    for line in _behind(b"mtllib", raw[:HEAD_BYTES]):
        whole = in_folder(line.decode("utf-8", "replace"))
        words = [in_folder(word) for word in whole.split()[:MAX_MATERIAL_FILES]]
        there = [name for name in (whole, *words) if is_plain_name(name) and is_there(folder / name)]
        names |= dict.fromkeys(there or [whole])
    return tuple(names)[:MAX_MATERIAL_FILES]


def _behind(word: bytes, raw: bytes) -> Iterator[bytes]:
    """What stands behind a word, on each line that starts with it."""
    for match in re.finditer(word + rb"[ \t]+([^\n]+)", raw):
        if not raw[raw.rfind(b"\n", 0, match.start()) + 1 : match.start()].strip():
            yield match[1].strip()


def _pictures(raw: bytes) -> dict[bytes, str | None]:
    """Materials of an ``.mtl`` file, each with its picture or None; what stands before the first has no name."""
    pictures: dict[bytes, str | None] = {}
    material = b""
    for match in _STATEMENT.finditer(raw):
        if match[1].lower() == b"newmtl":
            material = match[2].strip()
            pictures.setdefault(material, None)
        elif pictures.get(material) is None:
            name = _OPTIONS.sub(b"", match[2], count=1).strip()
            pictures[material] = in_folder(name.decode("utf-8", "replace")) or None
    return pictures
