"""Everything a synthetic corpus depends on."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from affect4d.store import content_key
from affect4d.synthetic.performance import PerformanceOptions
from affect4d.synthetic.sensor import SensorOptions
from affect4d.synthetic.style import ActionOptions


class CorpusRecipe(BaseModel):
    """A synthetic corpus; two equal recipes give the same scans, number for number.

    People and takes are drawn one by one from the seed: a corpus of fewer subjects is the beginning of one of more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    face: Literal["procedural", "ict_facekit"] = Field(
        default="procedural", description="which parametric face; ict_facekit needs ict_folder"
    )
    ict_folder: str | None = Field(default=None, description="a clone of ICT-FaceKit; where it lies changes nothing")
    subjects: int = Field(default=48, ge=1, le=10_000, description="how many people, women and men in turn")
    seed: int = Field(default=4, ge=0, description="of all draws")
    identity_spread: float = Field(
        default=0.8, ge=0.0, le=2.0, description="spread of identities; 1 is the model's own population"
    )
    identity_modes: int | None = Field(
        default=None, ge=1, le=1000, description="how many of the model's identity modes vary; None: all it has"
    )
    size_spread: float = Field(default=0.0, ge=0.0, le=0.3, description="log spread of people's head size")
    performances: PerformanceOptions = Field(
        default=PerformanceOptions(), description="what every subject performs, and how often it is scanned"
    )
    actions: ActionOptions = Field(default=ActionOptions(), description="how people differ in showing expressions")
    sensor: SensorOptions = Field(default=SensorOptions(), description="how imperfect the scanner is")
    test_share: float = Field(default=0.375, gt=0.0, lt=1.0, description="share of the subjects kept for the test")
    folds: int = Field(default=10, ge=2, le=100, description="folds of the cross-validation")

    def describe(self) -> dict[str, Any]:
        """The recipe as plain values, without where the face model lies."""
        return self.model_dump(mode="json", exclude={"ict_folder"})

    @property
    def digest(self) -> str:
        """Digest of every value that is not a place on a disk, defaults included."""
        return content_key(**self.describe())
