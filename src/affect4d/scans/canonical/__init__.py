"""From a scan's own coordinates to the canonical face: unit, orientation, pose, crop, mending.

The canonical frame is that of a mean face whose nose tip is the origin: millimetres, +x to the subject's left, +y up,
+z out of the face. Poses are rigid; they scale only where a scan is measured in another unit.
"""

from affect4d.arrays import Pose
from affect4d.scans.canonical.alignment import TRUSTED, Alignment, align
from affect4d.scans.canonical.mending import Mended, mend
from affect4d.scans.geometry import crop, transform, turn_outward
from affect4d.scans.scan import FaceScan

__all__ = ["TRUSTED", "Alignment", "Mended", "align", "canonical_face", "mend"]


def canonical_face(scan: FaceScan, pose: Pose, crop_radius: float) -> Mended:
    """The face in a raw scan: moved by its pose, cropped, its triangles turned outward, mended.

    A function of its arguments alone: whoever reads the scan again gets the same face.

    Args:
        scan: In its own coordinates.
        pose: Raw coordinates to canonical ones.
        crop_radius: What is kept around the nose tip, mm.

    Raises:
        ValueError: If nothing is left after the crop.
    """
    return mend(turn_outward(crop(transform(scan, pose), crop_radius)))
