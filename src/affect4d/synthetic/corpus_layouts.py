"""Folders and file formats of the licensed corpora, quirks included: their readers are tested without a licence."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from affect4d.scans.corpora import bosphorus, bp4d, bu3dfe, bu4dfe, fourdme
from affect4d.scans.expression import EXPRESSIONS, join_labels
from affect4d.scans.readers.landmark_files import BOSPHORUS_LABELS
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.action_units import ACTION_UNITS, ActionTrack, ActionWeights
from affect4d.synthetic.performance import Performance, rise_and_fall
from affect4d.synthetic.scan_file_writers import (
    PlyEncoding,
    bnd_bytes,
    bnt_bytes,
    image_bytes,
    landmarks_of,
    lm_bytes,
    mtl_bytes,
    obj_bytes,
    ply_bytes,
    tbnd_bytes,
    texture_of,
    write_file,
    wrl_bytes,
)

LabelRow = dict[str, str | int]
CODED_WEIGHT = 0.15  # least weight at which a coder sees an action unit
RAW_TURN = Rotation.from_euler("xyz", (6.0, -9.0, 4.0), degrees=True)
RAW_SHIFT = np.array([14.0, -22.0, 35.0])  # pose of BU-3DFE's raw mesh, which is not aligned with the cropped one; mm
BOSPHORUS_CODES = dict(zip(EXPRESSIONS, ("ANGER", "DISGUST", "FEAR", "HAPPY", "SADNESS", "SURPRISE"), strict=True))
SOMETIMES_MISSING = "Chin middle"
BP4D_TASKS = {**{label: task for task, label in bp4d.TASKS.items()}, "surprise": "T3"}
"""Task of each expression; surprise goes where startle is, the nearest task there is."""
BP4D_CODED = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 23, 24, 25, 26)
BP4D_COLUMNS = range(100)
FOURDME_PATTERN, FOURDME_SHEET = "meshes/{clip}/{frame}.obj", "labels.csv"
FOURDME_CLASSES, OTHER_FOURDME_CLASS = {"happiness": "Positive", "surprise": "Surprise"}, "Negative"
PLY_ENCODINGS: tuple[PlyEncoding, ...] = ("binary_little_endian", "binary_big_endian", "ascii")
FOLDER_TABLE = "scans.csv"


@dataclass(frozen=True, slots=True)
class LayoutTake:
    """One take, as a layout gets it."""

    subject: int  # number of the subject, from 0
    gender: str
    performance: Performance
    track: ActionTrack
    turns: Float64[np.ndarray, "frames 3"]  # rotation vector of the head in every frame, degrees
    scan: Callable[[int], FaceScan]  # generates the scan of a frame


@dataclass(frozen=True, slots=True)
class WrittenScan:
    """One scan on disk, under the names by which the corpus is read."""

    sequence: str
    frame: int
    source: int  # frame of the take it was made from
    neutral: bool = False  # a neutral face, whatever the take is named after


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusLayout:
    """A corpus's own folders and formats."""

    description: str
    subject_name: Callable[[int, str], str]  # number and gender of a subject → the corpus's name
    holds: Callable[[Performance], bool]  # whether the corpus has such takes
    write: Callable[[Path, LayoutTake], tuple[WrittenScan, ...]]  # writes a take below a folder
    label: Callable[[LayoutTake], LabelRow] | None = None  # a take's row of the label sheet, if the corpus has one
    write_sheet: Callable[[Path, Sequence[LabelRow]], None] | None = None  # writes the rows in the order of the takes
    pattern: str | None = None  # of the paths, where the corpus needs one to be read


def lettered(digits: int) -> Callable[[int, str], str]:
    """Names of a letter and a number, women and men counted apart: ``F001``."""

    def name(subject: int, gender: str) -> str:
        return f"{gender}{subject // 2 + 1:0{digits}d}"

    return name


def is_first_posed(performance: Performance) -> bool:
    """True for the first take of an expression: a corpus of one take each holds no other."""
    return performance.name == performance.expression


def coded_units(weights: ActionWeights) -> tuple[int, ...]:
    """Numbers of the action units that a coder sees at these weights on either side."""
    numbers = {
        int(unit.removeprefix("AU").partition("_")[0])
        for unit, weight in zip(ACTION_UNITS, weights, strict=True)
        if unit.startswith("AU") and weight >= CODED_WEIGHT
    }
    return tuple(sorted(numbers))


def rising_frames(performance: Performance, levels: int) -> dict[int, int]:
    """Level → the frame before the apex (``levels``) in which the expression, without distractors, has come so far."""
    take, step = performance, 1 / levels
    risen = rise_and_fall(take.times[: take.apex + 1], take.begin, take.rise, take.hold, take.fall)
    frames = {levels: take.apex}
    for level in range(levels - 1, 0, -1):
        earlier = np.abs(risen[: frames[min(frames)]] - level * step)
        if len(earlier) and earlier.min() <= step / 2:
            frames[level] = int(earlier.argmin())
    return dict(sorted(frames.items()))


def write_bu4dfe_frame(root: Path, sequence: str, frame: int, scan: FaceScan) -> None:
    """Write mesh, image and landmarks of one frame as BU-4DFE has them; a ValueError if the scan lacks one."""
    stem = f"{sequence}/{frame:03d}"
    write_file(root / f"{stem}.wrl", wrl_bytes(scan, f"{frame:03d}.jpg"))
    write_file(root / f"{stem}.jpg", image_bytes(scan, "JPEG"))
    write_file(root / bu4dfe.LANDMARK_FOLDER / f"{stem}.bnd", bnd_bytes(scan))


def _write_bu4dfe(root: Path, take: LayoutTake) -> tuple[WrittenScan, ...]:
    """``F001/Angry/000.wrl`` with ``000.jpg``; landmarks in a folder of their own."""
    name = take.performance.name
    sequence = f"{lettered(3)(take.subject, take.gender)}/{bu4dfe.FOLDERS.get(name, name)}"
    for frame in range(take.performance.frames):
        write_bu4dfe_frame(root, sequence, frame, take.scan(frame))
    return _every_frame(sequence, take)


def _write_bu3dfe(root: Path, take: LayoutTake) -> tuple[WrittenScan, ...]:
    """Levels of an expression as frames of its rise, and a neutral face beside the first expression.

    Quirks: CRLF and commas in every other file; a .bmp named after F2D, for every fifth subject a .png named after F3D;
    a raw mesh in another pose beside each cropped one. The ethnicity codes are arbitrary.
    """
    expression = str(take.performance.expression)
    code = next(code for code, name in bu3dfe.CODES.items() if name == expression)
    wanted = [(code, level, frame) for level, frame in rising_frames(take.performance, len(bu3dfe.LEVELS)).items()]
    if expression == EXPRESSIONS[0]:
        wanted.append((bu3dfe.NEUTRAL_CODE, 0, 0))
    return tuple(_write_level(root, take, *one) for one in wanted)


def _write_level(root: Path, take: LayoutTake, code: str, level: int, frame: int) -> WrittenScan:
    subject, scan = lettered(4)(take.subject, take.gender), take.scan(frame)
    stem = f"{subject}_{code}{level:02d}{bu3dfe.ETHNICITIES[take.subject % len(bu3dfe.ETHNICITIES)]}"
    kind, image, suffix = ("F3D", "PNG", ".png") if take.subject % 5 == 4 else ("F2D", "BMP", ".bmp")
    name = f"{stem}_{kind}{suffix}"
    newline, between = (b"\r\n", b", ") if level % 2 else (b"\n", b" ")
    raw = replace(scan, vertices=(RAW_TURN.apply(scan.vertices) + RAW_SHIFT).astype(np.float32))
    write_file(root / subject / f"{stem}_F3D.wrl", wrl_bytes(scan, name, newline, between))
    write_file(root / subject / f"{stem}_F3D.bnd", bnd_bytes(scan))
    write_file(root / subject / name, image_bytes(scan, image))
    write_file(root / subject / f"{stem}_RAW.wrl", wrl_bytes(raw, name))
    return WrittenScan(bu3dfe.sequence_name(subject, code, level), 0, frame, neutral=code == bu3dfe.NEUTRAL_CODE)


def _bosphorus_subject(subject: int, gender: str) -> str:
    """``bs000``: women and men in one row."""
    return f"bs{subject:03d}"


def _write_bosphorus(root: Path, take: LayoutTake) -> tuple[WrittenScan, ...]:
    """The apex of a take as a range image with named landmarks, and a neutral face beside the first expression.

    Quirks: a background of −1e9, v from top to bottom, CRLF landmark files, without the chin for every third subject.
    """
    performance = take.performance
    expression = str(performance.expression)
    number = int(performance.name.removeprefix(expression).removeprefix("-") or 1) - 1
    wanted = [("E", BOSPHORUS_CODES[expression], number, performance.apex)]
    if expression == EXPRESSIONS[0]:
        wanted.append(("N", "N", number, 0))
    return tuple(_write_range_image(root, take, *one) for one in wanted)


def _write_range_image(root: Path, take: LayoutTake, group: str, code: str, number: int, frame: int) -> WrittenScan:
    subject, scan = _bosphorus_subject(take.subject, take.gender), take.scan(frame)
    stem = f"{subject}_{group}_{code}_{number}"
    omitted = {SOMETIMES_MISSING} if take.subject % 3 == 2 else set()
    points = {label: row for label, row in BOSPHORUS_LABELS.items() if row is not None and label not in omitted}
    landmarks = landmarks_of(scan)
    write_file(root / subject / f"{stem}.bnt", bnt_bytes(scan, f"{stem}.png"))
    write_file(root / subject / f"{stem}.png", image_bytes(scan, "PNG"))
    write_file(root / subject / f"{stem}.lm3", lm_bytes({label: landmarks[row] for label, row in points.items()}))
    write_file(root / subject / f"{stem}.lm2", lm_bytes({label: _pixel(scan, row) for label, row in points.items()}))
    return WrittenScan(bosphorus.sequence_name(subject, group, code, number), 0, frame, neutral=group == "N")


def _pixel(scan: FaceScan, row: int) -> np.ndarray:
    """Pixel of a landmark: the texture coordinates of the nearest vertex."""
    assert scan.texture_coordinates is not None
    nearest = int(np.linalg.norm(scan.vertices - landmarks_of(scan)[row], axis=1).argmin())
    u, v = scan.texture_coordinates[nearest]
    height, width = texture_of(scan).shape[:2]
    return np.array([u * (width - 1), (1 - v) * (height - 1)])


def _write_bp4d(root: Path, take: LayoutTake) -> tuple[WrittenScan, ...]:
    """Frames of a task as .obj, tracked landmarks, and action units coded one frame later.

    Quirks: numbers of three or four digits by task, one frame in eleven missing, faces without ``/vt`` in every other
    task, landmarks left-handed, with points not tracked and frames without a file.
    """
    task, subject = BP4D_TASKS[str(take.performance.expression)], lettered(3)(take.subject, take.gender)
    kept = [frame for frame in range(take.performance.frames) if frame % 11 != 7]
    for frame in kept:
        _write_task_frame(root, take, subject, task, frame)
    write_file(root / bp4d.CODING_FOLDER / f"{subject}_{task}.csv", _bp4d_coding(take))
    return tuple(WrittenScan(f"{subject}/{task}", frame, frame) for frame in kept)


def _write_task_frame(root: Path, take: LayoutTake, subject: str, task: str, frame: int) -> None:
    odd = (take.subject + int(task[1:])) % 2
    name, scan = f"{frame:0{3 + odd}d}", take.scan(frame)
    _write_obj(root / bp4d.SCAN_FOLDER / subject / task, name, scan, indexed=bool(odd))
    if frame % 13 != 5:
        pitch, yaw, roll = Rotation.from_rotvec(take.turns[frame], degrees=True).as_euler("xyz", degrees=True)
        angles, untracked = (float(pitch), float(yaw), float(roll)), (68, 82) if frame % 4 == 3 else ()
        file = root / bp4d.LANDMARK_FOLDER / subject / task / f"{frame:04d}.tbnd"
        write_file(file, tbnd_bytes(scan, angles, untracked))


def _bp4d_coding(take: LayoutTake) -> bytes:
    """One row a frame, counted from one later than the scans; 1 shown, 0 not, 9 unknown."""
    cells = np.full((len(take.track), len(BP4D_COLUMNS)), bp4d.UNKNOWN)
    cells[:, 0] = np.arange(len(take.track)) + bp4d.FRAME_SHIFT
    cells[:, list(BP4D_CODED)] = 0
    for row, weights in enumerate(take.track):
        cells[row, [number for number in coded_units(weights) if number in BP4D_CODED]] = 1
    text = io.StringIO()
    pd.DataFrame(cells, columns=list(BP4D_COLUMNS)).to_csv(text, index=False, lineterminator="\r\n")
    return text.getvalue().encode()


def _fourdme_subject(subject: int, gender: str) -> str:
    """``s01``: women and men in one row."""
    return f"s{subject + 1:02d}"


def _write_fourdme(root: Path, take: LayoutTake) -> tuple[WrittenScan, ...]:
    """``meshes/s01_micro-1/00007.obj``: 4DME's own mesh layout is not published."""
    subject = _fourdme_subject(take.subject, take.gender)
    clip = f"{subject}_{take.performance.name}"
    for frame in range(take.performance.frames):
        scan, folder = take.scan(frame), root / "meshes" / clip
        _write_obj(folder, f"{frame:05d}", scan)
        write_file(folder / f"{frame:05d}.bnd", bnd_bytes(scan))
    return _every_frame(f"{subject}/{clip}", take)


def _fourdme_label(take: LayoutTake) -> LabelRow:
    """The take's row of the label sheet: two classes in one cell, ``AU4(k)`` for a unit held all along."""
    performance, subject = take.performance, _fourdme_subject(take.subject, take.gender)
    held = set(coded_units(take.track[performance.onset]))
    at_apex = coded_units(take.track[performance.apex])
    classes = [label.capitalize() for label in performance.labels]
    if performance.expression is not None:
        classes = [FOURDME_CLASSES.get(performance.expression, OTHER_FOURDME_CLASS)]
    return {
        "sub_ID": subject,
        "fold_name": f"{subject}_{performance.name}",
        "Emotion": ", ".join(classes),
        "Onset": performance.onset,
        "Apex": performance.apex,
        "Offset": performance.offset,
        "AUs": "+".join(f"AU{number}{'(k)' if number in held else ''}" for number in at_apex),
    }


def _write_fourdme_sheet(root: Path, rows: Sequence[LabelRow]) -> None:
    """The label sheet by clip: a byte order mark, CRLF, the last two rows exchanged."""
    ordered = sorted(rows, key=lambda row: str(row["fold_name"]))
    ordered[-2:] = ordered[:-3:-1]
    text = pd.DataFrame(ordered, columns=list(fourdme.COLUMNS)).to_csv(index=False, lineterminator="\r\n")
    write_file(root / FOURDME_SHEET, b"\xef\xbb\xbf" + text.encode())


def _write_folder(root: Path, take: LayoutTake) -> tuple[WrittenScan, ...]:
    """A user's own folder: ``anyone/take/0.ply``, in all three encodings in turn."""
    sequence = _folder_sequence(take)
    for frame in range(take.performance.frames):
        stem, scan = root / sequence / str(frame), take.scan(frame)
        encoding = PLY_ENCODINGS[frame % len(PLY_ENCODINGS)]
        write_file(stem.with_suffix(".ply"), ply_bytes(scan, f"{frame}.png", encoding))
        write_file(stem.with_suffix(".png"), image_bytes(scan, "PNG"))
        write_file(stem.with_suffix(".bnd"), bnd_bytes(scan))
    return _every_frame(sequence, take)


def _folder_label(take: LayoutTake) -> LabelRow:
    performance = take.performance
    return {
        "sequence": _folder_sequence(take),
        "subject": lettered(3)(take.subject, take.gender),
        "expression": performance.expression or "",
        "label": join_labels(performance.labels) or "",
        "onset": performance.onset,
        "apex": performance.apex,
        "offset": performance.offset,
        "frames": performance.frames,
    }


def _write_folder_table(root: Path, rows: Sequence[LabelRow]) -> None:
    scans = [
        {"file": f"{row['sequence']}/{frame}.ply", "frame": frame, **row}
        for row in rows
        for frame in range(int(row["frames"]))
    ]
    write_file(root / FOLDER_TABLE, pd.DataFrame(scans).drop(columns="frames").to_csv(index=False).encode())


def _folder_sequence(take: LayoutTake) -> str:
    return f"{lettered(3)(take.subject, take.gender)}/{take.performance.name}"


def _write_obj(folder: Path, name: str, scan: FaceScan, indexed: bool = True) -> None:
    write_file(folder / f"{name}.obj", obj_bytes(scan, f"{name}.mtl", indexed))
    write_file(folder / f"{name}.mtl", mtl_bytes(f"{name}.jpg"))
    write_file(folder / f"{name}.jpg", image_bytes(scan, "JPEG"))


def _every_frame(sequence: str, take: LayoutTake) -> tuple[WrittenScan, ...]:
    return tuple(WrittenScan(sequence, frame, frame) for frame in range(take.performance.frames))


LAYOUTS: Mapping[str, CorpusLayout] = {
    "bu3dfe": CorpusLayout(
        description="four levels of each expression and a neutral face as .wrl, .bmp and .bnd, raw meshes beside them",
        subject_name=lettered(4),
        holds=is_first_posed,
        write=_write_bu3dfe,
    ),
    "bu4dfe": CorpusLayout(
        description="every frame as .wrl and .jpg, landmarks in a folder of their own",
        subject_name=lettered(3),
        holds=lambda performance: True,
        write=_write_bu4dfe,
    ),
    "bosphorus": CorpusLayout(
        description="the apex of each expression and a neutral face as .bnt range images, .png, .lm2 and .lm3",
        subject_name=_bosphorus_subject,
        holds=lambda performance: performance.expression is not None,
        write=_write_bosphorus,
    ),
    "bp4d": CorpusLayout(
        description="each expression as the frames of a task in .obj, .mtl and .jpg, .tbnd landmarks, action units",
        subject_name=lettered(3),
        holds=is_first_posed,
        write=_write_bp4d,
    ),
    "fourdme": CorpusLayout(
        description="every frame as .obj under a pattern of this project, with 4DME's label sheet",
        subject_name=_fourdme_subject,
        holds=lambda performance: bool(performance.labels),
        write=_write_fourdme,
        label=_fourdme_label,
        write_sheet=_write_fourdme_sheet,
        pattern=FOURDME_PATTERN,
    ),
    "folder": CorpusLayout(
        description="every frame as .ply, .png and .bnd, with the table scans.csv",
        subject_name=lettered(3),
        holds=lambda performance: True,
        write=_write_folder,
        label=_folder_label,
        write_sheet=_write_folder_table,
    ),
}
"""The layout of each corpus, by the name under which it is read."""


def layout_named(name: str) -> CorpusLayout:
    """The layout of that name; a ValueError of another name lists the known ones."""
    if name not in LAYOUTS:
        known = "; ".join(f"{known}: {layout.description}" for known, layout in LAYOUTS.items())
        raise ValueError(f"Synthetic faces cannot be written as {name!r}. Known layouts: {known}.")
    return LAYOUTS[name]
