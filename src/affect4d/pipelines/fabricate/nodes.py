"""Raw scans: fabricated where the corpus is synthetic, found where it is a licensed one on disk."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from affect4d.content import ContentStore
from affect4d.faces.recipe import CorpusRecipe


class CorpusSource(BaseModel):
    """Where one corpus comes from: a recipe to fabricate it by, or a folder that holds it.

    Attributes:
        layout: Folder conventions, a name in ``affect4d.scans.corpora.CORPORA``.
        recipe: How to fabricate it; None for a corpus that exists on disk.
        root: Folder of a corpus on disk.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: str
    recipe: CorpusRecipe | None = None
    root: str | None = None


class CorpusChoice(BaseModel):
    """The corpus of this run, by name, among the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    known: dict[str, CorpusSource] = Field(min_length=1)

    @model_validator(mode="after")
    def _name_is_known(self) -> Self:
        if self.name not in self.known:
            raise ValueError(
                f"No corpus is called {self.name!r}; known corpora: {', '.join(sorted(self.known))}. "
                "Choose one with --params corpus=NAME, or describe yours under raw_corpus.known in conf/local."
            )
        return self

    @property
    def source(self) -> CorpusSource:
        """The chosen one."""
        return self.known[self.name]


def fabricate_raw_corpus(choice: CorpusChoice, raw_store: ContentStore) -> dict[str, Any]:
    """Make the synthetic corpus on disk, or find the licensed one; say where it is.

    Returns:
        ``name``, ``layout``, ``root`` (folder), ``synthetic``, and what the fabrication counted.

    Raises:
        FileNotFoundError: If a licensed corpus has no folder in the configuration.
    """
    source = choice.source
    if source.recipe is not None:
        from affect4d.faces.corpus import fabricate_corpus

        receipt = fabricate_corpus(source.recipe, raw_store)
        return {**receipt, "name": choice.name, "layout": source.layout, "synthetic": True}
    if source.root is None:
        raise FileNotFoundError(
            f"Corpus {choice.name!r} has no folder yet. Name it in conf/local/globals.yml, under "
            f"corpus_roots: {{{choice.name}: /path/to/{choice.name}}}, or run with the synthetic corpus."
        )
    return {"name": choice.name, "layout": source.layout, "root": source.root, "synthetic": False}
