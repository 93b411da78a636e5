"""Live mode without its page: a thread that answers the newest scans of a folder, and answers of the last minute."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from affect4d.inference.predictor import Predictor
from affect4d.inference.results import FramePrediction
from affect4d.inference.watch_folder import LiveAnswer, answer_scans, first_scans, watch_scans
from affect4d.scans.scan import ScanError

SPAN = 60.0  # seconds of the timeline
BIN = 1.0  # seconds of one of its bars
KEPT = 3_000  # most answers that are kept of them
RATE_SPAN = 5.0  # seconds over which answers are counted for the rate
NEWEST = 4  # most scans answered of those that become complete together; older ones are passed over
IDLE = 60.0  # seconds without a look at the page after which scans are no longer answered


class Moment(NamedTuple):
    """Answer on the timeline."""

    time: float  # seconds, of a clock that only runs forward
    file: str
    probabilities: tuple[float, ...]  # empty of a refused scan
    reason: str


class Timeline:
    """Answers of the last ``SPAN`` seconds, at most ``KEPT``."""

    def __init__(self) -> None:
        self._moments: deque[Moment] = deque(maxlen=KEPT)

    def add(self, frame: FramePrediction, now: float) -> None:
        """Append an answer; drop those that are too old."""
        self._moments.append(Moment(now, frame.file, tuple(frame.probabilities.values()), frame.reason))
        while self._moments[0].time < now - SPAN:
            self._moments.popleft()

    def bars(self, now: float) -> tuple[Float64[np.ndarray, " bars"], Float64[np.ndarray, "bars expressions"]]:
        """Middles of intervals of ``BIN`` seconds, −60…0 s from now, and mean probabilities; no empty intervals."""
        usable = [moment for moment in self._recent(now) if moment.probabilities]
        if not usable:
            return np.zeros(0), np.zeros((0, 0))
        bins, which = np.unique([int(moment.time // BIN) for moment in usable], return_inverse=True)
        sums = np.zeros((len(bins), len(usable[0].probabilities)))
        np.add.at(sums, which, [moment.probabilities for moment in usable])
        return (bins + 0.5) * BIN - now, sums / np.bincount(which)[:, None]

    def refused(self, now: float) -> list[Moment]:
        """Scans that could not be used, in order; those that were answered afterwards are not among them."""
        last = {moment.file: moment for moment in self._recent(now)}
        return [moment for moment in last.values() if not moment.probabilities]

    def rate(self, now: float) -> float:
        """Answers a second."""
        return sum(moment.time > now - RATE_SPAN for moment in self._moments) / RATE_SPAN

    def _recent(self, now: float) -> list[Moment]:
        return [moment for moment in self._moments if moment.time >= now - SPAN]


@dataclass(frozen=True)
class LiveState:
    """What the page shows of a watched folder at one time."""

    newest: LiveAnswer | None = None  # the last usable scan
    neutral: Path | None = None  # the scan that movement is relative to
    remark: str = ""  # why the chosen neutral scan is not used
    error: str = ""  # why no scan is answered any more
    seconds: Float64[np.ndarray, " bars"] = field(default_factory=lambda: np.zeros(0))
    probabilities: Float64[np.ndarray, "bars expressions"] = field(default_factory=lambda: np.zeros((0, 0)))
    refused: tuple[Moment, ...] = ()
    rate: float = 0.0


class _Unwatched(threading.Event):
    """Set by hand, or once nobody has looked for ``IDLE`` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = time.monotonic()

    def is_set(self) -> bool:
        return super().is_set() or time.monotonic() - self.looked > IDLE


def _identity(folder: Path) -> tuple[int, int] | None:
    """What a folder is on its disk: one that is removed and made again is another; None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if folder.is_dir() else None


class LiveWatch:
    """Answers the newest scans of a folder with one model, in a thread that runs while somebody looks.

    Args:
        folder: Scans of one face; those in folders below count, too.
    """

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        self.predictor, self.folder = predictor, folder
        self.chosen: Path | None = None  # neutral scan; by default, the folder's first one by name
        self._lock, self._timeline = threading.Lock(), Timeline()
        self._newest: LiveAnswer | None = None
        self._neutral: Path | None = None
        self._remark = self._error = ""
        self._begin()

    def look(self) -> LiveState:
        """State of this moment; begins to watch, if it does not."""
        with self._lock:
            self._stop.looked = time.monotonic()
            there = _identity(self.folder)
            if there is None:
                self._stop.set()
                self._error = ""
            elif there != self._watched or not (self._thread.is_alive() or self._error):
                self._stop.set()
                self._begin()
            now = time.monotonic()
            seconds, probabilities = self._timeline.bars(now)
            refused, rate = tuple(self._timeline.refused(now)), self._timeline.rate(now)
            told = self._newest, self._neutral, self._remark, self._error
            return LiveState(*told, seconds, probabilities, refused, rate)

    def choose_neutral(self, scan: Path | None) -> None:
        """Take a scan of the folder as the neutral one, for everybody who looks; None: the first one by name."""
        with self._lock:
            self._stop.set()
            self.chosen = scan
            self._begin()

    def stop(self) -> None:
        """Answer no more scans; returns when the thread has ended."""
        self._stop.set()
        self._thread.join()

    def _begin(self) -> None:
        """Start a thread; one before it ends by itself, and what it still answers is dropped."""
        self._neutral = None
        self._remark = self._error = ""
        self._watched = _identity(self.folder)
        self._stop = _Unwatched()
        self._thread = threading.Thread(target=self._run, args=(self._stop, self.chosen), name="live", daemon=True)
        self._thread.start()

    def _run(self, stop: _Unwatched, chosen: Path | None) -> None:
        try:
            neutral = chosen or next(iter(first_scans(self.folder, 1)), None)
            try:
                self._answer(stop, neutral)
            except (ScanError, FileNotFoundError) as error:  # of the neutral scan: any other costs only itself
                if neutral is None:
                    raise
                reason = error.detail if isinstance(error, ScanError) else str(error)
                self._note(stop, remark=f"{neutral.name} is not used as the neutral scan: {reason}")
                self._answer(stop, None)
        except Exception as error:  # the page says so, whatever it is
            self._note(stop, error=f"{type(error).__name__}: {error}")
        finally:
            stop.set()

    def _answer(self, stop: _Unwatched, neutral: Path | None) -> None:
        scans = watch_scans(self.folder, stop=stop, newest=NEWEST)
        for answer in answer_scans(self.predictor, scans, neutral, keep_faces=True):
            usable = answer.frame.status != "refused"
            if neutral is None and usable:
                neutral = Path(answer.frame.file)
            with self._lock:
                if stop is not self._stop:
                    return
                self._neutral = neutral
                self._newest = answer if usable else self._newest
                self._timeline.add(answer.frame, time.monotonic())

    def _note(self, stop: _Unwatched, remark: str = "", error: str = "") -> None:
        with self._lock:
            if stop is self._stop:
                self._remark, self._error = remark or self._remark, error or self._error
