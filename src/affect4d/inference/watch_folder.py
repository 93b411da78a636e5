"""Live prediction: scans in a folder are answered one by one, each once its files are complete."""

import contextlib
import heapq
import math
import time
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, NamedTuple, TypeVar

from watchfiles import watch

from affect4d.inference.batch import FAILED
from affect4d.inference.find_recordings import ScanRecording
from affect4d.inference.predictor import Predictor
from affect4d.inference.preprocessing import LiveTake, RenderedScan, ScanInput, UnusableRecordingError, refused_frame
from affect4d.inference.results import FramePrediction
from affect4d.rendering.cameras_and_render_backends import OpenGLError
from affect4d.scans.corpora.corpus_class_and_scan_table import image_beside
from affect4d.scans.readers import LANDMARK_READERS, READERS, natural_order
from affect4d.scans.readers.mesh_checks_and_textures import SUFFIXES
from affect4d.scans.scan import FaceScan

SETTLE = 0.05  # seconds without a change after which a file counts as complete
TICK = 20  # milliseconds between looks at files that are being written
REMEMBERED = 256  # scans that are not answered again unless their files change
DIGITS = 4  # of numbers in a line

_Item = TypeVar("_Item")

Signature = tuple[tuple[str, int, int], ...]
"""Name, size and time of change (ns) of a scan's files."""


class LiveAnswer(NamedTuple):
    """Prediction for one scan, and the seconds since the last change of its files."""

    frame: FramePrediction
    seconds: float
    face: FaceScan | None = None  # canonical mesh, mm, if kept and usable

    def line(self) -> dict[str, Any]:
        """The answer as one flat row; ``prob_…`` and ``AU…`` only of a usable scan."""
        one = self.frame
        return {
            "file": one.file,
            "frame": one.frame,
            "expression": one.expression,
            **{f"prob_{name}": round(value, DIGITS) for name, value in one.probabilities.items()},
            **{name: round(value, DIGITS) for name, value in (one.action_units or {}).items()},
            "activity": round(one.activity, DIGITS),
            "status": one.status,
            "code": one.code,
            "reason": one.reason,
            "seconds": round(self.seconds, DIGITS),
        }


def first_scans(folder: Path, most: int) -> list[Path]:
    """At most ``most`` scans of a folder and those below it, in natural order of their paths."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in READERS)
    return heapq.nsmallest(most, found, key=lambda path: natural_order(str(path)))


def watch_scans(
    folder: Path, settle: float = SETTLE, stop: Event | None = None, newest: int | None = None
) -> Iterator[Path]:
    """Scans of a folder and those below it, each once its files have not changed for ``settle`` seconds.

    They come in the order of their last change; those that are there already come first. A scan whose files change
    afterwards comes again. What is remembered does not grow with the number of scans.

    Args:
        newest: Most scans that come of those found complete at the same time, the newest; by default, all.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} to watch: make it, or name the one that scans go to.")
    waiting: dict[Path, tuple[Signature, float]] = {}
    answered: OrderedDict[Path, Signature] = OrderedDict()
    looked, listed = -math.inf, False
    for changes in watch(
        folder,
        watch_filter=None,
        debounce=TICK,
        step=TICK // 2,
        rust_timeout=TICK,
        yield_on_timeout=True,
        stop_event=stop,
    ):
        touched = [Path(path) for _, path in changes]
        if not listed:  # now that the watch has begun, none is missed in between
            listed = True
            touched += folder.rglob("*")
        for path in touched:
            if path.suffix.lower() in READERS:
                waiting.setdefault(path, ((), 0.0))
        complete, before_this = [], looked
        looked = time.monotonic()
        for path, (before, _) in list(waiting.items()):
            (signature, age), now = _state(path), time.monotonic()
            if signature != before:  # a file system's clock may differ from this machine's
                waiting[path] = signature, max(now - max(age, 0.0), before_this)
            if not signature:
                del waiting[path]
            elif now - waiting[path][1] >= settle:
                del waiting[path]
                complete.append((path, signature))
        complete.sort(key=_order)
        for path, signature in complete if newest is None else complete[-newest:]:
            if answered.get(path) != signature:
                answered[path] = signature
                if len(answered) > REMEMBERED:
                    answered.popitem(last=False)
                yield path


def answer_scans(
    predictor: Predictor,
    scans: Iterable[Path],
    neutral: ScanInput | None = None,
    *,
    answer_unsure: bool = False,
    keep_faces: bool = False,
) -> Iterator[LiveAnswer]:
    """One answer a scan of the same face, in order; a scan that cannot be used is an answer with its reason.

    The next scans are read, aligned and rendered in other threads meanwhile. One of them waits for the next scan until
    ``scans`` end: give :func:`watch_scans` an event to stop by, and set it when no more answers are wanted.

    Args:
        neutral: Neutral scan of the face; by default, the first usable one.
        answer_unsure: Answer scans whose pose is doubtful, too.
        keep_faces: Give each answer the canonical mesh of its scan, for display.

    Raises:
        ScanError: If the neutral scan cannot be used.
        OpenGLError: If the graphics driver renders wrong images.
    """
    options = replace(predictor.preprocessor, answer_unsure=answer_unsure, keep_faces=keep_faces)
    take = LiveTake(options, neutral)
    with ThreadPoolExecutor(1, "read") as reading, ThreadPoolExecutor(1, "align") as aligning:

        def begun() -> Iterator[_Begun]:
            for number, scan in enumerate(scans):
                written = max((changed for _, _, changed in _state(scan)[0]), default=time.time_ns())
                recording = _recording(scan, number)
                raw = reading.submit(take.read, recording)
                yield _Begun(recording, written, aligning.submit(_render, take, recording, raw))

        with contextlib.closing(_one_ahead(begun())) as under_way:
            for scan in under_way:
                frame, face = _answered(predictor, take, scan)
                yield LiveAnswer(frame, (time.time_ns() - scan.written) / 1e9, face)


class _Begun(NamedTuple):
    """A scan that is being read and rendered in other threads."""

    recording: ScanRecording
    written: int  # time of its files' last change, ns
    rendered: Future[RenderedScan]


def _render(take: LiveTake, recording: ScanRecording, raw: "Future[FaceScan | RenderedScan]") -> RenderedScan:
    return take.render(recording, raw.result())


def _answered(predictor: Predictor, take: LiveTake, scan: _Begun) -> tuple[FramePrediction, FaceScan | None]:
    """The prediction for a scan, and its canonical mesh if kept."""
    try:
        prepared = take.prepare(scan.recording, scan.rendered.result())
        return predictor.classify(prepared).frames[0], prepared.scans[0].face
    except UnusableRecordingError as error:
        return refused_frame(error.scans[0]), None
    except OpenGLError:
        raise
    except Exception as error:  # whatever a reader meets in a file costs that file
        (row,) = scan.recording.rows
        file, reason = str(scan.recording.source.locate(row)), f"{type(error).__name__}: {error}"
        return FramePrediction(file, row["frame"], "refused", FAILED, reason, None, {}, False, 0.0), None


def _one_ahead(items: Iterator[_Item]) -> Generator[_Item, None, None]:
    """The items of an iterator, each made in a thread while the one before is used.

    The thread ends once the item that it makes is made, which may be later than the consumer stops; the interpreter
    does not wait for it.
    """
    wanted, made = SimpleQueue[bool](), SimpleQueue[_Item | Exception | None]()

    def make() -> None:
        while wanted.get():
            try:
                made.put(next(items, None))
            except Exception as error:
                made.put(error)

    Thread(target=make, name="ahead", daemon=True).start()
    try:
        wanted.put(True)
        while (item := made.get()) is not None:
            if isinstance(item, Exception):
                raise item
            wanted.put(True)
            yield item
    finally:
        wanted.put(False)


def _recording(scan: Path, frame: int) -> ScanRecording:
    """Recording of one scan; its folder, which may hold an hour's frames, is not listed."""
    beside = _files_beside(scan)
    names = {path.name.lower(): path.name for path in beside}
    landmarks = next((path.name for path in beside if path.suffix.lower() in LANDMARK_READERS), None)
    row = {"scan": scan.name, "texture": image_beside(names, scan.name), "landmark_file": landmarks, "frame": frame}
    return ScanRecording(scan.name, None, scan.parent, (row,), is_sequence=False)


def _files_beside(scan: Path) -> list[Path]:
    """Images and landmark files with a scan's own stem."""
    suffixes = [*SUFFIXES, *LANDMARK_READERS]
    named = (scan.with_suffix(variant) for suffix in suffixes for variant in dict.fromkeys((suffix, suffix.upper())))
    return [path for path in named if path.is_file()]


def _order(complete: tuple[Path, Signature]) -> tuple[int, list[tuple[int, str]]]:
    """Order of answers: the time of the scan file's last change; of equal times, the name."""
    path, ((_, _, changed), *_) = complete
    return changed, natural_order(str(path))


def _state(scan: Path) -> tuple[Signature, float]:
    """Signature of a scan's files, empty where the scan is gone, and the seconds since one was written or moved."""
    try:
        found = [(path.name, path.stat()) for path in (scan, *_files_beside(scan))]
    except FileNotFoundError:
        return (), 0.0
    signature = tuple((name, state.st_size, state.st_mtime_ns) for name, state in found)
    return signature, time.time() - max(state.st_ctime for _, state in found)
