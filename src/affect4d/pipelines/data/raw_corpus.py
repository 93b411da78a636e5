"""Raw scans: generated where the corpus is synthetic, located on disk where it is licensed; and mixtures of both."""

import logging
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, Field, model_validator

from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.scans.corpora import CORPORA, corpus_named
from affect4d.scans.corpora.file_patterns_and_label_sheets import check_folder
from affect4d.scans.readers.range_image import Intrinsics
from affect4d.scans.scan_source_and_corpus_folder import prefixed
from affect4d.store import ContentStore
from affect4d.synthetic.recipe import CorpusRecipe, LiveLinkRecipe

LOGGER = logging.getLogger(__name__)
MIXTURE_JOINT = "+"
MIXED_LAYOUT = "folder"  # whose protocols, those of any corpus, serve a mixture
WRITTEN_AS = "bu4dfe"  # the layout in which synthetic corpora are made; others are converted to


class CorpusSource(BaseModel, frozen=True, extra="forbid"):
    """Where one corpus comes from: a frozen benchmark, a recipe of one's own, a folder that holds it, or others."""

    layout: str = Field(default="bu4dfe", description="folder conventions, a name in affect4d.scans.corpora.CORPORA")
    benchmark: str | None = Field(default=None, description="name of a frozen recipe")
    changes: dict[str, Any] = Field(
        default={}, description="values that replace the benchmark's; with any, it is that benchmark no more"
    )
    recipe: CorpusRecipe | None = Field(default=None, description="a recipe of one's own")
    recordings: LiveLinkRecipe | None = Field(default=None, description="recorded motion, played on drawn faces")
    ict_folder: str | None = Field(default=None, description="a clone of ICT-FaceKit, for recipes on its geometry")
    root: str | None = Field(default=None, description="folder of a corpus on disk")
    parts: tuple[str, ...] = Field(default=(), description="names of the corpora that a mixture is made of")
    pattern: str | None = Field(default=None, description="of its paths, in layouts that take one (4DME, folder)")
    camera: dict[str, float] | None = Field(default=None, description="of depth images, in layouts that have them")

    @model_validator(mode="after")
    def _camera_is_one(self) -> Self:
        if self.camera is not None:
            Intrinsics.model_validate(self.camera)
        return self


class CorpusChoice(BaseModel, frozen=True, extra="forbid"):
    """The corpus of this run, by name, among the known ones."""

    name: str = Field(description="a known corpus, the layout of a licensed one, or several of these joined by +")
    known: dict[str, CorpusSource] = Field(default={}, description="benchmarks and corpora of one's own, by name")
    raw_files: bool | None = Field(
        default=None, description="write raw files of a synthetic corpus; None: as its recipe"
    )
    subjects: int | None = Field(default=None, ge=2, description="of each synthetic corpus; None: all")
    balanced: bool = Field(default=False, description="as many subjects of each part of a mixture as the smallest has")
    layout: str | None = Field(default=None, description="in place of the corpus's own")
    folder: str | None = Field(default=None, description="of a licensed corpus; before its entry in folders")
    folders: dict[str, str | None] = Field(default={}, description="where licensed corpora lie, by layout")
    pattern: str | None = Field(default=None, description="of the corpus's paths; goes before its entry in patterns")
    patterns: dict[str, str | None] = Field(default={}, description="of paths, by layouts that take one (4DME, folder)")
    cameras: dict[str, dict[str, float] | None] = Field(default={}, description="of depth images, by layout")

    @model_validator(mode="after")
    def _name_is_known(self) -> Self:
        for name in self.parts or (self.name,):
            if name not in {*self.known, *CORPORA}:
                raise ValueError(
                    f"No corpus is called {name!r}; known corpora: {', '.join(sorted({*self.known, *CORPORA}))}. "
                    "Choose one with --params corpus=NAME, several with corpus=NAME+NAME, or describe yours under "
                    "raw_corpus.known in conf/local."
                )
        return self

    @model_validator(mode="after")
    def _mixture_is_one(self) -> Self:
        """A mixture of several corpora, none twice, without options that are of one corpus."""
        if self.parts and (len(self.parts) < 2 or len({*self.parts}) < len(self.parts)):
            raise ValueError(f"The mixture {self.name} has the parts {', '.join(self.parts)}: name two or more, once.")
        options = {"layout": self.layout, "corpus_root": self.folder, "corpus_pattern": self.pattern}
        given = [name for name, value in options.items() if value is not None]
        if self.parts and given:
            raise ValueError(
                f"{given[0]} is of one corpus, and {self.name} is a mixture. Name the folders and patterns of its "
                "parts in conf/local/globals.yml, under corpus_roots and corpus_patterns."
            )
        for name in self.parts:
            self.part(name)
        return self

    @model_validator(mode="after")
    def _layout_is_known(self) -> Self:
        if self.parts or self.layout_used == WRITTEN_AS:
            return self
        from affect4d.synthetic.corpus_layouts import layout_named  # scipy costs half a second

        (corpus_named if self.source.root is not None else layout_named)(self.layout_used)
        if self.is_converted and self.raw_files is False:
            raise ValueError(f"The layout {self.layout_used} is one of files: raw_files=false does not go with it.")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """The corpora of a mixture; empty for a single corpus."""
        if self.name in self.known:
            return self.known[self.name].parts
        return tuple(self.name.split(MIXTURE_JOINT)) if MIXTURE_JOINT in self.name else ()

    def part(self, name: str) -> Self:
        """The choice of one part of this mixture; synthetic parts are streamed unless raw files are asked for."""
        changes = {"name": name, "raw_files": bool(self.raw_files), "balanced": False}
        return type(self).model_validate({**dict(self), **changes})

    @property
    def source(self) -> CorpusSource:
        """The chosen one: a known one, or a licensed corpus by the name of its layout."""
        if self.name in self.known:
            return self.known[self.name]
        return CorpusSource(
            layout=self.name,
            root=self.folder or self.folders.get(self.name),
            pattern=self.pattern or self.patterns.get(self.name),
            camera=self.cameras.get(self.name),
        )

    @property
    def layout_used(self) -> str:
        """The layout of this run."""
        return self.layout or self.source.layout

    @property
    def is_converted(self) -> bool:
        """Whether a synthetic corpus is written in another layout than its own."""
        is_synthetic = self.source.benchmark is not None or self.source.recipe is not None
        return is_synthetic and self.layout_used != WRITTEN_AS


def generate_raw_corpus(
    choice: CorpusChoice, raw_store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Generate the synthetic corpus, or locate the licensed one (FileNotFoundError, ValueError: there is none).

    Returns:
        ``name``, ``layout``, ``root`` (folder), ``synthetic``, counts, and the ``recipe`` of a streamed corpus, which
        generates its scans; of a mixture, ``parts`` by name instead; the true action unit weights of every frame,
        without rows where they are not known.
    """
    if choice.parts:
        return _generate_mixture(choice, raw_store, engine)
    raw_corpus = {**_raw_corpus(choice, raw_store, engine), "name": choice.name}
    truth = Path(raw_corpus["root"]) / "actions.parquet"
    return raw_corpus, pd.read_parquet(truth) if truth.exists() else pd.DataFrame()


def _raw_corpus(choice: CorpusChoice, raw_store: ContentStore, engine: EngineOptions) -> dict[str, Any]:
    source = choice.source
    if choice.is_converted:
        return _convert(choice, raw_store, engine)
    if source.benchmark is not None:
        return _make_benchmark(source.benchmark, choice, raw_store, engine)
    if source.recipe is not None:
        from affect4d.synthetic.write_corpus import generate_corpus

        return generate_corpus(
            _located(source.recipe, choice), raw_store, engine, raw_files=choice.raw_files is not False
        )
    recordings = _recordings(choice)
    if recordings is not None:
        from affect4d.synthetic.live_link_source import write_recordings

        return write_recordings(recordings, raw_store, engine, raw_files=choice.raw_files is True)
    return _locate(choice)


def _recordings(choice: CorpusChoice) -> LiveLinkRecipe | None:
    recordings = choice.source.recordings
    return recordings and recordings.model_copy(update={"ict_folder": choice.source.ict_folder})


def _locate(choice: CorpusChoice) -> dict[str, Any]:
    """The folder of a licensed corpus; a FileNotFoundError says where to name it."""
    source = choice.source
    if source.root is None:
        raise FileNotFoundError(
            f"Corpus {choice.name!r} has no folder yet. Name it in conf/local/globals.yml, under "
            f"corpus_roots: {{{choice.name}: /path/to/{choice.name}}}, or run with a synthetic corpus."
        )
    check_folder(Path(source.root))  # before it is written down, and read from there by a run that is resumed
    return {
        "layout": choice.layout_used,
        "root": source.root,
        "pattern": source.pattern,
        "camera": source.camera,
        "synthetic": False,
    }


def _generate_mixture(
    choice: CorpusChoice, raw_store: ContentStore, engine: EngineOptions
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Generate or locate every part, once their classes agree; see :func:`generate_raw_corpus`."""
    from affect4d.synthetic.generated_scan_source import open_source

    open_source(_planned(choice)).table()
    made = {name: generate_raw_corpus(choice.part(name), raw_store, engine) for name in choice.parts}
    parts = {name: raw_corpus for name, (raw_corpus, _) in made.items()}
    known = [prefixed(name, truth) for name, (_, truth) in made.items() if len(truth)]
    raw_corpus = {
        "name": choice.name,
        "layout": MIXED_LAYOUT,
        "synthetic": all(part["synthetic"] for part in parts.values()),
        "parts": parts,
        "balanced": choice.balanced,
    }
    return raw_corpus, pd.concat(known, ignore_index=True) if known else pd.DataFrame()


def _planned(choice: CorpusChoice) -> dict[str, Any]:
    """The description of a corpus before any scan is generated: enough to list its scans."""
    if choice.parts:
        return {"parts": {name: _planned(choice.part(name)) for name in choice.parts}, "balanced": choice.balanced}
    recordings, recipe = _recordings(choice), _recipe(choice)
    if recordings is not None:
        return {"recordings": recordings.model_dump(mode="json")}
    return _locate(choice) if recipe is None else {"streamed": True, "recipe": recipe.model_dump(mode="json")}


def _convert(choice: CorpusChoice, raw_store: ContentStore, engine: EngineOptions) -> dict[str, Any]:
    from affect4d.synthetic.write_corpus import export_layout

    recipe = _recipe(choice)
    if recipe is None:
        raise ValueError(f"Corpus {choice.name!r} has neither a benchmark nor a recipe: there is nothing to convert.")
    return export_layout(recipe, choice.layout_used, raw_store, engine)


def _recipe(choice: CorpusChoice) -> CorpusRecipe | None:
    """The recipe of a synthetic corpus in this run; None for a licensed one."""
    from affect4d.synthetic.frozen_benchmarks import benchmark, changed

    source = choice.source
    if source.benchmark is not None:
        return _located(changed(benchmark(source.benchmark).recipe, source.changes), choice)
    return None if source.recipe is None else _located(source.recipe, choice)


def _make_benchmark(name: str, choice: CorpusChoice, raw_store: ContentStore, engine: EngineOptions) -> dict[str, Any]:
    """A benchmark's corpus, and whether it is the one that was frozen."""
    from affect4d.synthetic.frozen_benchmarks import benchmark, changed, explain, verify
    from affect4d.synthetic.scan_content_hash import CorpusHash
    from affect4d.synthetic.write_corpus import generate_corpus

    one = benchmark(name)
    recipe = _located(changed(one.recipe, choice.source.changes), choice)
    raw_files = one.raw_files if choice.raw_files is None else choice.raw_files
    made = generate_corpus(recipe, raw_store, engine, raw_files=raw_files, sample=one.sample)
    verdict = verify(one, recipe, CorpusHash.model_validate(made["fingerprint"]))
    LOGGER.log(logging.INFO if verdict == "equal" else logging.WARNING, explain(one, verdict))
    return {**made, "benchmark": {"name": one.name, "version": one.version, "verdict": verdict}}


def _located(recipe: CorpusRecipe, choice: CorpusChoice) -> CorpusRecipe:
    """The recipe with this run's number of subjects, and with the face model where it lies here."""
    changes = {"subjects": choice.subjects, "ict_folder": choice.source.ict_folder}
    return recipe.model_copy(update={name: value for name, value in changes.items() if value is not None})
