"""BP4D's layout: tasks as sequences of ``.obj``, tracked landmarks, and actions coded one frame later.

Quirks: numbers of three or four digits by task, a frame missing here and there, faces without ``/vt`` in every other
task, landmarks left-handed, with points not tracked and frames without a file, an empty viewer's folder.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from affect4d.scans.corpora.bp4d import (
    CODING_FOLDER,
    FRAME_SHIFT,
    LANDMARK_FOLDER,
    SCAN_FOLDER,
    TASKS,
    UNKNOWN,
)
from affect4d.synthetic.layouts.formats.landmarks import tbnd_bytes
from affect4d.synthetic.layouts.formats.obj import mtl_bytes, obj_bytes
from affect4d.synthetic.layouts.layout import (
    Layout,
    Shown,
    Written,
    actions_shown,
    is_first_posed,
    lettered,
    picture_bytes,
    put,
)

subject_name = lettered(3)
TASK_OF = {**{label: task for task, label in TASKS.items()}, "surprise": "T3"}
"""Surprise goes where startle is, the nearest task there is."""
CODED = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 23, 24, 25, 26)
COLUMNS = range(100)


def write(root: Path, shown: Shown) -> tuple[Written, ...]:
    """Write the frames of a take, but for one in eleven; code the actions of all."""
    task, subject = TASK_OF[str(shown.performance.expression)], subject_name(shown.person, shown.gender)
    kept = [frame for frame in range(shown.performance.frames) if frame % 11 != 7]
    for frame in kept:
        _write_frame(root, shown, subject, task, frame)
    put(root / CODING_FOLDER / f"{subject}_{task}.csv", _coding(shown))
    return tuple(Written(f"{subject}/{task}", frame, frame) for frame in kept)


def _write_frame(root: Path, shown: Shown, subject: str, task: str, frame: int) -> None:
    odd = (shown.person + int(task[1:])) % 2
    name, scan = f"{frame:0{3 + odd}d}", shown.scan(frame)
    folder = root / SCAN_FOLDER / subject / task
    put(folder / f"{name}.obj", obj_bytes(scan, f"{name}.mtl", indexed=bool(odd)))
    put(folder / f"{name}.mtl", mtl_bytes(f"{name}.jpg"))
    put(folder / f"{name}.jpg", picture_bytes(scan, "JPEG"))
    if frame % 13 != 5:
        untracked = (68, 82) if frame % 4 == 3 else ()
        put(
            root / LANDMARK_FOLDER / subject / task / f"{frame:04d}.tbnd",
            tbnd_bytes(scan, _angles(shown, frame), untracked),
        )


def _angles(shown: Shown, frame: int) -> tuple[float, float, float]:
    """Pitch, yaw and roll of the head, degrees."""
    pitch, yaw, roll = Rotation.from_rotvec(shown.turns[frame], degrees=True).as_euler("xyz", degrees=True)
    return float(pitch), float(yaw), float(roll)


def _coding(shown: Shown) -> bytes:
    """One row a frame, counted from one later than the scans; 1 shown, 0 not, 9 unknown."""
    cells = np.full((len(shown.track), len(COLUMNS)), UNKNOWN)
    cells[:, 0] = np.arange(len(shown.track)) + FRAME_SHIFT
    cells[:, list(CODED)] = 0
    for row, weights in enumerate(shown.track):
        cells[row, [number for number in actions_shown(weights) if number in CODED]] = 1
    text = io.StringIO()
    pd.DataFrame(cells, columns=list(COLUMNS)).to_csv(text, index=False, lineterminator="\r\n")
    return text.getvalue().encode()


BP4D = Layout(
    name="bp4d",
    description="each expression as the frames of a task in .obj, .mtl and .jpg, .tbnd landmarks, coded actions",
    subject_name=subject_name,
    holds=is_first_posed,
    write=write,
)
