"""The scan on its way to the graphics card: a mesh whose arrays are exchanged in place, and what is drawn of it.

The two small programs below replace VTK's own: no light, no colour space, no blending that a pixel would not be a
measurement after. Everything asked for is written in one pass, one output a picture.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkTexture

from affect4d.arrays import Faces, Texture, TextureCoordinates, Vertices
from affect4d.rendering.drawing import MISSING_TEXTURE, shrink_texture

VERTEX_PROGRAM = """\
//VTK::System::Dec
in vec4 vertexMC;
in vec2 tcoord;
in vec3 normalMC;
out vec2 place;
out vec3 normal;
uniform mat4 MCDCMatrix;

void main()
{
  place = tcoord;
  normal = normalMC;
  gl_Position = MCDCMatrix * vertexMC;
}
"""

FRAGMENT_PROGRAM = """\
//VTK::System::Dec
//VTK::Output::Dec
in vec2 place;
in vec3 normal;
uniform sampler2D actortexture;

void main()
{
%s
}
"""

OUTPUTS = {
    "texture": "vec4(textureLod(actortexture, place, 0.0).rgb, 1.0)",
    "normals": "vec4((127.0 * normal / max(length(normal), 1e-6) + 128.0) / 255.0, 1.0)",
    "nothing": "vec4(1.0)",
}


class Surface:
    """One mesh, drawn with the same programs from every side; its arrays are borrowed from numpy, and held.

    Args:
        outputs: What the fragment program writes, output after output: names of ``OUTPUTS``.
    """

    def __init__(self, outputs: Sequence[str]) -> None:
        self.actor, self._mesh, self._texture = vtkActor(), vtkPolyData(), vtkTexture()
        self._held: dict[str, np.ndarray] = {}
        self._mesh.SetPoints(vtkPoints())
        mapper = vtkPolyDataMapper()
        mapper.SetInputData(self._mesh)
        self.actor.SetMapper(mapper)
        self.actor.SetUseBounds(False)  # nothing is culled, and no camera is placed by them
        programs = self.actor.GetShaderProperty()
        programs.SetVertexShaderCode(VERTEX_PROGRAM)
        lines = [f"  gl_FragData[{place}] = {OUTPUTS[output]};" for place, output in enumerate(outputs)]
        programs.SetFragmentShaderCode(FRAGMENT_PROGRAM % "\n".join(lines))
        self._texture.InterpolateOn()
        self._texture.RepeatOff()

    def set_mesh(self, vertices: Vertices, faces: Faces) -> None:
        """Exchange points and triangles."""
        self._mesh.GetPoints().SetData(numpy_to_vtk(self._hold("points", vertices, np.float32)))
        held = self._held.get("faces")
        if held is None or not np.array_equal(held, faces):
            cells = vtkCellArray()
            cells.SetData(3, numpy_to_vtk(self._hold("faces", faces.copy(), np.int32).ravel()))
            self._mesh.SetPolys(cells)
        self._mesh.Modified()

    def set_normals(self, normals: Vertices) -> None:
        """Exchange the normal of every vertex."""
        self._mesh.GetPointData().SetNormals(numpy_to_vtk(self._hold("normals", normals, np.float32)))

    def set_texture(self, texture: Texture | None, coordinates: TextureCoordinates | None, side: int) -> None:
        """Exchange the picture and where in it every vertex is; mid grey where either is missing.

        Args:
            texture: Of any size; it is averaged down first.
            coordinates: One a vertex.
            side: Texels that suffice along the shorter side.
        """
        if texture is None or coordinates is None:
            texture = np.full((1, 1, 3), MISSING_TEXTURE, np.uint8)
            coordinates = np.zeros((self._mesh.GetNumberOfPoints(), 2), np.float32)
        self._texture.SetInputData(_image(shrink_texture(texture, side)))
        self.actor.SetTexture(self._texture)
        self._mesh.GetPointData().SetTCoords(numpy_to_vtk(self._hold("coordinates", coordinates, np.float32)))

    def _hold(self, name: str, array: np.ndarray, kind: type) -> np.ndarray:
        """The array as VTK may read it, kept alive until the next one comes."""
        self._held[name] = np.ascontiguousarray(array, kind)
        return self._held[name]


def _image(texels: UInt8[np.ndarray, "rows columns 3"]) -> vtkImageData:
    """A picture as VTK's texture: its first row is the lowest one."""
    height, width = texels.shape[:2]
    image = vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(texels[::-1].reshape(-1, 3), deep=True))
    return image
