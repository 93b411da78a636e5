"""Layouts: how a take of a synthetic corpus becomes files in a corpus's own folders and formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image

from affect4d.array_types import Texture
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.action_units import ACTION_UNITS, ActionTrack, ActionWeights
from affect4d.synthetic.performance import Performance, rise_and_fall

JPEG_QUALITY = 85
CODED_WEIGHT = 0.15
"""Least weight at which a coder sees an action unit."""
LabelRow = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class LayoutTake:
    """One take, as a layout gets it."""

    subject: int
    """Number of the subject, from 0."""
    gender: str
    performance: Performance
    track: ActionTrack
    turns: Float64[np.ndarray, "frames 3"]
    """Rotation vector of the head in every frame, degrees."""
    scan: Callable[[int], FaceScan]
    """Generates the scan of a frame."""


@dataclass(frozen=True, slots=True)
class WrittenScan:
    """One scan on disk, under the names by which the corpus is read."""

    sequence: str
    frame: int
    source: int
    """Frame of the take it was made from."""
    neutral: bool = False
    """A neutral face, whatever the take is named after."""


@dataclass(frozen=True, slots=True)
class CorpusLayout:
    """A corpus's own folders and formats; the corpus that reads it has the same name."""

    name: str
    description: str
    subject_name: Callable[[int, str], str]
    """Number and gender of a subject → the corpus's name."""
    holds: Callable[[Performance], bool]
    """Membership of a take in the corpus."""
    write: Callable[[Path, LayoutTake], tuple[WrittenScan, ...]]
    """Writes a take below a folder."""
    label: Callable[[LayoutTake], LabelRow] | None = None
    """A take's row of the label sheet; None where the corpus has none."""
    write_sheet: Callable[[Path, Sequence[LabelRow]], None] | None = None
    """Writes the label sheet: folder, and the rows in the order of the takes."""
    pattern: str | None = None
    """Of the paths, where the corpus needs one to be read."""


def write_file(path: Path, content: bytes) -> None:
    """Write a file, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def image_bytes(scan: FaceScan, kind: str) -> bytes:
    """The scan's texture as a file of one of Pillow's formats (``"JPEG"``, ``"PNG"``, ``"BMP"``)."""
    memory = BytesIO()
    Image.fromarray(texture_of(scan)).save(memory, format=kind, quality=JPEG_QUALITY)
    return memory.getvalue()


def texture_of(scan: FaceScan) -> Texture:
    """The scan's texture; a ValueError if it has none."""
    if scan.texture is None:
        raise ValueError("This layout needs a texture, and the scan has none.")
    return scan.texture


def lettered(digits: int) -> Callable[[int, str], str]:
    """Names of a letter and a number, women and men counted apart: ``F001``."""

    def name(subject: int, gender: str) -> str:
        return f"{gender}{subject // 2 + 1:0{digits}d}"

    return name


def is_posed(performance: Performance) -> bool:
    """True for a take of one of the six expressions."""
    return performance.expression is not None


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
    """Level → the frame before the apex in which the expression has come that far; ``levels`` is the apex.

    Distractor movements do not count. Levels that no frame shows (takes with few frames) are left out.
    """
    take, step = performance, 1 / levels
    risen = rise_and_fall(take.times[: take.apex + 1], take.begin, take.rise, take.hold, take.fall)
    frames = {levels: take.apex}
    for level in range(levels - 1, 0, -1):
        earlier = np.abs(risen[: frames[min(frames)]] - level * step)
        if len(earlier) and earlier.min() <= step / 2:
            frames[level] = int(earlier.argmin())
    return dict(sorted(frames.items()))
