"""Where a recording comes from: a sample that is made on the spot, or an upload; and the models that answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from affect4d.app.answering import Answered, ask
from affect4d.app.plain import plain
from affect4d.app.samples import make_sample, people
from affect4d.inference.predictor import Predictor
from affect4d.inference.uploads import ReadingRoom, Upload, UploadRefusedError
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.readers import READERS
from affect4d.scans.scan import FaceScan, ScanError

SAMPLE, UPLOAD = "A synthetic face", "Your own scan"
FIRST = "F003"
"""Whose face is shown at first."""
DRAWING = "Drawing the face from every side …"
FORMATS = ", ".join(READERS)
Identity = tuple[str, str, int]
"""Of a model: its title, its folder, and when that was written."""


@dataclass(frozen=True)
class Chosen:
    """A recording to look at.

    Attributes:
        key: Tells it from others of this session.
        name: For tables.
        scans: Raw scans, in order of time.
        neutral: The same face at rest, where it was given apart.
        is_sample: Whether it is nobody's: what is made of it may be shown to all.
        upload: What was sent, where it was.
    """

    key: str
    name: str
    scans: tuple[FaceScan, ...]
    neutral: FaceScan | None = None
    is_sample: bool = False
    upload: Upload | None = None


@st.cache_resource(show_spinner="Loading a model …", max_entries=6)
def open_predictor(folder: str, written: int) -> Predictor:
    """The model in a folder as it was written then, once for all visitors."""
    return Predictor.load(Path(folder))


@st.cache_resource(show_spinner=False)
def reading_room() -> ReadingRoom:
    """The process that reads uploads, warm."""
    room = ReadingRoom()
    room.start()
    return room


def choose_recording(texels: int) -> Chosen | None:
    """A sample or an upload; None where there is nothing to look at yet.

    Args:
        texels: How many the models need along the shorter side of a texture: what is sent is read as
            ``kedro run --pipeline=predict`` reads it.
    """
    where = st.segmented_control("Look at", [SAMPLE, UPLOAD], default=SAMPLE, required=True, key="where")
    return choose_upload(texels) if where == UPLOAD else choose_sample()


def choose_sample() -> Chosen:
    """One of a few synthetic people, and what they show."""
    left, right = st.columns(2)
    person = left.selectbox(
        "Person", people(), index=people().index(FIRST), key="person", help="Generated on the spot; in no corpus."
    )
    shown = right.selectbox("Shows", EXPRESSIONS, index=EXPRESSIONS.index("happiness"), key="expression")
    return Chosen(f"{person}/{shown}", f"{person}/{shown}", sample_scans(person, shown), is_sample=True)


@st.cache_resource(show_spinner=False, max_entries=36)
def sample_scans(person: str, expression: str) -> tuple[FaceScan, ...]:
    """The scans of a sample, made at the first look."""
    bar = st.progress(0.0, "Making the face …")
    scans = make_sample(person, expression, lambda share: bar.progress(share, "Making the face …"))
    bar.empty()
    return scans


def choose_upload(texels: int) -> Chosen | None:
    """What a person sends; one bad scan costs that scan, and says why."""
    reading_room()
    sent = st.file_uploader(
        f"Scans ({FORMATS}) with their textures, or a zip of a sequence", accept_multiple_files=True, key="scans"
    )
    with st.expander("The same face at rest (optional)"):
        st.caption("Of a single scan, it tells the models what has moved. A sequence begins at rest by itself.")
        rest = st.file_uploader("Neutral scan with its texture", accept_multiple_files=True, key="neutral")
    if not sent:
        return None
    upload, neutral = _read(sent, texels), _read(rest, texels) if rest else None
    if upload is None or not upload.usable:
        return None
    scans = tuple(one.scan for one in upload.usable if one.scan is not None)
    at_rest = neutral.usable[0].scan if neutral is not None and neutral.usable else None
    key = "+".join([*(file.file_id for file in (*sent, *(rest or []))), str(texels)])
    name = upload.usable[0].name if len(scans) == 1 else f"{len(scans)} scans"
    return Chosen(key, name, scans, at_rest, upload=upload)


def _read(files: Sequence[object], texels: int) -> Upload | None:
    """An upload, with a message for whatever is not used of it."""
    try:
        upload = read_upload(tuple(file.file_id for file in files), texels, files)  # type: ignore[attr-defined]
    except UploadRefusedError as error:
        st.error(plain(str(error)))
        return None
    for scan in upload.scans:
        if scan.scan is None:
            st.error(f"**{plain(scan.name)}** cannot be used: {plain(scan.reason)}.")
    for name, reason in upload.refused:
        st.warning(f"**{plain(name)}** {plain(reason)}.")
    return upload


@st.cache_resource(show_spinner=False, max_entries=4, scope="session")
def read_upload(key: tuple[str, ...], texels: int, _files: Sequence[object]) -> Upload:
    """Read what was sent, once a session; forgotten with it."""
    bar = st.progress(0.0, "Reading …")
    try:
        sent = [(file.name, file.getvalue()) for file in _files]  # type: ignore[attr-defined]
        return reading_room().read(
            sent, lambda done, count: bar.progress(done / count, f"Reading {done + 1}/{count} …"), texels
        )
    finally:
        bar.empty()


def understood(chosen: Chosen, identities: tuple[Identity, ...], predictors: Mapping[str, Predictor]) -> list[Answered]:
    """Every model's answer; none, and a message, where no scan is a face."""
    answers_of = sample_answers if chosen.is_sample else upload_answers
    try:
        return answers_of(chosen.key, identities, chosen, predictors)
    except ScanError as error:
        st.error(f"**{plain(chosen.name)}** cannot be used: {plain(error.detail)}.")
        return []


@st.cache_resource(show_spinner=DRAWING, max_entries=36)
def sample_answers(
    key: str, identities: tuple[Identity, ...], _chosen: Chosen, _predictors: Mapping[str, Predictor]
) -> list[Answered]:
    """Answers to a sample, once for all visitors."""
    return ask(_chosen.scans, _chosen.name, _predictors)


@st.cache_resource(show_spinner=DRAWING, max_entries=6, scope="session")
def upload_answers(
    key: str, identities: tuple[Identity, ...], _chosen: Chosen, _predictors: Mapping[str, Predictor]
) -> list[Answered]:
    """Answers to an upload, once a session; forgotten with it."""
    return ask(_chosen.scans, _chosen.name, _predictors, _chosen.neutral)
