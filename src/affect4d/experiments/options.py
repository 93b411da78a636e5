"""What a study may be told; free of torch, so that reading the parameters of a run need not load it."""

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _split(value: object) -> object:
    """``a+b`` as the command line has it, where a comma begins another parameter; and one number alone."""
    if isinstance(value, str):
        return tuple(value.split("+")) if value else ()
    return (value,) if isinstance(value, int) else value


class StudyOptions(BaseModel):
    """Which study, how often, on whom.

    Attributes:
        name: Of :data:`affect4d.experiments.arms.STUDIES`.
        seeds: One training of every arm a seed. In text, joined by ``+``, as are the arms.
        arms: Arms to run beside the first; empty means all.
        redraw: Draw other test subjects for every seed, so that in the end more people have been tested on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seeds: Annotated[tuple[int, ...], BeforeValidator(_split)] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    arms: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    redraw: bool = True

    @model_validator(mode="after")
    def _arms_are_known(self) -> Self:
        """Before a corpus is made and drawn for an arm that is misspelt."""
        if self.arms:
            from affect4d.experiments.arms import study_named

            study_named(self.name, self.arms)
        return self


class OpenedFolders(BaseModel):
    """What the names of the catalog's folders were made from.

    Attributes:
        protocol: In whose folder everything is written.
        trained_on: The other corpus that was opened; None where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    trained_on: str | None = None


class CrossValidationOptions(BaseModel):
    """Whom to train on and test, by which protocol, with which methods.

    Attributes:
        protocol: Name of one of the corpus's own protocols, or of any corpus: ``10-fold`` (any number),
            ``leave-one-subject-out``, ``5-draws``, ``cross-dataset``; see :mod:`affect4d.scans.protocols`.
        methods: Of :data:`affect4d.experiments.contenders.CONTENDERS`; in text, joined by ``+``.
        seed: Of the folds and of every training.
        rounds: How often the whole is repeated on other draws.
        validation: Share of each fold's training subjects on whom nothing is fitted but a temperature; 0 for none.
        trained_on: The other corpus, where the protocol is ``cross-dataset``.
        opened: What the catalog has opened; None where nobody tells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str = "10-fold"
    methods: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        default=("affect_vlm", "smile_vlm", "cross_entropy", "landmark_logistic", "pseudo_labels"), min_length=1
    )
    seed: int = Field(default=0, ge=0)
    rounds: int = Field(default=1, ge=1, le=1000)
    validation: float = Field(default=0.1, ge=0, le=0.5)
    trained_on: str | None = None
    opened: OpenedFolders | None = None

    @model_validator(mode="after")
    def _protocol_is_somebodys(self) -> Self:
        """Before a corpus is read for a protocol that is misspelt; which corpus's it is, is asked when one is read."""
        from affect4d.scans.protocols import GENERAL, PROTOCOLS, general_protocol

        named = {one.name for one in PROTOCOLS}
        if self.protocol not in named and general_protocol(self.protocol) is None:
            raise ValueError(
                f"There is no protocol {self.protocol!r}; every corpus has {', '.join(GENERAL)} (any number) and "
                f"cross-dataset, and some have their own: {', '.join(sorted(named))}."
            )
        return self

    def check_opened(self) -> None:
        """Refuse what was asked for past the catalog, whose folders are another corpus's or another protocol's.

        Raises:
            ValueError: If the catalog has opened something else; the message says what to write.
        """
        for name in ("trained_on", "protocol") if self.opened is not None else ():
            asked, opened = getattr(self, name), getattr(self.opened, name)
            if asked != opened:
                raise ValueError(
                    f"{name} is {asked}, but the catalog has opened the folders of {opened or 'no other corpus'}: "
                    f"write --params {name}=NAME, not cross_validation.{name}."
                )


class RobustnessOptions(BaseModel):
    """How much is damaged.

    Attributes:
        people: Test people who are asked about.
        seed: Draws them.
        damages: Of :data:`affect4d.evaluation.corruptions.CORRUPTIONS`; empty means all. In text, joined by ``+``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: int = Field(default=4, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)
    damages: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
