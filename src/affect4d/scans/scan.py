"""A face scan as plain, checked arrays, its form as a pyvista mesh, and the one error a reader may raise."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affect4d.array_types import Faces, Landmarks, Texture, TextureCoordinates, Vertices

if TYPE_CHECKING:
    import pyvista

LANDMARK_FIELD = "landmarks"  # name of the field data that holds the landmarks of a pyvista mesh
_PYVISTA = Path("pyvista mesh")


@dataclass(frozen=True, slots=True)
class FaceScan:
    """One scan of a face: a textured triangle mesh in mm; +x is the subject's left, +y up, +z towards the camera."""

    vertices: Vertices
    faces: Faces
    texture_coordinates: TextureCoordinates | None = None  # one (u, v) a vertex, v up; None where the file has none
    texture: Texture | None = None
    landmarks: Landmarks | None = None  # the 83 of :mod:`affect4d.scans.landmark_names`, in the same frame
    repairs: tuple[str, ...] = ()
    texture_size: tuple[int, int] | None = None  # of the image file, of which ``texture`` may be a reduced form
    texture_file: Path | None = None  # None where the texture was not read from one

    def to_pyvista(self) -> "pyvista.PolyData":
        """A copy as a mesh with active texture coordinates; the landmarks are the field data ``landmarks``."""
        import pyvista  # VTK takes seconds to load

        mesh: pyvista.PolyData = pyvista.PolyData.from_regular_faces(self.vertices.copy(), self.faces.copy())
        if self.texture_coordinates is not None:
            mesh.active_texture_coordinates = self.texture_coordinates.copy()
        if self.landmarks is not None:
            mesh.field_data[LANDMARK_FIELD] = self.landmarks.copy()
        return mesh

    def pyvista_texture(self) -> "pyvista.Texture | None":
        """The texture for ``plotter.add_mesh(scan.to_pyvista(), texture=…)``; None where there is none."""
        import pyvista

        return None if self.texture is None else pyvista.Texture(self.texture)

    @classmethod
    def from_pyvista(
        cls, mesh: "pyvista.PolyData", texture: "pyvista.Texture | np.ndarray | None" = None
    ) -> "FaceScan":
        """A scan from a triangulated mesh in millimetres and its 8-bit image, checked as files are.

        The mesh's active texture coordinates and the field data ``landmarks`` [83, 3] are used, where it has them.

        Raises:
            ScanError: If it is not made of triangles alone, an index is out of range, or a number is not finite.
        """
        from affect4d.scans.readers.mesh_checks_and_textures import assemble_mesh

        if not getattr(mesh, "is_all_triangles", False) or mesh.n_cells != len(mesh.regular_faces):
            detail = "it is not made of triangles alone: call extract_surface() and triangulate()"
            raise ScanError("not-triangles", _PYVISTA, detail)
        corners, coordinates = np.asarray(mesh.regular_faces), mesh.active_texture_coordinates
        if corners.min() < 0 or corners.max() >= mesh.n_points:
            raise ScanError("index-out-of-range", _PYVISTA, f"a face index is outside 0 to {mesh.n_points - 1}")
        with np.errstate(over="ignore"):
            points = np.array(mesh.points, np.float32)
            pairs = None if coordinates is None else np.array(coordinates[:, :2], np.float32)
        checked = assemble_mesh(_PYVISTA, points, corners.astype(np.int32), pairs)
        image = None if texture is None else _rgb(texture)
        marks = mesh.field_data.get(LANDMARK_FIELD, None)
        landmarks = None if marks is None else _landmarks(np.array(marks, np.float32))
        return cls(checked.vertices, checked.faces, checked.texture_coordinates, image, landmarks)


def _rgb(texture: "pyvista.Texture | np.ndarray") -> Texture:
    image = np.asarray(texture if isinstance(texture, np.ndarray) else texture.to_array())
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ScanError("wrong-texture", _PYVISTA, f"the texture is {image.dtype} {image.shape}, not 8-bit RGB or RGBA")
    return np.ascontiguousarray(image[..., :3])


def _landmarks(points: np.ndarray) -> Landmarks:
    if points.shape != (83, 3):
        raise ScanError("wrong-count", _PYVISTA, f"landmarks of shape {points.shape}, expected (83, 3)")
    return points


class ScanError(ValueError):
    """A file that is not a usable scan; names the file, the place in it, and the defect.

    ``code`` is a short, stable word for the kind of defect, e.g. ``"truncated"``; ``where`` is a line or byte, e.g.
    ``"line 12"``, and empty where the defect concerns the whole file.
    """

    def __init__(self, code: str, path: Path, detail: str, where: str = "") -> None:
        self.code, self.path, self.detail, self.where = code, path, detail, where
        place = f"{path} ({where})" if where else str(path)
        super().__init__(f"{place}: {detail} [{code}]")

    def __reduce__(self) -> tuple[type["ScanError"], tuple[str, Path, str, str]]:
        return type(self), (self.code, self.path, self.detail, self.where)
