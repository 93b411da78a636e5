"""Options of a synthetic corpus: performances, expressive style, scanner, the whole recipe; or recorded motion."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from affect4d.store import content_key

EmotionTables = Literal["project", "published"]
FEWEST_SCANNED = 5
"""Frames in a take so that one of them falls into the apex, which lasts a fifth of the take or longer."""

NO_RECORDINGS = (
    "Name the folder of your recordings: --params corpus=livelink,livelink_folder=/recordings,ict_folder=/ICT-FaceKit, "
    "or as livelink_folder in conf/local/globals.yml."
)


class PerformanceOptions(BaseModel, frozen=True, extra="forbid"):
    """Performances of every subject, and their sampling in time."""

    macro: int = Field(default=1, ge=0, le=20, description="takes of each of the six posed expressions")
    micro: int = Field(default=0, ge=0, le=100, description="micro-expressions")
    neutral: int = Field(default=0, ge=0, le=100, description="takes of a neutral face")
    distractors: int = Field(default=0, ge=0, le=100, description="takes of talking, blinking, looking about")
    seconds: float = Field(default=4.0, gt=0.2, le=60.0, description="length of every take but the micro-expressions")
    fps: float = Field(default=25.0, ge=1.0, le=1000.0, description="the scanner's frames a second in those")
    frames: int | None = Field(default=12, ge=3, le=5000, description="frames kept of those, evenly spread; None: all")
    dropped: float = Field(default=0.0, ge=0.0, lt=0.9, description="chance that the scanner misses a frame")
    micro_seconds: float = Field(default=0.5, gt=0.1, le=2.0, description="length of a micro-expression's take")
    micro_fps: float = Field(default=60.0, ge=10.0, le=1000.0, description="frames a second in those; all are kept")
    micro_low: float = Field(default=0.1, ge=0.01, le=1.0, description="weakest micro-expression, as a share of full")
    micro_high: float = Field(default=0.3, ge=0.01, le=1.0, description="strongest micro-expression")
    micro_several: float = Field(default=0.2, ge=0.0, le=1.0, description="chance that one carries two labels")

    @model_validator(mode="after")
    def _an_apex_is_scanned(self) -> Self:
        if self.seconds * self.fps < FEWEST_SCANNED:
            raise ValueError(
                f"A take of {self.seconds:g} s at {self.fps:g} frames a second has no frame at its apex: raise seconds "
                f"or fps until they make {FEWEST_SCANNED} frames, and choose with frames how many are kept."
            )
        if self.micro_low > self.micro_high:
            raise ValueError(f"micro_low ({self.micro_low:g}) is above micro_high ({self.micro_high:g}): set both.")
        return self


class ActionUnitOptions(BaseModel, frozen=True, extra="forbid"):
    """Variation between subjects in showing one expression, and the distractor movements beside it."""

    intensity_low: float = Field(default=0.45, ge=0.05, le=1.0, description="weakest apex, as a share of full")
    intensity_high: float = Field(default=0.9, ge=0.05, le=1.2, description="strongest apex")
    action_drop: float = Field(default=0.3, ge=0.0, le=0.9, description="chance that a subject lacks a typical unit")
    action_extra: float = Field(default=0.26, ge=0.0, le=1.0, description="chance that it adds an occasional unit")
    gain_spread: float = Field(default=0.3, ge=0.0, le=1.0, description="log spread of a subject's strength of a unit")
    asymmetry: float = Field(default=0.35, ge=0.0, le=1.0, description="spread of left against right")
    distractors: float = Field(default=1.0, ge=0.0, le=3.0, description="strength of distractor movements")
    restless: float = Field(default=0.6, ge=0.0, le=1.0, description="share of takes with a first frame not neutral")
    unrest: float = Field(default=0.8, ge=0.0, le=2.0, description="how far from neutral that frame is")

    @model_validator(mode="after")
    def _weakest_is_below_strongest(self) -> Self:
        if self.intensity_low > self.intensity_high:
            raise ValueError(
                f"intensity_low ({self.intensity_low:g}) is above intensity_high ({self.intensity_high:g}): set both."
            )
        return self


class ScannerOptions(BaseModel, frozen=True, extra="forbid"):
    """Imperfections of the scanner, the landmark tracker and the lighting."""

    noise_mm: float = Field(default=0.2, ge=0.0, le=5.0, description="root mean square of the surface noise")
    noise_spread: float = Field(default=0.3, ge=0.0, le=1.0, description="log spread of that between takes")
    noise_length_mm: float = Field(default=7.0, ge=1.0, le=100.0, description="correlation length of the noise")
    landmark_error_mm: float = Field(default=1.4, ge=0.0, le=10.0, description="mean distance from the true position")
    landmark_bias: float = Field(
        default=0.5, ge=0.0, le=1.0, description="share of that (squared) constant over a take"
    )
    landmark_own: float = Field(default=0.25, ge=0.0, le=1.0, description="share of it independent by frame")
    landmark_length_mm: float = Field(default=45.0, ge=1.0, le=500.0, description="correlation length of the rest")
    residue_deg: float = Field(default=0.0, ge=0.0, le=20.0, description="residual misalignment: turn about each axis")
    residue_mm: float = Field(default=0.0, ge=0.0, le=20.0, description="residual misalignment: shift along each axis")
    pose_jitter_deg: float = Field(default=5.0, ge=0.0, le=45.0, description="spread of the head's turn between takes")
    pose_jitter_mm: float = Field(default=8.0, ge=0.0, le=200.0, description="spread of its position between takes")
    pose_drift_deg: float = Field(default=2.0, ge=0.0, le=20.0, description="spread of the turn within a take")
    pose_drift_mm: float = Field(default=1.5, ge=0.0, le=50.0, description="spread of the position within a take")
    lamps: int = Field(default=3, ge=1, le=8, description="most lamps in the room")
    light_strength: float = Field(default=0.7, ge=0.0, le=1.0, description="greatest share of directed light")
    light_colour: float = Field(default=0.06, ge=0.0, le=0.5, description="spread of a lamp's colour about white")
    light_drift: float = Field(default=0.12, ge=0.0, le=1.0, description="change of the light within a take")
    holes: float = Field(default=0.8, ge=0.0, le=20.0, description="mean number of holes in a scan")
    spikes: float = Field(default=0.5, ge=0.0, le=100.0, description="mean number of spikes in a scan")
    fringe: float = Field(default=0.2, ge=0.0, le=1.0, description="share of takes with hair over the forehead")

    @model_validator(mode="after")
    def _shares_of_an_error_are_one_at_most(self) -> Self:
        if self.landmark_bias + self.landmark_own > 1.0:
            raise ValueError(
                f"landmark_bias ({self.landmark_bias:g}) and landmark_own ({self.landmark_own:g}) are shares of one "
                "error: together at most 1."
            )
        return self


class VarietyOptions(BaseModel, frozen=True, extra="forbid"):
    """Variation of subjects and scanners beyond one face model, one emotion table and one scanner; off by default."""

    tables: EmotionTables = Field(
        default="project", description="units of an emotion: this project's, or of a published source, one a subject"
    )
    shape: float = Field(
        default=0.0, ge=0.0, le=1.0, description="non-rigid change of the neutral shape; 1: 3 mm RMS an axis"
    )
    expression: float = Field(
        default=0.0, ge=0.0, le=1.0, description="re-mixed expression basis: own amplitude and direction by region"
    )
    worn: float = Field(default=0.0, ge=0.0, le=1.0, description="chance of each of hair, beard, glasses as geometry")
    whole_head: float = Field(default=0.0, ge=0.0, le=1.0, description="share of takes with skull, ears and neck")
    mesh: float = Field(default=0.0, ge=0.0, le=1.0, description="crop, density, topology, eyes and teeth of the takes")
    texture: float = Field(default=0.0, ge=0.0, le=1.0, description="share of takes with poor, grey or no texture")
    noise: float = Field(default=0.0, ge=0.0, le=1.0, description="further white noise; 1: up to 0.6 mm RMS, by take")

    @property
    def changes_geometry(self) -> bool:
        """Whether any option but the emotion tables is on."""
        return self != VarietyOptions(tables=self.tables)


class CorpusRecipe(BaseModel, frozen=True, extra="forbid"):
    """A synthetic corpus; equal recipes give equal scans, fewer subjects the beginning of a corpus of more."""

    face: Literal["procedural", "ict_facekit"] = Field(
        default="procedural", description="which parametric face; ict_facekit needs ict_folder"
    )
    ict_folder: str | None = Field(default=None, description="a clone of ICT-FaceKit; its path changes nothing")
    subjects: int = Field(default=48, ge=1, le=10_000, description="how many subjects, women and men in turn")
    seed: int = Field(default=4, ge=0, description="of all draws")
    identity_spread: float = Field(default=0.8, ge=0.0, le=2.0, description="of identities; 1: that of the model's own")
    identity_modes: int | None = Field(default=None, ge=1, le=1000, description="identity modes that vary; None: all")
    size_spread: float = Field(default=0.0, ge=0.0, le=0.3, description="log spread of the subjects' head size")
    performances: PerformanceOptions = PerformanceOptions()
    actions: ActionUnitOptions = ActionUnitOptions()
    sensor: ScannerOptions = ScannerOptions()
    variety: VarietyOptions = VarietyOptions()
    test_share: float = Field(default=0.375, gt=0.0, lt=1.0, description="share of the subjects kept for the test")
    folds: int = Field(default=10, ge=2, le=100, description="folds of the cross-validation")

    def describe(self) -> dict[str, Any]:
        """The recipe as plain values, without the path of the face model and without variety that is off.

        Recipes from before there was variety keep their digests.
        """
        off = {"variety"} if self.variety == VarietyOptions() else set()
        return self.model_dump(mode="json", exclude={"ict_folder", *off})

    @property
    def digest(self) -> str:
        """Digest of every value that is not a path, defaults included."""
        return content_key(**self.describe())


class LiveLinkRecipe(BaseModel, frozen=True, extra="forbid"):
    """Recordings of the Live Link Face app, and how they become sequences of scans."""

    folder: str | None = Field(default=None, description="of the recordings, CSV files; its path changes nothing")
    ict_folder: str | None = Field(default=None, description="a clone of ICT-FaceKit; its path changes nothing")
    pattern: str | None = Field(default=None, description="of the recordings' paths: {subject}/{expression}_{clip}.csv")
    fps: float = Field(default=10.0, ge=1.0, le=60.0, description="frames a second, interpolated between rows")
    clip_seconds: float = Field(default=10.0, ge=0.5, le=600.0, description="longer recordings are cut to about that")
    seed: int = Field(default=4, ge=0, description="of identities, light and scanner")
    sensor: ScannerOptions = ScannerOptions()
    files: str | None = Field(default=None, description="digest of the recordings; filled in by a run")

    @property
    def faces(self) -> CorpusRecipe:
        """Recipe of the faces that the motion is played on."""
        return CorpusRecipe(face="ict_facekit", ict_folder=self.ict_folder, seed=self.seed, sensor=self.sensor)

    @property
    def root(self) -> Path:
        """The folder, or a FileNotFoundError that names the setting."""
        if self.folder is None or not Path(self.folder).expanduser().is_dir():
            raise FileNotFoundError(f"There is no folder of recordings {self.folder or ''}: {NO_RECORDINGS}")
        return Path(self.folder).expanduser()
