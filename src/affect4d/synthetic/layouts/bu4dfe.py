"""BU-4DFE's layout: ``F001/Angry/000.wrl`` with ``000.jpg``, landmarks ``BU4DFE_BND_V1.1/F001/Angry/000.bnd``."""

from pathlib import Path

from affect4d.scans.corpora.bu4dfe import FOLDERS, LANDMARK_FOLDER
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.layouts.formats.landmarks import bnd_bytes
from affect4d.synthetic.layouts.formats.wrl import wrl_bytes
from affect4d.synthetic.layouts.layout import Layout, Shown, Written, lettered, picture_bytes, put
from affect4d.synthetic.performance import Performance

subject_name = lettered(3)


def sequence_folder(person: int, gender: str, performance: Performance) -> str:
    """``F001/Angry``: the first take of an expression is called as in BU-4DFE, others by their performance."""
    return f"{subject_name(person, gender)}/{FOLDERS.get(performance.name, performance.name)}"


def write(root: Path, shown: Shown) -> tuple[Written, ...]:
    """Write every frame of a take."""
    sequence = sequence_folder(shown.person, shown.gender, shown.performance)
    for frame in range(shown.performance.frames):
        write_frame(root, sequence, frame, shown.scan(frame))
    return tuple(Written(sequence, frame, frame) for frame in range(shown.performance.frames))


def write_frame(root: Path, sequence: str, frame: int, scan: FaceScan) -> None:
    """Write mesh, picture and landmarks of one frame.

    Raises:
        ValueError: If the scan lacks texture coordinates, texture or landmarks.
    """
    stem = f"{sequence}/{frame:03d}"
    put(root / f"{stem}.wrl", wrl_bytes(scan, f"{frame:03d}.jpg"))
    put(root / f"{stem}.jpg", picture_bytes(scan, "JPEG"))
    put(root / LANDMARK_FOLDER / f"{stem}.bnd", bnd_bytes(scan))


BU4DFE = Layout(
    name="bu4dfe",
    description="every frame as .wrl and .jpg, landmarks in a folder of their own",
    subject_name=subject_name,
    holds=lambda performance: True,
    write=write,
)
