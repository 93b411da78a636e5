"""Files of a corpus folder: their list, patterns of their names, label sheets, and action units as corpora write them.

In a pattern, ``{frame}`` is a whole number, every other field any text within one folder name; ``*`` is any
text within one folder name that means nothing. Case does not matter.
"""

import errno
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from affect4d.scans.expression import LABEL_JOINT
from affect4d.scans.readers import READERS

MAX_DEPTH = 8
WHERE_IT_IS = (
    "Where a corpus lies is said in conf/local/globals.yml (corpus_roots: {NAME: /path/to/it}) or with --params "
    "corpus=NAME,corpus_root=/path/to/it; a synthetic one is made with: kedro run --pipeline=generate"
)
FIELDS = ("subject", "clip", "expression", "task", "frame")
_PIECE = re.compile(r"\{(\w*)\}|(\*)")
MAX_SHEET_BYTES = 64 * 2**20
SHEET_SUFFIXES = (".csv", ".xlsx")
PREFERRED = "labels"
EMPTY = ("", "nan", "NaN", "None", "<NA>")
_ACTION = re.compile(
    r"(?P<before>[LR])?\s*A?U?\s*(?P<number>\d{1,2})\s*(?P<after>[LR](?!W|A?U?\d))?(?:[A-E](?![A-Z\d]))?\s*(?P<static>\(K\))?"
)


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file below a corpus folder: path relative to it with forward slashes, bytes, last change in nanoseconds."""

    path: str
    size: int
    modified: int


def list_files(root: Path) -> tuple[ListedFile, ...]:
    """Visible files below a folder, by path, at most ``MAX_DEPTH`` deep; FileNotFoundError if it is none, or empty."""
    check_folder(root)
    files = tuple(sorted(_walk(str(root), ""), key=lambda file: file.path))
    if not files:
        raise FileNotFoundError(f"The folder {root} is empty. {WHERE_IT_IS}")
    return files


def paths_by_name(root: Path) -> dict[str, str]:
    """Paths of :func:`list_files` by lower-case form; ValueError if two scans differ in nothing but capitals."""
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
    """Refuse a corpus folder that is not there, with a ``FileNotFoundError`` that names where it is set."""
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}. {WHERE_IT_IS}")


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]] = frozenset()) -> list[ListedFile]:
    """Files below a folder; links that lead nowhere, or back to a folder ``above`` (device, inode), are passed over."""
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


def matching_paths(pattern: re.Pattern[str], paths: Mapping[str, str]) -> list[re.Match[str]]:
    """Matches of the paths that fit a pattern as a whole."""
    return [match for path in paths.values() if (match := pattern.fullmatch(path))]


def compile_pattern(pattern: str, required: Iterable[str] = ("frame",)) -> re.Pattern[str]:
    """A pattern as a regular expression with a group a field; a field that comes again must have the same text.

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


def find_sheet(root: Path, paths: Mapping[str, str], columns: Sequence[str]) -> pd.DataFrame | None:
    """The text table with these columns at the top of a folder, or None; of several, the one called ``labels``."""
    tables = [path for key, path in paths.items() if "/" not in key and key.endswith(SHEET_SUFFIXES)]
    found = {path: sheet for path in tables if (sheet := _with_columns(read_sheet(root / path), columns)) is not None}
    named = [path for path in found if PurePosixPath(path).stem.lower() == PREFERRED]
    if len(found) > 1 and len(named) != 1:
        raise ValueError(
            f"Several files in {root} look like its label sheet: {', '.join(sorted(found))}. "
            f"Call the one to use {PREFERRED}.csv or {PREFERRED}.xlsx."
        )
    return found[(named or list(found))[0]] if found else None


def read_sheet(path: Path) -> pd.DataFrame:
    """A table as stripped text, empty cells None; ValueError if it is none, above 64 MiB, or names a column twice."""
    if path.stat().st_size > MAX_SHEET_BYTES:
        raise ValueError(f"{path} is larger than {MAX_SHEET_BYTES} bytes: it is no label sheet.")
    try:
        table = _read(path)
    except Exception as error:  # each of the three parsers raises its own kinds on a damaged file
        raise ValueError(f"{path} cannot be read as a table: {type(error).__name__}: {error}") from error
    table.columns = table.columns.astype(str).str.strip()
    twice = sorted(set(table.columns[table.columns.duplicated()]))
    if twice:
        raise ValueError(f"{path} has the column {', '.join(twice)} twice, blanks left out: keep one.")
    cells = {name: [_cell(value) for value in table[name]] for name in table.columns}
    return pd.DataFrame(cells, dtype=object)


def _cell(value: object) -> str | None:
    text = str(value).strip()
    return None if text in EMPTY else text


def _read(path: Path) -> pd.DataFrame:
    match path.suffix.lower():
        case ".csv":
            return pd.read_csv(path, dtype="str", encoding="utf-8-sig", skipinitialspace=True)
        case ".xlsx":
            return pd.read_excel(path, dtype="str", engine="openpyxl")
        case _:
            return pd.read_parquet(path)


def _with_columns(sheet: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame | None:
    own = {name.lower(): name for name in sheet.columns}
    if not all(name.lower() in own for name in columns):
        return None
    return sheet.rename(columns={own[name.lower()]: name for name in columns})


def whole_number(text: object) -> int | None:
    """A cell as a whole number; None where it is empty or something else (``"/"``, ``"-"``).

    >>> whole_number("12.0"), whole_number("/")
    (12, None)
    """
    try:
        number = float(str(text))
    except ValueError:
        return None
    return int(number) if number >= 0 and number.is_integer() else None


def parse_actions(text: str) -> str:
    """Actions in the manifest's spelling: ``AU4(k)+AU12_L``, by number, each once.

    A side is kept as the corpus gives it; an intensity letter (``12B``) is dropped; ``(k)`` marks an action that is
    held and does not move (4DME).

    >>> parse_actions("12, L1 + AU4(k)")
    'AU1_L+AU4(k)+AU12'
    """
    found = {_action(match) for match in _ACTION.finditer(text.upper().replace("，", ","))}
    return join_actions(sorted(found))


def join_actions(actions: Iterable[tuple[int, str, bool]]) -> str:
    """Actions given as number, side (``"L"``, ``"R"`` or ``""``) and whether held, as one cell of the manifest."""
    return LABEL_JOINT.join(
        f"AU{number}{f'_{side}' if side else ''}{'(k)' if held else ''}" for number, side, held in actions
    )


def _action(match: re.Match[str]) -> tuple[int, str, bool]:
    return int(match["number"]), match["before"] or match["after"] or "", match["static"] is not None
