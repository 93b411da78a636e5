"""Where raw scans come from: a folder of files, a generator that makes each scan on demand, or a mixture of corpora.

Ingest and renderer know only this seam, so that a corpus too large to lie on a disk goes through the same code as one
that does. Files are one source, here; the generated faces of :mod:`affect4d.synthetic` are another.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_changes
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from affect4d.scans.corpora import corpus_named
from affect4d.scans.corpora.file_patterns_and_label_sheets import ListedFile, list_files
from affect4d.scans.expression import split_labels
from affect4d.scans.readers import LANDMARK_READERS, READERS, read_scan
from affect4d.scans.readers.range_image import Intrinsics, read_depth
from affect4d.scans.scan import FaceScan
from affect4d.store import KEY_LENGTH, content_key

MOST_FOLDERS = 50  # folders that are searched for a corpus that is not where it was configured

PART_JOINT = ":"
"""Between the name of a mixture's part and a name within it: ``open-4dfer-s:F001/Angry``."""
ONLY_MICRO = ("positive", "negative", "repression")
"""Classes of micro-expressions that no corpus of posed expressions has."""

ScanRow = Mapping[str, Any]
"""A row of a source's table, or of the scan manifest: both have its columns."""


class ScanSource(Protocol):
    """Raw scans, one a table row. Frozen, small and picklable: it travels with every chunk of work."""

    def table(self) -> pd.DataFrame:
        """What there is, before any of it is read: the columns ``SCAN_COLUMNS``."""

    def fingerprint(self) -> str:
        """Digest of everything the table and the raw scans depend on; takes no reading."""

    def identities(self, scans: pd.DataFrame) -> list[str]:
        """For each row of (a part of) the table, digest of everything its raw scan depends on; takes no reading."""

    def read(self, row: ScanRow, landmarks: bool = True, texels: int = 0) -> FaceScan:
        """The raw scan of a row, in its own coordinates, with ``texels`` of texture (0: all).

        Raises:
            ScanError: If it is not usable.
        """

    def checksum(self, row: ScanRow) -> str:
        """Digest of the raw bytes of a row, or of everything they would be made from."""

    def locate(self, row: ScanRow) -> Path:
        """Where a person finds the scan of a row, for messages."""

    def explain_absence(self) -> str:
        """Why the table has no rows, and the remedy."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A corpus folder; its layout, one of ``CORPORA``, is needed for the table, not for reading."""

    root: Path
    layout: str = ""
    pattern: str | None = None
    camera: Intrinsics | None = None

    @classmethod
    def described(cls, raw_corpus: ScanRow) -> "FileSource":
        """The files that the artefact ``raw_corpus`` describes."""
        camera = raw_corpus.get("camera")
        return cls(
            root=Path(raw_corpus["root"]),
            layout=str(raw_corpus["layout"]),
            pattern=raw_corpus.get("pattern"),
            camera=None if camera is None else Intrinsics.model_validate(camera),
        )

    def __str__(self) -> str:
        return str(self.root)

    def table(self) -> pd.DataFrame:
        """Scans of the folder, by name only; depth images without a camera are a ``ValueError``."""
        corpus = corpus_named(self.layout, self.pattern)
        if corpus.is_depth and self.camera is None:
            raise ValueError(
                f"The scans of {self.layout} are depth images, which do not record the camera that took them. Give its "
                f"focal lengths and principal point, in pixels, in conf/local/globals.yml: depth_cameras: "
                f"{{{self.layout}: {{fx: …, fy: …, cx: …, cy: …, millimetres_per_unit: 1.0}}}}"
            )
        return corpus.find_scans(self.root)

    def fingerprint(self) -> str:
        """Digest of every file's name, size and time of change, and of the layout."""
        corpus_named(self.layout, self.pattern)
        listing = hashlib.blake2b()
        for file in list_files(self.root):
            listing.update(f"{file.path}\0{file.size}\0{file.modified}\n".encode())
        return content_key(files=listing.hexdigest(), layout=self.layout, pattern=self.pattern, camera=self.camera)

    def identities(self, scans: pd.DataFrame) -> list[str]:
        """Digests of name, size and time of change of the files of each row, and of the camera.

        A scan without an image may name one that lies beside it, or a material that does: all of these count, too.
        """
        files = list_files(self.root)
        stamps = {file.path: [file.path, file.size, file.modified] for file in files}
        loose = _loose_files(files) if self.camera is None else {}
        names = scans[["scan", "texture", "landmark_file"]].itertuples(index=False, name=None)
        return [
            content_key(
                files=[None if pd.isna(name) else stamps.get(name) for name in row],
                beside=loose.get(row[0].rpartition("/")[0]) if pd.isna(row[1]) else None,
                camera=self.camera,
            )
            for row in names
        ]

    def read(self, row: ScanRow, landmarks: bool = True, texels: int = 0) -> FaceScan:
        """Read the files of a row; the landmarks only if requested, of the texture what is enough."""
        reader = None if self.camera is None else partial(read_depth, intrinsics=self.camera)
        marks = self._file(row, "landmark_file", landmarks)
        return read_scan(self.locate(row), self._file(row, "texture"), marks, reader, texels)

    def checksum(self, row: ScanRow) -> str:
        """Digest of the bytes of scan, texture and landmarks."""
        digest = hashlib.sha256()  # processors have instructions for it: 3.3 ms for 5 MB, BLAKE2b 7.5
        for file in (self.locate(row), self._file(row, "texture"), self._file(row, "landmark_file")):
            digest.update(file.read_bytes() if file is not None and file.is_file() else b"\0missing")
        return digest.hexdigest()[:KEY_LENGTH]

    def locate(self, row: ScanRow) -> Path:
        """The scan's file."""
        return self.root / str(row["scan"])

    def explain_absence(self) -> str:
        """What the folder holds instead of scans, and whether it is the pattern or the table that names none of it."""
        names = [file.path for file in list_files(self.root)]
        scans = [name for name in names if Path(name).suffix.lower() in READERS]
        seen = f"it holds {len(names)} files, e.g. {(scans or names)[0]}"
        if self.pattern is not None:
            return (
                f"No file in {self.root} fits the pattern {self.pattern!r}; {seen}. Correct it in "
                f"conf/local/globals.yml, under corpus_patterns: {{{self.layout}: …}}; it begins below that folder."
            )
        absent = self.table().attrs.get("absent", [])
        if absent:
            return (
                f"None of the {len(absent)} files that the table in {self.root} names is there: {', '.join(absent[:3])}"
                f"{', …' if len(absent) > 3 else ''}; {seen}. Write them as they lie below that folder."
            )
        other = ", or use the layout 'folder', which takes any names" if self.layout != "folder" else ""
        below = self._laid_out_below(names)
        where = f": {below}, it seems" if below is not None else ""
        return (
            f"No scan in {self.root} is laid out as {corpus_named(self.layout).description}; {seen}. Point the corpus "
            f"folder at the folder that holds the subjects{where}{other}. Scans end in {', '.join(READERS)}."
        )

    def _laid_out_below(self, names: Iterable[str]) -> Path | None:
        """The folder inside this one, at most two deep, that has most scans in the layout; None where none has any."""
        parents = {Path(*parts[:depth]) for name in names for parts in [Path(name).parts[:-1]] for depth in (1, 2)}
        nearest_first = sorted(parents - {Path()}, key=lambda parent: (len(parent.parts), parent))
        folders = [self.root / parent for parent in nearest_first[:MOST_FOLDERS]]
        counts = {folder: _count(with_changes(self, root=folder)) for folder in folders}
        return max(counts, key=counts.__getitem__) if any(counts.values()) else None

    def _file(self, row: ScanRow, column: str, requested: bool = True) -> Path | None:
        name = row[column] if requested else None
        return None if name is None or pd.isna(name) else self.root / name


@dataclass(frozen=True, slots=True)
class MixedSource:
    """Several corpora as one: subjects and sequences are named ``part:name``; files stay relative to their part."""

    parts: tuple[tuple[str, ScanSource], ...]
    balanced: bool = False  # as many subjects of each part as the smallest has

    def __str__(self) -> str:
        return " + ".join(name for name, _ in self.parts)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The table of every part, names as in that part.

        Raises:
            ValueError: If a part has no scans, or the parts have different classes; the message names both.
        """
        tables = {name: source.table() for name, source in self.parts}
        for name, source in self.parts:
            if tables[name].empty:
                raise ValueError(f"The mixture {self} lacks {name}. {source.explain_absence()}")
        _check_same_classes(tables)
        fewest = min(table["subject"].nunique() for table in tables.values())
        return {name: _some_subjects(table, fewest) for name, table in tables.items()} if self.balanced else tables

    def table(self) -> pd.DataFrame:
        """The rows of all parts; errors as in :meth:`tables`."""
        return pd.concat([prefixed(name, table) for name, table in self.tables().items()], ignore_index=True)

    def fingerprint(self) -> str:
        """Digest of the parts' fingerprints and names."""
        parts = [[name, source.fingerprint()] for name, source in self.parts]
        return content_key(parts=parts, balanced=self.balanced)

    def identities(self, scans: pd.DataFrame) -> list[str]:
        """Digests by the part of each row."""
        found = dict[int, str]()
        placed = scans.assign(place=range(len(scans)))
        for name, rows in placed.groupby(part_names(scans["sequence"])):
            own = rows.assign(**{column: _within_part(rows[column]) for column in ("sequence", "subject")})
            found |= dict(zip(rows["place"], dict(self.parts)[str(name)].identities(own), strict=True))
        return [found[place] for place in range(len(scans))]

    def read(self, row: ScanRow, landmarks: bool = True, texels: int = 0) -> FaceScan:
        """The scan of a row, read by its part."""
        source, own = self._own(row)
        return source.read(own, landmarks, texels)

    def checksum(self, row: ScanRow) -> str:
        """The part's checksum."""
        source, own = self._own(row)
        return source.checksum(own)

    def locate(self, row: ScanRow) -> Path:
        """The place in the part."""
        source, own = self._own(row)
        return source.locate(own)

    def explain_absence(self) -> str:
        """Message for a mixture without scans."""
        return " ".join(source.explain_absence() for _, source in self.parts)

    def _own(self, row: ScanRow) -> tuple[ScanSource, ScanRow]:
        name, _, sequence = str(row["sequence"]).partition(PART_JOINT)
        return dict(self.parts)[name], {**row, "sequence": sequence}


def prefixed(corpus: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table with its subjects and sequences named ``corpus:name``: two corpora may both have an F001."""
    names = {name: f"{corpus}{PART_JOINT}" + table[name].astype(str) for name in ("sequence", "subject")}
    return table.assign(**names)


def part_names(names: "pd.Series[str]") -> "pd.Series[str]":
    """The part of a mixture in the name of each sequence or subject."""
    return names.str.partition(PART_JOINT)[0]


def _within_part(names: "pd.Series[str]") -> "pd.Series[str]":
    return names.str.partition(PART_JOINT)[2]


def _some_subjects(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows of so many subjects, drawn by the digests of their names."""
    chosen = sorted(table["subject"].unique(), key=lambda name: content_key(subject=str(name)))[:count]
    return table[table["subject"].isin(chosen)]


def _check_same_classes(tables: Mapping[str, pd.DataFrame]) -> None:
    """Refuse parts of which one shows what another does not: a model would read the corpus, not the face."""
    classes = {name: _classes(table) for name, table in tables.items()}
    (first, expected), *others = classes.items()
    for name, found in others:
        if found != expected:
            raise ValueError(
                f"{first} and {name} cannot be mixed: {first} shows {_listed(expected)}; {name} shows {_listed(found)}."
                " Mix corpora of the same classes, or give a folder of scans the missing labels in sequences.csv."
            )


def _classes(table: pd.DataFrame) -> frozenset[str]:
    """Expressions and kinds of micro-expressions in a table; all of its labels where it has neither."""
    others = table.loc[table["expression"].isna(), "label"].dropna().unique()
    words = {word for label in others for word in split_labels(label)}
    micro = {"micro-expressions"} if words & set(ONLY_MICRO) else set()
    return frozenset({*table["expression"].dropna(), *micro} or words)


def _listed(classes: frozenset[str]) -> str:
    return ", ".join(sorted(classes)) or "nothing that is labelled"


def _count(source: FileSource) -> int:
    """Number of scans of a candidate folder: 0 where it is not a corpus."""
    try:
        return len(source.table())
    except (ValueError, FileNotFoundError):
        return 0


def _loose_files(files: Iterable[ListedFile]) -> dict[str, str]:
    """Of every folder, digest of what is in it beside scans and landmarks: images, materials."""
    scans_and_landmarks = {*READERS, *LANDMARK_READERS}
    folders: dict[str, list[tuple[str, int, int]]] = {}
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if Path(name).suffix.lower() not in scans_and_landmarks:
            folders.setdefault(folder, []).append((name, file.size, file.modified))
    return {folder: content_key(files=held) for folder, held in folders.items()}


def as_source(where: Path | ScanSource) -> ScanSource:
    """A folder as the source of the files in it; a source as it is."""
    return FileSource(where) if isinstance(where, Path) else where
