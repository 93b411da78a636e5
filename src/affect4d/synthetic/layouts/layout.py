"""What a layout is: how a take of a synthetic corpus becomes files in a corpus's own folders and formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image

from affect4d.arrays import Texture
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.actions import ACTIONS, ActionTrack
from affect4d.synthetic.dynamics import rise_and_fall
from affect4d.synthetic.performance import Performance

JPEG_QUALITY = 85
LabelRow = dict[str, str | int]
SHOWN = 0.15
"""Weight at which a coder would say that an action is shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One take, as a layout gets it.

    Attributes:
        person: Number of the subject, from 0.
        gender: ``"F"`` or ``"M"``.
        performance: What is performed, and when.
        track: True action weights of every frame.
        turns: Rotation vector of the head in every frame, degrees.
        scan: The scan of a frame, made when it is asked for.
    """

    person: int
    gender: str
    performance: Performance
    track: ActionTrack
    turns: Float64[np.ndarray, "frames 3"]
    scan: Callable[[int], FaceScan]


@dataclass(frozen=True, slots=True)
class Written:
    """One scan on disk, under the names by which the corpus will be read.

    Attributes:
        sequence: Of the manifest.
        frame: Of the manifest.
        source: Frame of the take it was made from.
        neutral: Whether it is the face at rest, and not what the take is called after.
    """

    sequence: str
    frame: int
    source: int
    neutral: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A corpus's own folders and formats.

    Attributes:
        name: What parameters call it; the corpus that reads it has the same name.
        description: What it writes, for people.
        subject_name: Number of a person and gender → the corpus's name.
        holds: Whether the corpus has a place for a take.
        write: Writes a take below a folder; says which scans it wrote.
        label: A take's row of the label sheet; None where the corpus has none.
        write_sheet: Writes the label sheet, once all is written: folder, and the rows in the order of the takes.
        pattern: Of the paths, where the corpus needs one to be read.
    """

    name: str
    description: str
    subject_name: Callable[[int, str], str]
    holds: Callable[[Performance], bool]
    write: Callable[[Path, Shown], tuple[Written, ...]]
    label: Callable[[Shown], LabelRow] | None = None
    write_sheet: Callable[[Path, Sequence[LabelRow]], None] | None = None
    pattern: str | None = None


def put(path: Path, content: bytes) -> None:
    """Write a file, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def picture_bytes(scan: FaceScan, kind: str) -> bytes:
    """The scan's texture as a file of a kind that Pillow knows (``"JPEG"``, ``"PNG"``, ``"BMP"``).

    Raises:
        ValueError: If the scan has no texture.
    """
    memory = BytesIO()
    Image.fromarray(texture_of(scan)).save(memory, format=kind, quality=JPEG_QUALITY)
    return memory.getvalue()


def texture_of(scan: FaceScan) -> Texture:
    """The scan's texture.

    Raises:
        ValueError: If it has none.
    """
    if scan.texture is None:
        raise ValueError("This layout needs a texture, and the scan has none.")
    return scan.texture


def lettered(digits: int) -> Callable[[int, str], str]:
    """Names of a letter and a number, women and men counted apart: ``F001``."""

    def name(person: int, gender: str) -> str:
        return f"{gender}{person // 2 + 1:0{digits}d}"

    return name


def is_posed(performance: Performance) -> bool:
    """Whether one of the six expressions is performed."""
    return performance.expression is not None


def is_first_posed(performance: Performance) -> bool:
    """Whether it is the first take of an expression: what a corpus of one take each has a place for."""
    return performance.name == performance.expression


def actions_shown(weights: np.ndarray) -> tuple[int, ...]:
    """Numbers of the FACS actions that a coder would see at these weights, either side counting."""
    numbers = {
        int(action.removeprefix("AU").partition("_")[0])
        for action, weight in zip(ACTIONS, weights, strict=True)
        if action.startswith("AU") and weight >= SHOWN
    }
    return tuple(sorted(numbers))


def rising_frames(performance: Performance, levels: int) -> dict[int, int]:
    """Level → the frame before the apex in which the expression has come that far; ``levels`` is the apex.

    What moves beside the expression does not count. Of a take with few frames some levels are shown by none: they are
    left out.
    """
    take, step = performance, 1 / levels
    risen = rise_and_fall(take.times[: take.apex + 1], take.begin, take.rise, take.hold, take.fall)
    frames = {levels: take.apex}
    for level in range(levels - 1, 0, -1):
        earlier = np.abs(risen[: frames[min(frames)]] - level * step)
        if len(earlier) and earlier.min() <= step / 2:
            frames[level] = int(earlier.argmin())
    return dict(sorted(frames.items()))
