"""Files of a corpus folder, listed once, and patterns of file names.

``{frame}`` is a whole number, every other field any text within one folder name; ``*`` stands for any text within one
folder name that means nothing. Case does not matter.
"""

import errno
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from affect4d.scans.readers import READERS

MAX_DEPTH = 8
WHERE_IT_IS = (
    "Where a corpus lies is said in conf/local/globals.yml (corpus_roots: {NAME: /path/to/it}) or with --params "
    "corpus=NAME,corpus_root=/path/to/it; a synthetic one is made with: kedro run --pipeline=generate"
)


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file below a corpus folder.

    Attributes:
        path: Relative to the corpus folder, with forward slashes.
        modified: Time of the last change, nanoseconds.
    """

    path: str
    size: int
    modified: int


def list_files(root: Path) -> tuple[ListedFile, ...]:
    """Every file below a folder, hidden ones left out, sorted by path; at most ``MAX_DEPTH`` folders deep.

    Raises:
        FileNotFoundError: If the folder is missing, is not a folder, or is empty.
    """
    check_folder(root)
    files = tuple(sorted(_walk(str(root), ""), key=lambda file: file.path))
    if not files:
        raise FileNotFoundError(f"The folder {root} is empty. {WHERE_IT_IS}")
    return files


def paths_by_name(root: Path) -> dict[str, str]:
    """The paths of :func:`list_files`, keyed by their lower-case form: corpora are copied to disks that change letters.

    Raises:
        FileNotFoundError: If the folder is missing, is not a folder, or is empty.
        ValueError: If two scans' names differ in nothing but capitals: one would stand for both.
    """
    paths: dict[str, str] = {}
    for file in list_files(root):
        other = paths.setdefault(file.path.lower(), file.path)
        if other != file.path and PurePosixPath(file.path).suffix.lower() in READERS:
            raise ValueError(
                f"{root}: {other} and {file.path} differ in capital letters only, and are taken for one. If they are "
                "two scans, or two people, rename one; else remove it."
            )
    return paths


def check_folder(root: Path) -> None:
    """Refuse a corpus folder that is not there.

    Raises:
        FileNotFoundError: Saying where it is set.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}. {WHERE_IT_IS}")


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]] = frozenset()) -> list[ListedFile]:
    """Files below a folder; size and time of each cost one ``stat``, its kind comes with the listing.

    Links that lead nowhere, round and round, or back to one of the folders ``above`` (device, inode) are passed over.
    """
    place = Path(folder).stat()
    here = place.st_dev, place.st_ino
    if here in above:
        return []
    with os.scandir(folder) as entries:
        seen = [entry for entry in entries if not entry.name.startswith(".")]
    files = []
    for entry in seen:
        if _holds(entry.is_dir):
            files += _walk(entry.path, f"{prefix}{entry.name}/", above | {here}) if len(above) < MAX_DEPTH else []
        elif _holds(entry.is_file):
            status = entry.stat()
            files.append(ListedFile(prefix + entry.name, status.st_size, status.st_mtime_ns))
    return files


def _holds(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind; a link that leads round and round is of none."""
    try:
        return kind()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


FIELDS = ("subject", "clip", "expression", "task", "frame")
_PIECE = re.compile(r"\{(\w*)\}|(\*)")


def compile_pattern(pattern: str, required: Iterable[str] = ("frame",)) -> re.Pattern[str]:
    """A pattern as a regular expression with a group a field; a field that comes again must say the same.

    Raises:
        ValueError: If a field is unknown or a required one is missing; the message lists the fields.

    >>> compile_pattern("{subject}/{clip}_{frame}.obj").fullmatch("s1/smile_007.OBJ").groupdict()
    {'subject': 's1', 'clip': 'smile', 'frame': '007'}
    """
    seen: set[str] = set()
    parts, end = [], 0
    for piece in _PIECE.finditer(pattern):
        parts += [re.escape(pattern[end : piece.start()]), _expression(piece[1], seen, pattern)]
        end = piece.end()
    missing = sorted(set(required) - seen)
    if missing:
        raise ValueError(f"The pattern {pattern!r} lacks {{{'}, {'.join(missing)}}}. {_explain()}")
    return re.compile("".join([*parts, re.escape(pattern[end:])]), re.IGNORECASE)


def _expression(field: str | None, seen: set[str], pattern: str) -> str:
    if field is None:
        return "[^/]*"
    if field not in FIELDS:
        raise ValueError(f"The pattern {pattern!r} has an unknown field {{{field}}}. {_explain()}")
    if field in seen:
        return f"(?P={field})"
    seen.add(field)
    return rf"(?P<{field}>\d{{1,9}})" if field == "frame" else f"(?P<{field}>[^/]+?)"


def _explain() -> str:
    return f"Fields: {', '.join(f'{{{name}}}' for name in FIELDS)}; e.g. {{subject}}/{{clip}}/{{frame}}.obj"
