"""Writers of small synthetic scans: a bumpy grid with a nose, no person's face."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import distance_transform_edt

from affect4d.scans.alignment.mean_face import MEAN_LANDMARKS, fine_depths
from affect4d.scans.geometry import apply_pose
from affect4d.scans.readers import read_scan
from affect4d.scans.readers.landmark_files import BOSPHORUS_LABELS
from affect4d.scans.scan import FaceScan, ScanError

MARKS = MEAN_LANDMARKS + np.float32(0.5)
"""Landmarks of the grid; not the template itself, whose nose tip at 0 0 0 reads as untracked."""


def bumpy_grid(size: int = 24) -> FaceScan:
    """A dome of ±90 mm with a nose at the origin, triangles counter-clockwise seen from +z."""
    axis = np.linspace(-90, 90, size)
    x, y = np.meshgrid(axis, axis)
    z = -(x**2 + y**2) / 160 - 18 + 18 * np.exp(-(x**2 + 0.6 * y**2) / 250)
    z -= 8 * np.exp(-((abs(x) - 32) ** 2 + (y - 36) ** 2) / 150)  # two eyes
    z += 6 * np.exp(-(x**2 / 300 + (y + 38) ** 2 / 60))  # a mouth
    return _grid(x, y, z)


def synthetic_face(number: int = 1) -> FaceScan:
    """A generated neutral face without texture and landmarks, upright, nose tip near the origin."""
    from affect4d.scans.alignment.align import fit_landmarks
    from affect4d.synthetic.action_units import ACTION_UNITS
    from affect4d.synthetic.procedural_face import ProceduralFace

    model, rng = ProceduralFace(), np.random.default_rng([71, number])
    surface = model.surface(0.8 * rng.normal(size=model.shape_count), np.zeros(len(ACTION_UNITS)), number)
    return FaceScan(apply_pose(surface.vertices, fit_landmarks(surface.landmarks).pose), surface.faces)


def mean_face(size: int = 32) -> FaceScan:
    """The mean face, on which its landmarks lie; ±90 mm, where there is no face as deep as at its edge."""
    depths, columns, rows = fine_depths()
    face = np.isfinite(depths)
    filled = depths[tuple(distance_transform_edt(~face, return_indices=True)[1])]
    x, y = np.meshgrid(np.linspace(-90, 90, size), np.linspace(-90, 90, size))
    there = np.stack([y.clip(rows[0], rows[-1]), x.clip(columns[0], columns[-1])], axis=-1)
    return _grid(x, y, RegularGridInterpolator((rows, columns), filled)(there) + 0.5)


def _grid(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> FaceScan:
    size = len(x)
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32)
    index = np.arange(size * size, dtype=np.int32).reshape(size, size)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return FaceScan(vertices, faces, ((vertices[:, :2] + 90) / 180).astype(np.float32))


def wrl_text(scan: FaceScan, url: str | None = "000.jpg", texture_faces: np.ndarray | None = None) -> str:
    picture = "" if url is None else f'appearance Appearance {{ texture ImageTexture {{ url "{url}" }} }}'
    parts = [
        "#VRML V2.0 utf8\n# written by a test\n",
        f"Group {{ children [ Shape {{ {picture}\n geometry IndexedFaceSet {{ ccw TRUE solid FALSE\n",
        "  coord Coordinate {\n   point [\n",
        ",\n".join(" ".join(f"{number:.9g}" for number in row) for row in scan.vertices),
        " ]\n  }\n  coordIndex [ ",
        _indices(scan.faces),
        " ]\n",
    ]
    if scan.texture_coordinates is not None:
        rows = ",\n".join(" ".join(f"{number:.9g}" for number in row) for row in scan.texture_coordinates)
        own = scan.faces if texture_faces is None else texture_faces
        parts.append(f"  texCoord TextureCoordinate {{ point [ {rows} ] }}\n  texCoordIndex [ {_indices(own)} ]\n")
    return "".join([*parts, " } } ] }\n"])


def _indices(faces: np.ndarray) -> str:
    return ",\n".join(", ".join(str(index) for index in (*face, -1)) for face in faces)


def obj_text(scan: FaceScan, corner: str = "{0}/{0}", material: str | None = None) -> str:
    lines = [f"mtllib {material}"] if material else ["# written by a test"]
    lines += ["v " + " ".join(f"{number:.9g}" for number in row) for row in scan.vertices]
    if scan.texture_coordinates is not None:
        lines += ["vt " + " ".join(f"{number:.9g}" for number in row) for row in scan.texture_coordinates]
    lines += ["f " + " ".join(corner.format(index + 1) for index in face) for face in scan.faces]
    return "\n".join(lines) + "\n"


def ply_bytes(scan: FaceScan, order: str = "", per_corner: bool = False, picture: str | None = None) -> bytes:
    """PLY in text (``order`` empty), ``"<"`` or ``">"``; texture coordinates at vertices or at corners."""
    name = {"": "ascii", "<": "binary_little_endian", ">": "binary_big_endian"}[order]
    uv = scan.texture_coordinates
    at_vertices = uv is not None and not per_corner
    lines = ["ply", f"format {name} 1.0", "comment written by a test"]
    lines += [f"comment TextureFile {picture}"] if picture else []
    lines += [f"element vertex {len(scan.vertices)}", *(f"property float {axis}" for axis in "xyz")]
    lines += ["property float s", "property float t"] if at_vertices else []
    lines += [f"element face {len(scan.faces)}", "property list uchar int vertex_indices"]
    lines += ["property list uchar float texcoord"] if per_corner else []
    rows = np.hstack([scan.vertices, uv]) if at_vertices else scan.vertices
    own = [None if not per_corner else uv[list(face)].ravel() for face in scan.faces]
    head = "\n".join([*lines, "end_header"]) + "\n"
    if not order:
        body = [" ".join(f"{number:.9g}" for number in row) for row in rows]
        for face, pairs in zip(scan.faces, own, strict=True):
            tail = "" if pairs is None else f" {len(pairs)} " + " ".join(f"{number:.9g}" for number in pairs)
            body.append(f"{len(face)} " + " ".join(str(index) for index in face) + tail)
        return (head + "\n".join(body) + "\n").encode()
    packed = [rows.astype(order + "f4").tobytes()]
    for face, pairs in zip(scan.faces, own, strict=True):
        packed.append(struct.pack(f"{order}B{len(face)}i", len(face), *face))
        packed.append(b"" if pairs is None else struct.pack(f"{order}B{len(pairs)}f", len(pairs), *pairs))
    return head.encode() + b"".join(packed)


def off_text(scan: FaceScan, colour: str = "") -> str:
    lines = ["OFF", f"{len(scan.vertices)} {len(scan.faces)} 0"]
    lines += [" ".join(f"{number:.9g}" for number in row) for row in scan.vertices]
    lines += [f"{len(face)} " + " ".join(str(index) for index in face) + colour for face in scan.faces]
    return "\n".join(lines) + "\n"


def stl_text(scan: FaceScan) -> str:
    facets = []
    for corners in scan.vertices[scan.faces]:
        points = "".join("   vertex " + " ".join(f"{number:.9g}" for number in point) + " \n" for point in corners)
        facets.append(f" facet normal 0 0 1\n  outer loop\n{points}  endloop\n endfacet\n")
    return "solid a test\n" + "".join(facets) + "endsolid a test\n"


def stl_bytes(scan: FaceScan) -> bytes:
    facets = [struct.pack("<12fH", 0, 0, 1, *corners.ravel(), 0) for corners in scan.vertices[scan.faces]]
    return b"written by a test".ljust(80) + struct.pack("<I", len(facets)) + b"".join(facets)


def glb_bytes(scan: FaceScan, change=None, picture: bytes | None = None) -> bytes:
    """One triangle mesh in one node; ``change`` edits the JSON in place."""
    coordinates = scan.texture_coordinates
    blocks = {"POSITION": scan.vertices.astype("<f4"), "indices": scan.faces.astype("<u4").ravel()}
    if coordinates is not None:
        blocks["TEXCOORD_0"] = np.stack([coordinates[:, 0], 1 - coordinates[:, 1]], axis=1).astype("<f4")
    kinds = {"POSITION": (5126, "VEC3"), "TEXCOORD_0": (5126, "VEC2"), "indices": (5125, "SCALAR")}
    accessors = [
        {"bufferView": view, "componentType": kinds[name][0], "type": kinds[name][1], "count": len(block)}
        for view, (name, block) in enumerate(blocks.items())
    ]
    parts = [block.tobytes() for block in blocks.values()] + ([picture] if picture else [])
    starts = np.cumsum([0, *(len(part) for part in parts)])
    views = [
        {"buffer": 0, "byteOffset": int(start), "byteLength": len(part)}
        for start, part in zip(starts, parts, strict=False)
    ]
    numbers = {name: number for number, name in enumerate(blocks)}
    primitive = {"indices": numbers.pop("indices"), "attributes": numbers}
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": int(starts[-1])}],
    }
    if picture:
        primitive["material"] = 0
        document |= {
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
            "textures": [{"source": 0}],
            "images": [{"bufferView": len(views) - 1, "mimeType": "image/png"}],
        }
    if change is not None:
        change(document)
    return glb_file(json.dumps(document).encode(), b"".join(parts))


def glb_file(text: bytes, binary: bytes) -> bytes:
    text, binary = text + b" " * (-len(text) % 4), binary + bytes(-len(binary) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def bnt_bytes(scan: FaceScan, background: np.ndarray | None = None, picture: str = "000.png") -> bytes:
    """A square grid as a range image; where ``background`` is True, nothing was measured."""
    size = int(np.sqrt(len(scan.vertices)))
    u, v = scan.texture_coordinates.T
    planes = np.stack([*scan.vertices.T, u, 1 - v.astype(np.float64)]).astype("<f8")
    if background is not None:
        planes[:3, background] = -1e9
    head = struct.pack("<HHdH", size, size, -1e9, len(picture)) + picture.encode()
    return head + struct.pack("<I", planes.size) + planes.tobytes()


def tbnd_text(points: np.ndarray = MARKS) -> str:
    rows = "".join(f"{x:.9g} {y:.9g} {-z:.9g}\r\n" for x, y, z in points)
    return f"1.5 -2.25 0\r\n{rows}"


def lm_text(points: dict[str, tuple[float, ...]]) -> str:
    """Bosphorus' labelled points: ``.lm2`` where they have two numbers, ``.lm3`` where they have three."""
    lines = ["# written by a test", "", f"{len(points)} landmarks:"]
    for label, point in points.items():
        lines += [label, " ".join(f"{number:.9g}" for number in point)]
    return "\r\n".join(lines) + "\r\n"


def bnd_text(points: np.ndarray = MARKS) -> str:
    return "".join(f"{row} {x:.9g} {y:.9g} {z:.9g}\r\n" for row, (x, y, z) in enumerate(points))


def write_scan(folder: Path, suffix: str, content: str | bytes) -> Path:
    path = folder / f"000{suffix}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def assert_valid(scan: FaceScan) -> None:
    """What every reader promises of a scan."""
    assert scan.vertices.dtype == np.float32
    assert scan.vertices.ndim == 2
    assert np.isfinite(scan.vertices).all()
    assert scan.faces.dtype == np.int32
    assert scan.faces.shape[1] == 3
    assert scan.faces.min() >= 0
    assert scan.faces.max() < len(scan.vertices)
    if scan.texture_coordinates is not None:
        assert scan.texture_coordinates.shape == (len(scan.vertices), 2)
        assert np.isfinite(scan.texture_coordinates).all()


def assert_same_mesh(scan: FaceScan, expected: FaceScan) -> None:
    assert_valid(scan)
    np.testing.assert_array_equal(scan.vertices, expected.vertices)
    np.testing.assert_array_equal(scan.faces, expected.faces)
    np.testing.assert_array_equal(scan.texture_coordinates, expected.texture_coordinates)


def refusal(folder: Path, suffix: str, content: str | bytes) -> str:
    """The code with which a file is refused; fails where it is not."""
    with pytest.raises(ScanError) as caught:
        read_scan(write_scan(folder, suffix, content))
    assert str(folder) in str(caught.value)
    return caught.value.code


def write_picture(path: Path, size: tuple[int, int] = (8, 6)) -> None:
    Image.new("RGB", size, (200, 150, 120)).save(path)


def write_corpus(root: Path, subjects: tuple[str, ...] = ("F001", "M001"), frames: int = 2) -> Path:
    """A BU-4DFE tree of two expressions a subject, with textures and landmarks."""
    scan = mean_face()
    for subject in subjects:
        for word in ("Angry", "Happy"):
            folder, marks = root / subject / word, root / "BU4DFE_BND_V1.1" / subject / word
            folder.mkdir(parents=True)
            marks.mkdir(parents=True)
            for frame in range(frames):
                (folder / f"{frame:03d}.wrl").write_text(wrl_text(scan, f"{frame:03d}.jpg"))
                write_picture(folder / f"{frame:03d}.jpg")
                (marks / f"{frame:03d}.bnd").write_text(bnd_text())
    return root


SCANS = {
    "wrl": (".wrl", lambda scan: wrl_text(scan).encode()),
    "obj": (".obj", lambda scan: obj_text(scan).encode()),
    "ply text": (".ply", ply_bytes),
    "ply little": (".ply", lambda scan: ply_bytes(scan, "<")),
    "ply big": (".ply", lambda scan: ply_bytes(scan, ">")),
    "ply corners": (".ply", lambda scan: ply_bytes(scan, "<", per_corner=True)),
    "bnt": (".bnt", bnt_bytes),
    "off": (".off", lambda scan: off_text(scan).encode()),
    "stl text": (".stl", lambda scan: stl_text(scan).encode()),
    "stl binary": (".stl", stl_bytes),
    "glb": (".glb", glb_bytes),
}
"""Every way a scan is written: suffix and writer."""
LANDMARKS = {
    "bnd": (".bnd", lambda points: bnd_text(points).encode()),
    "bndplus": (".bndplus", lambda points: bnd_text(points).encode()),
    "tbnd": (".tbnd", lambda points: tbnd_text(points).encode()),
    "lm3": (".lm3", lambda points: lm_text(bosphorus_points(points)).encode()),
}
"""Every way landmarks are written: suffix and writer."""


def bosphorus_points(points: np.ndarray = MARKS) -> dict[str, tuple[float, ...]]:
    rows = {label: row for label, row in BOSPHORUS_LABELS.items() if row is not None}
    return {label: tuple(points[row].tolist()) for label, row in rows.items()}
