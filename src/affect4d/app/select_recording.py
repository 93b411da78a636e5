"""Selection of a recording, a synthetic sample or an upload, and cached predictions for it."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from affect4d.app.model_predictions import ModelResult, predict_with_models
from affect4d.inference.predictor import Predictor
from affect4d.inference.sandboxed_upload_reader import Upload, UploadReader, UploadRefusedError
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.readers import READERS
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.synthetic.frozen_benchmarks import benchmark, changed
from affect4d.synthetic.generated_scan_source import GeneratedSource

SAMPLE, UPLOAD = "A synthetic face", "Your own scan"
FIRST = "F003"
RENDERING = "Drawing the face from every side …"
SUBJECTS, FRAMES = 6, 12
CHANGES = {
    "subjects": SUBJECTS,
    "seed": 8501,
    "performances": {"frames": FRAMES},
    "actions": {"intensity_low": 0.75, "intensity_high": 1.0, "distractors": 0.6},
}  # differences from the default corpus: other subjects, stronger expressions, more frames
ModelIdentity = tuple[str, str, int]  # title and folder of a model, and when it was written
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&])")


@dataclass(frozen=True)
class SelectedRecording:
    """Recording selected on the page."""

    key: str  # unique within the session; of a sample, for all sessions
    name: str
    scans: tuple[FaceScan, ...]
    neutral: FaceScan | None = None
    is_sample: bool = False  # a synthetic face: its results are shared by all sessions
    upload: Upload | None = None


def escape_markdown(text: str) -> str:
    r"""Untrusted text, such as a file name, that Markdown shows as it is: no link, image, formula or colour.

    >>> escape_markdown("![a](http://b)")
    '\\!\\[a\\]\\(http\\://b\\)'
    """
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def select_recording(where: str, texels: int) -> SelectedRecording | None:
    """A sample or an upload, None while nothing is uploaded; ``texels`` as the pipeline `predict` reads textures."""
    return select_upload(texels) if where == UPLOAD else select_sample()


@functools.cache
def sample_source() -> GeneratedSource:
    """Generator of the samples: subjects who are in no corpus, each with the six expressions."""
    return GeneratedSource(changed(benchmark("open-4dfer-s").recipe, CHANGES))


@functools.cache
def subjects() -> tuple[str, ...]:
    """Names of the samples' subjects."""
    return tuple(sorted(sample_source().table()["subject"].unique()))


def generate_sample(subject: str, expression: str, progress: Callable[[float], object]) -> tuple[FaceScan, ...]:
    """Scans of one sample, in order of time; ``progress`` is called with the fraction that is done."""
    table = sample_source().table()
    rows = table[(table["subject"] == subject) & (table["expression"] == expression)].to_dict("records")
    if not rows:
        listed = f"{', '.join(subjects())}; {', '.join(EXPRESSIONS)}"
        raise ValueError(f"There is no sample {subject} {expression}: {listed}.")
    scans = []
    for done, row in enumerate(rows):
        progress(done / len(rows))
        scans.append(sample_source().read({str(name): value for name, value in row.items()}))
    return tuple(scans)


def select_sample() -> SelectedRecording:
    """A synthetic subject with an expression."""
    left, right = st.columns(2)
    subject = left.selectbox(
        "Subject", subjects(), index=subjects().index(FIRST), key="subject", help="Generated on the spot; in no corpus."
    )
    expression = right.selectbox("Shows", EXPRESSIONS, index=EXPRESSIONS.index("happiness"), key="expression")
    name = f"{subject}/{expression}"
    return SelectedRecording(name, name, sample_scans(subject, expression), is_sample=True)


@st.cache_resource(show_spinner=False, max_entries=36)
def sample_scans(subject: str, expression: str) -> tuple[FaceScan, ...]:
    """Scans of a sample, generated at first use."""
    bar = st.progress(0.0, "Making the face …")
    scans = generate_sample(subject, expression, lambda fraction: bar.progress(fraction, "Making the face …"))
    bar.empty()
    return scans


@st.cache_resource(show_spinner=False)
def upload_reader() -> UploadReader:
    """The process that reads uploads, started."""
    reader = UploadReader()
    reader.start()
    return reader


def select_upload(texels: int) -> SelectedRecording | None:
    """Uploaded scans; each that cannot be used is shown with its reason."""
    upload_reader()
    files = st.file_uploader(
        f"Scans ({', '.join(READERS)}) with their textures, or a zip of a sequence",
        accept_multiple_files=True,
        key="scans",
    )
    with st.expander("The same face at rest (optional)"):
        st.caption("Of a single scan, it tells the models what has moved. A sequence begins at rest by itself.")
        rest = st.file_uploader("Neutral scan with its texture", accept_multiple_files=True, key="neutral")
    if not files:
        return None
    upload, neutral = _read(files, texels), _read(rest, texels) if rest else None
    if upload is None or not upload.usable:
        return None
    scans = tuple(one.scan for one in upload.usable if one.scan is not None)
    at_rest = neutral.usable[0].scan if neutral is not None and neutral.usable else None
    key = "+".join([*(file.file_id for file in (*files, *(rest or []))), str(texels)])
    name = upload.usable[0].name if len(scans) == 1 else f"{len(scans)} scans"
    return SelectedRecording(key, name, scans, at_rest, upload=upload)


def _read(files: Sequence[object], texels: int) -> Upload | None:
    try:
        upload = read_upload(tuple(file.file_id for file in files), texels, files)  # type: ignore[attr-defined]
    except UploadRefusedError as error:
        st.error(escape_markdown(str(error)))
        return None
    for scan in upload.scans:
        if scan.scan is None:
            st.error(f"**{escape_markdown(scan.name)}** cannot be used: {escape_markdown(scan.reason)}.")
    for name, reason in upload.refused:
        st.warning(f"**{escape_markdown(name)}** {escape_markdown(reason)}.")
    return upload


@st.cache_resource(show_spinner=False, max_entries=4, scope="session")
def read_upload(key: tuple[str, ...], texels: int, _files: Sequence[object]) -> Upload:
    """Read an upload, once a session."""
    bar = st.progress(0.0, "Reading …")
    try:
        files = [(file.name, file.getvalue()) for file in _files]  # type: ignore[attr-defined]
        return upload_reader().read(
            files, lambda done, count: bar.progress(done / count, f"Reading {done + 1}/{count} …"), texels
        )
    finally:
        bar.empty()


@st.cache_resource(show_spinner="Loading a model …", max_entries=6)
def open_predictor(folder: str, written: int) -> Predictor:
    """Model of a folder as it was written then, once for all sessions."""
    return Predictor.load(Path(folder))


def predict_selected(
    selected: SelectedRecording, identities: tuple[ModelIdentity, ...], predictors: Mapping[str, Predictor]
) -> list[ModelResult]:
    """Results of every model; none, and a message, if no scan is usable."""
    cached = sample_results if selected.is_sample else upload_results
    try:
        return cached(selected.key, identities, selected, predictors)
    except ScanError as error:
        st.error(f"**{escape_markdown(selected.name)}** cannot be used: {escape_markdown(error.detail)}.")
        return []


@st.cache_resource(show_spinner=RENDERING, max_entries=36)
def sample_results(
    key: str,
    identities: tuple[ModelIdentity, ...],
    _selected: SelectedRecording,
    _predictors: Mapping[str, Predictor],
) -> list[ModelResult]:
    """Results for a sample, once for all sessions."""
    return predict_with_models(_selected.scans, _selected.name, _predictors)


@st.cache_resource(show_spinner=RENDERING, max_entries=6, scope="session")
def upload_results(
    key: str,
    identities: tuple[ModelIdentity, ...],
    _selected: SelectedRecording,
    _predictors: Mapping[str, Predictor],
) -> list[ModelResult]:
    """Results for an upload, once in its session."""
    return predict_with_models(_selected.scans, _selected.name, _predictors, _selected.neutral)
