"""Everything a synthetic corpus depends on."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from affect4d.faces.actions import ActionOptions
from affect4d.faces.sensor import SensorOptions


class CorpusRecipe(BaseModel):
    """A synthetic corpus; two equal recipes give the same files, byte for byte.

    Attributes:
        face: Which parametric face; ``ict_facekit`` needs ``ict_folder``.
        ict_folder: A clone of ICT-FaceKit.
        subjects: How many people; each shows all six expressions once.
        frames: Length of every sequence.
        seed: Of all draws.
        identity_spread: Spread of identities; 1 is the model's own population.
        actions: How people differ in showing expressions.
        sensor: How imperfect the scanner is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    face: Literal["procedural", "ict_facekit"] = "procedural"
    ict_folder: str | None = None
    subjects: int = Field(default=48, ge=1, le=999)
    frames: int = Field(default=12, ge=3, le=500)
    seed: int = Field(default=4, ge=0)
    identity_spread: float = Field(default=0.8, ge=0.0, le=2.0)
    actions: ActionOptions = ActionOptions()
    sensor: SensorOptions = SensorOptions()
