"""Label sheets of corpora, and action units as corpora write them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from affect4d.scans.expression import LABEL_JOINT

MAX_SHEET_BYTES = 64 * 2**20
SHEET_SUFFIXES = (".csv", ".xlsx")
PREFERRED = "labels"
EMPTY = ("", "nan", "NaN", "None", "<NA>")


def find_sheet(root: Path, paths: Mapping[str, str], columns: Sequence[str]) -> pd.DataFrame | None:
    """The label sheet at the top of a corpus folder: the table that has all of these columns, in any case.

    Args:
        paths: Its files, keyed by their lower-case form.
        columns: What the sheet must have; its table is returned under these names.

    Returns:
        The sheet, every cell text or None; None where there is no sheet.

    Raises:
        ValueError: If several tables have these columns and none is called ``labels``, or a table cannot be read.
    """
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
    """A table as text: column names stripped, cells stripped, empty cells None.

    Raises:
        ValueError: If it is not a table of its kind, is larger than 64 MiB, or has two columns of one name.
    """
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
            table = pd.read_csv(path, dtype="str", encoding="utf-8-sig", skipinitialspace=True)
        case ".xlsx":
            table = pd.read_excel(path, dtype="str", engine="openpyxl")
        case _:
            table = pd.read_parquet(path)
    return table


def _with_columns(sheet: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame | None:
    own = {name.lower(): name for name in sheet.columns}
    if not all(name.lower() in own for name in columns):
        return None
    return sheet.rename(columns={own[name.lower()]: name for name in columns})


def whole_number(text: object) -> int | None:
    """A cell as a whole number; None where it is empty or says something else (``"/"``, ``"-"``).

    >>> whole_number("12.0"), whole_number("/")
    (12, None)
    """
    try:
        number = float(str(text))
    except ValueError:
        return None
    return int(number) if number >= 0 and number.is_integer() else None


_ACTION = re.compile(
    r"(?P<before>[LR])?\s*A?U?\s*(?P<number>\d{1,2})\s*(?P<after>[LR](?!W|A?U?\d))?(?:[A-E](?![A-Z\d]))?\s*(?P<static>\(K\))?"
)


def parse_actions(text: str) -> str:
    """Actions in the manifest's spelling: ``AU4(k)+AU12_L``, by number, each once.

    A side is kept as the corpus gives it; an intensity letter (``12B``) is dropped; ``(k)`` marks an action that is
    held and does not move (4DME).

    >>> parse_actions("12, L1 + AU4(k)")
    'AU1_L+AU4(k)+AU12'
    """
    found = {_key(match) for match in _ACTION.finditer(text.upper().replace("，", ","))}
    return join_actions(sorted(found))


def join_actions(actions: Iterable[tuple[int, str, bool]]) -> str:
    """Actions given as number, side (``"L"``, ``"R"`` or ``""``) and whether held, as one cell of the manifest."""
    return LABEL_JOINT.join(
        f"AU{number}{f'_{side}' if side else ''}{'(k)' if held else ''}" for number, side, held in actions
    )


def _key(match: re.Match[str]) -> tuple[int, str, bool]:
    return int(match["number"]), match["before"] or match["after"] or "", match["static"] is not None
