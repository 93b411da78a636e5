"""From a scan's own coordinates to the canonical face: unit, orientation, pose, crop, mesh repair.

The canonical frame is that of a mean face whose nose tip is the origin: millimetres, +x to the subject's left, +y up,
+z out of the face. Poses are rigid; they scale only where a scan is measured in another unit.
"""

from affect4d.scans.alignment.align import TRUSTED, Alignment, align, canonical_face
from affect4d.scans.alignment.repair import RepairedScan, repair
from affect4d.scans.alignment.take_alignment import TakeAligner

__all__ = ["TRUSTED", "Alignment", "RepairedScan", "TakeAligner", "align", "canonical_face", "repair"]
