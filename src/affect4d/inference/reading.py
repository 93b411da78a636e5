"""What a model says about a recording, and the tables it becomes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

BETWEEN = " | "


@dataclass(frozen=True, slots=True)
class FrameReading:
    """What a model says about one scan.

    Attributes:
        file: Its path; empty for a scan that was read already.
        frame: Its number.
        status: ``"ok"``, ``"repaired"`` or ``"refused"``.
        code: Short word for what was found; empty where there is nothing to say.
        reason: The same in words.
        expression: The likeliest; None of a refused scan.
        probabilities: Expression → share, summing to one; empty of a refused scan.
        in_window: Whether it speaks for its sequence.
        activity: How far the face has moved since the neutral frame, 0…1.
    """

    file: str
    frame: int
    status: str
    code: str
    reason: str
    expression: str | None
    probabilities: Mapping[str, float]
    in_window: bool
    activity: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about a recording: a single scan, or a sequence.

    Attributes:
        model: Name of the model.
        name: Of the recording.
        subject: Whose face, where that is known.
        expression: The likeliest; None where no scan was usable.
        probabilities: Expression → share, summing to one.
        calibrated: Whether the shares were calibrated, and can be taken at their word.
        nearest_prompts: The prompts nearest to what the model saw, with their cosines, −1…1.
        view_weights: View → its share in the answer.
        status: ``"ok"``, ``"repaired"`` (with something to know) or ``"refused"``.
        code: Short word for what was found; empty where there is nothing to say.
        reason: The same in words.
        frames: One reading a scan, refused ones too, in order.
        onset: Frame where the movement begins; None for a single scan.
        apex: Frame where the face moves most; likewise.
        offset: Frame where it has come to rest; likewise.
    """

    model: str
    name: str
    subject: str | None
    expression: str | None
    probabilities: Mapping[str, float]
    calibrated: bool
    nearest_prompts: tuple[tuple[str, float], ...]
    view_weights: Mapping[str, float]
    status: str
    code: str
    reason: str
    frames: tuple[FrameReading, ...]
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None

    @property
    def file(self) -> str:
        """Path of the scan, or of the folder of a sequence; empty where scans were read already."""
        first = self.frames[0].file
        return first if len(self.frames) == 1 or not first else str(Path(first).parent)

    def row(self) -> dict[str, Any]:
        """The recording as one row of the predictions; docs/predict.md says what each column means."""
        usable = sum(frame.status != "refused" for frame in self.frames)
        return {
            "recording": self.name,
            "file": self.file,
            "subject": self.subject,
            "model": self.model,
            "expression": self.expression,
            **{f"prob_{name}": share for name, share in self.probabilities.items()},
            "calibrated": self.calibrated,
            "nearest_prompts": BETWEEN.join(prompt for prompt, _ in self.nearest_prompts),
            **{f"weight_{view}": share for view, share in self.view_weights.items()},
            "frames": len(self.frames),
            "usable": usable,
            "onset": self.onset,
            "apex": self.apex,
            "offset": self.offset,
            "status": self.status,
            "code": self.code,
            "reason": self.reason,
        }

    def frame_rows(self) -> Iterator[dict[str, Any]]:
        """Its scans as rows of the timelines."""
        for frame in self.frames:
            yield {
                "recording": self.name,
                "file": frame.file,
                "subject": self.subject,
                "frame": frame.frame,
                "model": self.model,
                "expression": frame.expression,
                **{f"prob_{name}": share for name, share in frame.probabilities.items()},
                "activity": frame.activity,
                "in_window": frame.in_window,
                "status": frame.status,
                "code": frame.code,
                "reason": frame.reason,
            }

    def table(self) -> pd.DataFrame:
        """The recording as a table of one row."""
        return pd.DataFrame([self.row()])

    def timeline(self) -> pd.DataFrame:
        """One row a scan, in order of frame."""
        return pd.DataFrame(list(self.frame_rows()))

    def __str__(self) -> str:
        shares = sorted(self.probabilities.items(), key=lambda item: -item[1])
        told = ", ".join(f"{name} {share:.0%}" for name, share in shares)
        remark = f"; {self.reason}" if told and self.reason else ""
        return f"{self.name}: {self.expression or self.status} ({told or self.reason}) by {self.model}{remark}"
