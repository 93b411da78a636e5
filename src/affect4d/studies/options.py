"""What a study may be told; free of torch, so that reading the parameters of a run need not load it."""

from pydantic import BaseModel, ConfigDict, Field


class StudyOptions(BaseModel):
    """Which study, how often, on whom.

    Attributes:
        name: Of :data:`affect4d.studies.arms.STUDIES`.
        seeds: One training of every arm a seed.
        arms: Arms to run beside the first; empty means all.
        redraw: Draw other test subjects for every seed, so that in the end more people have been tested on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seeds: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    arms: tuple[str, ...] = ()
    redraw: bool = True
