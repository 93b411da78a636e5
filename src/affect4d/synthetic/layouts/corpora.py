"""The layouts of six corpora, quirks included: how every reader and corpus is tested without a licence."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from affect4d.scans.corpora import bosphorus, bp4d, bu3dfe, bu4dfe, fourdme
from affect4d.scans.expression import EXPRESSIONS, join_labels
from affect4d.scans.readers.landmark_files import BOSPHORUS_LABELS
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.layouts import (
    CorpusLayout,
    LabelRow,
    LayoutTake,
    WrittenScan,
    coded_units,
    image_bytes,
    is_first_posed,
    is_posed,
    lettered,
    rising_frames,
    texture_of,
    write_file,
)
from affect4d.synthetic.layouts.file_writers import (
    PlyEncoding,
    bnd_bytes,
    bnt_bytes,
    landmarks_of,
    lm_bytes,
    mtl_bytes,
    obj_bytes,
    ply_bytes,
    tbnd_bytes,
    wrl_bytes,
)
from affect4d.synthetic.performance import Performance

RAW_TURN = Rotation.from_euler("xyz", (6.0, -9.0, 4.0), degrees=True)
RAW_SHIFT = np.array([14.0, -22.0, 35.0])
"""Pose of BU-3DFE's raw mesh, which is not aligned with the cropped one; mm."""
BOSPHORUS_CODES: Mapping[str, str] = {
    "anger": "ANGER",
    "disgust": "DISGUST",
    "fear": "FEAR",
    "happiness": "HAPPY",
    "sadness": "SADNESS",
    "surprise": "SURPRISE",
}
SOMETIMES_MISSING = "Chin middle"
BP4D_TASKS = {**{label: task for task, label in bp4d.TASKS.items()}, "surprise": "T3"}
"""Task of each expression; surprise goes where startle is, the nearest task there is."""
BP4D_CODED = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 23, 24, 25, 26)
BP4D_COLUMNS = range(100)
FOURDME_PATTERN, FOURDME_SHEET = "meshes/{clip}/{frame}.obj", "labels.csv"
FOURDME_CLASSES, OTHER_FOURDME_CLASS = {"happiness": "Positive", "surprise": "Surprise"}, "Negative"
PLY_ENCODINGS: tuple[PlyEncoding, ...] = ("binary_little_endian", "binary_big_endian", "ascii")
FOLDER_TABLE = "scans.csv"


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
    expression = take.performance.expression
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
    """The take's row of the label sheet.

    Quirks: two classes in one cell; ``AU4(k)`` for a unit held all along. Posed expressions become 4DME's classes.
    """
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
    """The common cells of the take's rows of the table, and their number."""
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
    """The table, one row a scan."""
    scans = [
        {"file": f"{row['sequence']}/{frame}.ply", "frame": frame, **row}
        for row in rows
        for frame in range(int(row["frames"]))
    ]
    write_file(root / FOLDER_TABLE, pd.DataFrame(scans).drop(columns="frames").to_csv(index=False).encode())


def _folder_sequence(take: LayoutTake) -> str:
    return f"{lettered(3)(take.subject, take.gender)}/{take.performance.name}"


def _write_obj(folder: Path, name: str, scan: FaceScan, indexed: bool = True) -> None:
    """Write a mesh with its material and its image."""
    write_file(folder / f"{name}.obj", obj_bytes(scan, f"{name}.mtl", indexed))
    write_file(folder / f"{name}.mtl", mtl_bytes(f"{name}.jpg"))
    write_file(folder / f"{name}.jpg", image_bytes(scan, "JPEG"))


def _every_frame(sequence: str, take: LayoutTake) -> tuple[WrittenScan, ...]:
    return tuple(WrittenScan(sequence, frame, frame) for frame in range(take.performance.frames))


def _any_take(performance: Performance) -> bool:
    return True


def _labelled_take(performance: Performance) -> bool:
    return bool(performance.labels)


BU3DFE = CorpusLayout(
    "bu3dfe",
    "four levels of each expression and a neutral face as .wrl, .bmp and .bnd, raw meshes beside them",
    lettered(4),
    is_first_posed,
    _write_bu3dfe,
)
BU4DFE = CorpusLayout(
    "bu4dfe", "every frame as .wrl and .jpg, landmarks in a folder of their own", lettered(3), _any_take, _write_bu4dfe
)
BOSPHORUS = CorpusLayout(
    "bosphorus",
    "the apex of each expression and a neutral face as .bnt range images, .png, .lm2 and .lm3",
    _bosphorus_subject,
    is_posed,
    _write_bosphorus,
)
BP4D = CorpusLayout(
    "bp4d",
    "each expression as the frames of a task in .obj, .mtl and .jpg, .tbnd landmarks, coded action units",
    lettered(3),
    is_first_posed,
    _write_bp4d,
)
FOURDME = CorpusLayout(
    "fourdme",
    "every frame as .obj under a pattern of this project, with 4DME's label sheet",
    _fourdme_subject,
    _labelled_take,
    _write_fourdme,
    label=_fourdme_label,
    write_sheet=_write_fourdme_sheet,
    pattern=FOURDME_PATTERN,
)
FOLDER = CorpusLayout(
    "folder",
    "every frame as .ply, .png and .bnd, with the table scans.csv",
    lettered(3),
    _any_take,
    _write_folder,
    label=_folder_label,
    write_sheet=_write_folder_table,
)
LAYOUTS: Mapping[str, CorpusLayout] = {one.name: one for one in (BU3DFE, BU4DFE, BOSPHORUS, BP4D, FOURDME, FOLDER)}


def layout_named(name: str) -> CorpusLayout:
    """The layout of that name; a ValueError of another name lists the known ones."""
    if name not in LAYOUTS:
        known = "; ".join(f"{layout.name}: {layout.description}" for layout in LAYOUTS.values())
        raise ValueError(f"Synthetic faces cannot be written as {name!r}. Known layouts: {known}.")
    return LAYOUTS[name]
