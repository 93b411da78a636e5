"""A face scan as plain, checked arrays, and the one error a reader may raise."""

from dataclasses import dataclass, field
from pathlib import Path

from affect4d.arrays import Faces, Landmarks, Texture, TextureCoordinates, Vertices


@dataclass(frozen=True, slots=True)
class FaceScan:
    """One scan of one face in one frame: a textured triangle mesh.

    Attributes:
        vertices: Millimetres; +x the subject's left, +y up, +z towards the camera.
        faces: Indices into ``vertices``, each 0 ≤ index < number of vertices.
        texture_coordinates: One (u, v) a vertex, v up; None where the file has none.
        texture: RGB picture; None where it is missing.
        landmarks: The 83 landmarks of :mod:`affect4d.scans.landmarks`, in the same frame; None where there are none.
        repairs: Benign defects that were mended while reading, in words.
        texture_size: Width and height of the picture's file, where it was read smaller; None where it is ``texture``'s.
        texture_file: Where the picture was read from; None where it was not read from a corpus folder.
    """

    vertices: Vertices
    faces: Faces
    texture_coordinates: TextureCoordinates | None = None
    texture: Texture | None = None
    landmarks: Landmarks | None = None
    repairs: tuple[str, ...] = field(default=())
    texture_size: tuple[int, int] | None = None
    texture_file: Path | None = None


class ScanError(ValueError):
    """A file that is not a usable scan; names the file, the place in it, and what is wrong.

    Attributes:
        code: Short, stable word for the kind of defect, e.g. ``"truncated"``, ``"index-out-of-range"``.
        path: The file.
        where: Line or byte, e.g. ``"line 12"``; empty where it concerns the whole file.
    """

    def __init__(self, code: str, path: Path, detail: str, where: str = "") -> None:
        self.code, self.path, self.detail, self.where = code, path, detail, where
        place = f"{path} ({where})" if where else str(path)
        super().__init__(f"{place}: {detail} [{code}]")

    def __reduce__(self) -> tuple[type["ScanError"], tuple[str, Path, str, str]]:
        """Travel between processes whole."""
        return type(self), (self.code, self.path, self.detail, self.where)
