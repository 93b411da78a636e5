"""The hash of a synthetic corpus, by which two machines compare what they generated.

One hash means the same labels, geometry to 0.01 mm and textures to the last bit in each scan covered. Another processor
or numpy may round one number in a million the other way, for another hash of a corpus that no experiment could tell
apart; the mean figures beside the hash show it.
"""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from affect4d.scans.scan import FaceScan
from affect4d.store import content_key

STEPS_PER_MM, STEPS_PER_UV = 100.0, 10_000.0
FIGURE_TOLERANCE = 0.02
"""Greatest difference of the mean figures of one corpus between machines: mm, and grey levels of 255."""


@dataclass(frozen=True, slots=True)
class ScanSums:
    """Digest, number and sums of some scans."""

    name: str
    digest: str
    scans: int
    middle: tuple[float, ...]  # sum over the scans of the mean vertex, mm
    colour: tuple[float, ...]  # sum over the scans of the mean colour, 0…255


class CorpusHash(BaseModel, frozen=True, extra="forbid"):
    """Hash and mean figures of a corpus."""

    hash: str = Field(description="digest over sequences, frames, subjects, labels, geometry and textures")
    scans: int = Field(description="how many scans the hash covers")
    middle: tuple[float, ...] = Field(description="mean vertex of those, mm")
    colour: tuple[float, ...] = Field(description="mean colour of those, 0…255")
    machine: str = Field(description="system, processor family and library versions of the machine")

    @classmethod
    def of(cls, sums: Sequence[ScanSums], subjects: pd.DataFrame) -> Self:
        """The hash of a corpus, from the sums of its sequences in any order."""
        ordered = sorted(sums, key=lambda one: one.name)
        count = sum(one.scans for one in ordered)
        digests = {one.name: one.digest for one in ordered}
        return cls(
            hash=content_key(sequences=digests, subjects=subjects.to_dict("records")),
            scans=count,
            middle=_mean([one.middle for one in ordered], count),
            colour=_mean([one.colour for one in ordered], count),
            machine=machine_type(),
        )

    def looks_like(self, other: "CorpusHash") -> bool:
        """True where the mean figures agree, whatever the hashes are."""
        ours, theirs = np.array([*self.middle, *self.colour]), np.array([*other.middle, *other.colour])
        return self.scans == other.scans and bool(np.abs(ours - theirs).max() <= FIGURE_TOLERANCE)


def sum_scan(name: str, scan: FaceScan) -> ScanSums:
    """Digest and means of one scan; geometry is rounded, so that noise far below a scanner's own does not count."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(_steps(scan.vertices, STEPS_PER_MM) + np.ascontiguousarray(scan.faces).tobytes())
    for values, steps in ((scan.texture_coordinates, STEPS_PER_UV), (scan.landmarks, STEPS_PER_MM)):
        digest.update(b"\0" if values is None else _steps(values, steps))
    colour: tuple[float, ...] = (0.0, 0.0, 0.0)
    if scan.texture is not None:
        digest.update(np.ascontiguousarray(scan.texture).tobytes())
        colour = tuple(float(value) for value in scan.texture.mean(axis=(0, 1)))
    middle = tuple(float(value) for value in scan.vertices.mean(axis=0, dtype=np.float64))
    return ScanSums(name, digest.hexdigest(), 1, middle, colour)


def join_sums(labels: Mapping[str, Any], sums: Sequence[ScanSums]) -> ScanSums:
    """The sums of a sequence, from its name and labels and from its scans in order."""
    digest = content_key(named=dict(labels), scans=[[one.name, one.digest] for one in sums])
    totals = [tuple(np.sum([getattr(one, part) for one in sums], axis=0).tolist()) for part in ("middle", "colour")]
    return ScanSums(str(labels["sequence"]), digest, len(sums), totals[0], totals[1])


def machine_type() -> str:
    """Everything that floating-point results may depend on: ``"Linux x86_64 · numpy 2.4 · X86_V4"``."""
    features = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    newest = features[-1] if features else "baseline"
    version = ".".join(np.__version__.split(".")[:2])
    return f"{platform.system()} {platform.machine()} · numpy {version} · {newest}"


def _mean(totals: Sequence[tuple[float, ...]], count: int) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in np.sum(totals, axis=0) / max(count, 1))


def _steps(values: np.ndarray, steps: float) -> bytes:
    return np.rint(np.asarray(values, np.float64) * steps).astype(np.int32).tobytes()
