"""Recordings of the Live Link Face app (Epic Games): ARKit's face coefficients over time, as CSV files.

Columns: ``Timecode`` (``HH:MM:SS:FF.fff``, frames of the timecode's rate), ``BlendShapeCount``, ARKit's 52 coefficients
(``EyeBlinkLeft`` …, 0…1), and head and eye rotations in radians. Verified on public recordings: names, timecode, and
that the eyes turn by 0.6 rad where ``EyeLookIn`` is 1. Assumed: the head's rotations have the eyes' unit and direction
(yaw to the subject's right and pitch downwards are positive), and ``HeadRoll`` is about the same axes.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float64

from affect4d.scans.corpora.file_patterns_and_label_sheets import compile_pattern, paths_by_name
from affect4d.scans.expression import expression_or_none
from affect4d.scans.readers.mesh_checks_and_textures import read_text
from affect4d.scans.scan import ScanError
from affect4d.synthetic.action_units import ARKIT

ArkitTrack = Float64[np.ndarray, "frames arkit"]  # coefficients 0…1 in the order of ``ARKIT``
ArkitWeights = Float64[np.ndarray, " arkit"]
HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")
EYES = tuple(f"{side}Eye{axis}" for side in ("Left", "Right") for axis in ("Yaw", "Pitch", "Roll"))
OTHER = ("BlendShapeCount", *HEAD, *EYES)
"""Columns that a file may lack."""
SPELLED = {name.lower(): name for name in (*ARKIT, *OTHER)}
TIMECODE = "Timecode"
TIMECODE_RATES = (24, 25, 30, 48, 50, 60)
LOWEST, HIGHEST = -0.5, 1.5  # of a coefficient in a file: ARKit goes beyond 1 a little, calibration below 0
LARGEST_ANGLE = 3.2  # rad
LONGEST_GAP = 0.25  # s without a row over which the motion is interpolated
NEUTRAL_SECONDS = 0.25  # over which the face must be at rest
ALIKE = "exports of Live Link Face (ARKit mode) are read, and CSV files with the same columns"
DEFAULT_SLATE = "myslate"
NOT_PEOPLE = ("csv", "raw", "cal")
TABLES = ("subjects.csv", "sequences.csv")

_TIMECODE = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})[:;](\d{1,3}(?:\.\d{1,6})?)")
_TAKE_FOLDER = re.compile(r"\d{8}_.+")
_LIVE_LINK_NAME = re.compile(r"(?P<slate>.+)_\d+_(?P<device>[^_]*[A-Za-z][^_]*)(?:_(?:raw|cal))?")
_WORDS = re.compile(r"[_\-\s.]+")
_AT_REST = np.array([not name.startswith("eyeLook") for name in ARKIT])


@dataclass(frozen=True, eq=False)
class LiveLinkRecording:
    """One file: coefficients and head rotation of every row, and its second since the first."""

    times: Float64[np.ndarray, " frames"]
    coefficients: ArkitTrack
    head: Float64[np.ndarray, "frames 3"]  # yaw, pitch, roll; rad; 0 where not recorded
    missing: int  # frames that the timecode counts and the file lacks

    @property
    def rest(self) -> tuple[float, float]:
        """Least activation (sum of the coefficients but the gaze's) over a moment, and the second of its middle."""
        activation = self.coefficients[:, _AT_REST].sum(axis=1)
        width = max(int(NEUTRAL_SECONDS / float(np.median(np.diff(self.times)))), 1)
        width = min(width, len(activation))
        smooth = np.convolve(activation, np.full(width, 1.0 / width), "valid")
        least = int(smooth.argmin())
        return float(smooth[least]), float(self.times[least + width // 2])

    def at(self, seconds: Float64[np.ndarray, " kept"]) -> tuple[ArkitTrack, Float64[np.ndarray, "kept 3"]]:
        """Coefficients and head rotation at these seconds, linear between rows."""
        columns = (*self.coefficients.T, *self.head.T)
        values = np.stack([np.interp(seconds, self.times, column) for column in columns], axis=1)
        return values[:, : len(ARKIT)], values[:, len(ARKIT) :]


@dataclass(frozen=True, slots=True)
class RecordingName:
    """What the path of a recording gives."""

    path: str
    subject: str
    label: str | None  # an expression or ``neutral``

    @property
    def sequence(self) -> str:
        """The path without suffix."""
        return self.path.rsplit(".", 1)[0]


def list_recordings(root: Path, pattern: str | None = None) -> list[RecordingName]:
    """CSV files of a folder, named by a pattern with ``{subject}``, else by the rules of :func:`name_recording`.

    Of a take that is there as ``…_raw.csv`` and ``…_cal.csv`` (calibrated), the calibrated one counts.
    """
    paths = paths_by_name(root)
    found = sorted(path for key, path in paths.items() if key.endswith(".csv") and key not in TABLES)
    found = [path for path in found if path.lower().replace("_raw.csv", "_cal.csv") not in paths or not _is_raw(path)]
    if pattern is None:
        return [name_recording(path, root.resolve().name) for path in found]
    fits = compile_pattern(pattern, required=("subject",))
    matches = (match for path in found if (match := fits.fullmatch(path)))
    return [RecordingName(one[0], one["subject"], _label([one.groupdict().get("expression") or ""])) for one in matches]


def _is_raw(path: str) -> bool:
    return path.lower().endswith("_raw.csv")


def name_recording(path: str, otherwise: str = "subject") -> RecordingName:
    """Subject and label of a path.

    The label is the expression, or ``neutral``, among the words of the file, else of its folders. The subject is the
    outermost folder that is neither an expression nor a take of the app (``20240731_MySlate_3``); else the first word
    of the slate in ``SLATE_TAKE_DEVICE.csv``, or the device where the slate is the app's own; else the first word of
    the file that is no expression and no number; else ``otherwise``.

    >>> name_recording("anna/happy/take2.csv"), name_recording("alex_rom_3.csv").subject
    (RecordingName(path='anna/happy/take2.csv', subject='anna', label='happiness'), 'alex')
    >>> name_recording("20240731_MySlate_sad_1/MySlate_8_iPhone.csv")
    RecordingName(path='20240731_MySlate_sad_1/MySlate_8_iPhone.csv', subject='iPhone', label='sadness')
    """
    *folders, file = PurePosixPath(path).parts
    stem = file.rsplit(".", 1)[0]
    label = next((found for part in (stem, *reversed(folders)) if (found := _label(_WORDS.split(part)))), None)
    people = (folder for folder in folders if not _TAKE_FOLDER.fullmatch(folder) and _label([folder]) is None)
    return RecordingName(path, next(people, None) or _person(stem) or otherwise, label)


def _person(stem: str) -> str | None:
    named = _LIVE_LINK_NAME.fullmatch(stem)
    words = _WORDS.split(named["slate"] if named else stem)
    people = (word for word in words if word and _label([word]) is None and not word.isdigit())
    first = next((word for word in people if word.lower() not in NOT_PEOPLE), None)
    return named["device"] if named and (first is None or first.lower() == DEFAULT_SLATE) else first


def _label(words: Iterable[str]) -> str | None:
    long = [word.lower() for word in words if len(word) > 2]
    return next(
        (expression_or_none(word) or word for word in long if word == "neutral" or expression_or_none(word)), None
    )


def read_recording(path: Path) -> LiveLinkRecording:
    """Read and check a file, once a process as long as it does not change.

    Raises:
        ScanError: If it is not one of Live Link Face, or damaged; names the line, the column and the remedy.
    """
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@functools.lru_cache(maxsize=256)
def _read(path: Path, modified: int) -> LiveLinkRecording:
    lines = read_text(path).decode("utf-8", "replace").splitlines()
    names = _columns(lines[0], path)
    rows = [(number, line.split(",")) for number, line in enumerate(lines[1:], start=2) if line.strip()]
    if len(rows) < 3:
        raise ScanError("empty", path, f"{len(rows)} rows below its header, expected 3 or more: record the take again")
    for number, cells in rows:
        if len(cells) != len(names):
            detail = f"{len(cells)} cells for {len(names)} columns: remove the line, or record the take again"
            raise ScanError("wrong-count", path, detail, f"line {number}")
    numbers = [number for number, _ in rows]
    times, missing = _seconds([cells[names[TIMECODE.lower()]] for _, cells in rows], numbers, path)
    table = {name: _numbers([cells[column] for _, cells in rows], name, numbers, path) for name, column in _kept(names)}
    zeros = np.zeros(len(rows))
    return LiveLinkRecording(
        times,
        np.stack([np.clip(table[name.lower()], 0.0, 1.0) for name in ARKIT], axis=1),
        np.stack([table.get(name.lower(), zeros) for name in HEAD], axis=1),
        missing,
    )


def _columns(header: str, path: Path) -> dict[str, int]:
    """Lower-case name of every column to its number; refused where one is missing or not known."""
    given = [name.strip().strip('"') for name in header.split(",")]
    names = {name.lower(): column for column, name in enumerate(given)}
    missing = [name for name in (TIMECODE, *ARKIT) if name.lower() not in names]
    known = {name.lower() for name in (TIMECODE, *ARKIT, *OTHER)}
    unknown = [name for name in given if name.lower() not in known]
    if missing or unknown or len(names) < len(given):
        twice = [name for name in names if [one.lower() for one in given].count(name) > 1]
        lists = {"lacks the columns": missing, "has unknown columns": unknown, "names twice": twice}
        found = "; ".join(f"it {verb} {_shortened(group)}" for verb, group in lists.items() if group)
        raise ScanError("wrong-columns", path, f"{found}: {ALIKE}", "line 1")
    return names


def _shortened(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _kept(names: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    return ((name, column) for name, column in names.items() if name not in (TIMECODE.lower(), "blendshapecount"))


def _numbers(cells: list[str], name: str, lines: list[int], path: Path) -> Float64[np.ndarray, " rows"]:
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        values = np.array([_number(cell) for cell in cells])
    is_angle = SPELLED[name] in (*HEAD, *EYES)
    low, high = (-LARGEST_ANGLE, LARGEST_ANGLE) if is_angle else (LOWEST, HIGHEST)
    wrong = np.flatnonzero(~((values >= low) & (values <= high)))
    if len(wrong):
        row = int(wrong[0])
        remedy = "give radians" if is_angle else "give 0 to 1 (of percent, a hundredth)"
        detail = f"{cells[row].strip()[:20]!r} is no number from {low:g} to {high:g}: {remedy}"
        raise ScanError("out-of-range", path, detail, f"line {lines[row]}, column {SPELLED[name]}")
    return values


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _seconds(cells: list[str], lines: list[int], path: Path) -> tuple[Float64[np.ndarray, " rows"], int]:
    """Seconds since the first row, and how many frames are missing between rows."""
    matches = [_TIMECODE.fullmatch(cell.strip().strip('"')) for cell in cells]
    wrong = next((row for row, match in enumerate(matches) if match is None), None)
    if wrong is not None:
        detail = f"{cells[wrong].strip()[:20]!r} is no timecode HH:MM:SS:FF.fff: {ALIKE}"
        raise ScanError("malformed", path, detail, f"line {lines[wrong]}, column {TIMECODE}")
    parts = np.array([match.groups() for match in matches if match], dtype=np.float64)
    rate = next((one for one in TIMECODE_RATES if parts[:, 3].max() < one), 120)
    seconds = parts @ np.array([3600.0, 60.0, 1.0, 1.0 / rate])
    seconds = seconds + 86400.0 * np.cumsum(np.diff(seconds, prepend=seconds[0]) < -43200.0)  # past midnight
    steps = np.diff(seconds)
    period = float(np.median(steps))
    for row in np.flatnonzero((steps <= 0.0) | (steps > max(LONGEST_GAP, 1.5 * period))):
        place = f"line {lines[row + 1]}, column {TIMECODE}"
        if steps[row] <= 0.0:
            detail = f"{cells[row + 1]} does not come after {cells[row]}: put the rows in order, one recording a file"
            raise ScanError("out-of-order", path, detail, place)
        detail = f"{steps[row]:.2f} s are missing before {cells[row + 1]}: cut the file there into two recordings"
        raise ScanError("gap", path, detail, place)
    return seconds - seconds[0], int((np.round(steps / period) - 1).sum())
