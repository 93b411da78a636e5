"""glTF 2.0 in one binary file (``.glb``): the triangles of the default scene, joined, as they stand at rest.

A file is a header, a JSON chunk and a binary chunk (Khronos, glTF 2.0 specification, section 4). Read are accessors of
the binary chunk, sparse ones too, nodes' matrices or translation, rotation and scale, triangles, strips and fans, the
first texture coordinates, and the base colour's image where all primitives share one. Morph targets are added by the
default weights of their node or mesh: those at rest. Noted, and not used: animations, points and lines, several images.
Refused: other buffers than the binary chunk, compressed meshes (Draco, meshopt, quantised), a scene without triangles.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from affect4d.scans.readers.mesh_checks_and_textures import (
    MAX_FACES,
    MAX_VERTICES,
    MeshFile,
    assemble_mesh,
    check_count,
    check_indices,
    read_bytes,
)
from affect4d.scans.scan import ScanError

MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
MOST_NODES, MOST_PRIMITIVES, MOST_MOVED = 10_000, 1_000, 50_000_000  # moved: vertices times morph targets
POINTS_AND_LINES, TRIANGLES, STRIP, FAN = (0, 1, 2, 3), 4, 5, 6
COMPONENTS = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}
COMPRESSED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_mesh_quantization")
REMEDY = "export it again as one binary glTF without compression"


@dataclass(frozen=True, slots=True)
class _Part:
    """A primitive in the scene's frame."""

    vertices: np.ndarray
    faces: np.ndarray
    coordinates: np.ndarray | None
    image: int | None


def read_glb(path: Path) -> MeshFile:
    """Read a binary glTF in the scene's own coordinates and unit (the format's is the metre)."""
    document = _Document(path, *_chunks(read_bytes(path), path))
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return document.mesh()
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError) as error:
        if isinstance(error, ScanError):
            raise
        detail = f"its JSON is no scene of glTF 2.0 ({type(error).__name__}: {str(error)[:60]})"
        raise ScanError("malformed", path, detail) from error


def _chunks(raw: bytes, path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk, checked against the file's size."""
    if len(raw) < 20 or raw[:4] != MAGIC:
        raise ScanError("not-glb", path, "the file does not start with 'glTF'", "byte 0")
    version, length, json_length, kind = struct.unpack_from("<IIII", raw, 4)
    if version != VERSION or kind != JSON_CHUNK:
        raise ScanError("unsupported", path, f"glTF of version {version}, expected {VERSION} with a JSON chunk first")
    if length != len(raw) or 20 + json_length > length:
        detail = f"{len(raw)} bytes, where its header says {length}, {json_length} of them JSON"
        raise ScanError("truncated", path, detail)
    try:
        document = json.loads(raw[20 : 20 + json_length])
    except (ValueError, RecursionError) as error:
        raise ScanError("malformed", path, f"its JSON cannot be read ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise ScanError("malformed", path, "its JSON is no object")
    start = 20 + json_length
    if start == length:
        return document, b""
    if start + 8 > length or struct.unpack_from("<II", raw, start) > (length - start - 8, BINARY_CHUNK):
        raise ScanError("truncated", path, "its binary chunk is longer than the file")
    size, kind = struct.unpack_from("<II", raw, start)
    return document, raw[start + 8 : start + 8 + size] if kind == BINARY_CHUNK else b""


@dataclass(frozen=True, slots=True)
class _Document:
    path: Path
    json: dict[str, Any]
    binary: bytes

    def mesh(self) -> MeshFile:
        """The joined triangles of its scene; any error of its structure is one of Python's."""
        used = set(self.json.get("extensionsRequired", [])) | set(self.json.get("extensionsUsed", []))
        if squeezed := sorted(used & set(COMPRESSED)):
            raise ScanError("unsupported", self.path, f"its mesh is compressed ({squeezed[0]}): {REMEDY}")
        if any("uri" in buffer for buffer in self.json.get("buffers", [])) or len(self.json.get("buffers", [])) > 1:
            raise ScanError("unsupported", self.path, f"its numbers lie in other files or in text: {REMEDY}")
        notes: list[str] = []
        parts = list(self._parts(notes))
        if not parts:
            kinds = "points or lines only" if notes else "no mesh in its scene"
            raise ScanError("no-mesh", self.path, f"there are no faces in it ({kinds}): export the surface, too")
        return self._joined(parts, notes)

    def _joined(self, parts: Sequence[_Part], notes: list[str]) -> MeshFile:
        starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
        faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
        given = [part.coordinates for part in parts if part.coordinates is not None]
        if 0 < len(given) < len(parts):
            notes.append("texture coordinates on some primitives only: left out")
        coordinates = np.concatenate(given) if len(given) == len(parts) else None
        if self.json.get("animations"):
            notes.append("animations ignored: the mesh as it stands at rest")
        vertices = np.concatenate([part.vertices for part in parts])
        mesh = assemble_mesh(self.path, vertices, faces.astype(np.int32), coordinates, repairs=tuple(notes))
        images = {part.image for part in parts}
        if coordinates is None or len(images) > 1:
            names = tuple(f"image {number}" for number in images)
            return mesh if coordinates is None else with_changes(mesh, image_names=names)
        return self._with_image(mesh, images.pop())

    def _with_image(self, mesh: MeshFile, number: int | None) -> MeshFile:
        """With the bytes of an image in the binary chunk, or the name of one beside the file."""
        image = {} if number is None else self.json["images"][number]
        if "bufferView" in image:
            return with_changes(mesh, image=bytes(self._view(image["bufferView"])[0]))
        return with_changes(mesh, image_names=(str(image["uri"]),) if "uri" in image else ())

    def _parts(self, notes: list[str]) -> Iterator[_Part]:
        read, vertices, triangles, left_out = 0, 0, 0, 0
        for node, pose in self._placed():
            mesh = self.json["meshes"][_index(node["mesh"])]
            weights = node.get("weights", mesh.get("weights", []))
            read += len(mesh["primitives"])
            check_count(read, MOST_PRIMITIVES, self.path, "primitives")
            for primitive in mesh["primitives"]:
                if primitive.get("mode", TRIANGLES) in POINTS_AND_LINES:
                    left_out += 1
                    continue
                part = self._part(primitive, pose, weights)
                vertices, triangles = vertices + len(part.vertices), triangles + len(part.faces)
                check_count(vertices, MAX_VERTICES, self.path, "vertices")
                check_count(triangles, MAX_FACES, self.path, "triangles")
                yield part
        if left_out:
            notes.append(f"{left_out} primitives of points or lines left out")

    def _placed(self) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Nodes with a mesh, and their poses in the scene; a node in a cycle, or in two places, is refused."""
        nodes, scenes = self.json.get("nodes", []), self.json.get("scenes", [])
        check_count(len(nodes), MOST_NODES, self.path, "nodes")
        children = {_index(child) for node in nodes for child in node.get("children", [])}
        tops = set(range(len(nodes))) - children
        roots = scenes[_index(self.json.get("scene", 0))].get("nodes", []) if scenes else sorted(tops)
        waiting = [(_index(root), np.eye(4)) for root in reversed(list(roots))]
        seen: set[int] = set()
        while waiting:
            number, above = waiting.pop()
            if number in seen:
                raise ScanError("malformed", self.path, f"node {number} is in its scene twice")
            seen.add(number)
            pose = above @ _pose(nodes[number])
            waiting += [(_index(child), pose) for child in reversed(nodes[number].get("children", []))]
            if "mesh" in nodes[number]:
                yield nodes[number], pose

    def _part(self, primitive: Mapping[str, Any], pose: np.ndarray, weights: Sequence[float]) -> _Part:
        attributes = primitive["attributes"]
        points = self._accessor(attributes["POSITION"], "VEC3", floats=True).astype(np.float64)
        targets = primitive.get("targets", [])
        check_count(len(targets) * len(points), MOST_MOVED, self.path, "displacements of morph targets")
        for target, weight in zip(targets, weights, strict=False):
            if weight and "POSITION" in target:
                moved = self._accessor(target["POSITION"], "VEC3", floats=True, rows=len(points))
                points = points + float(weight) * moved
        vertices = (points @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)
        corners = np.arange(len(points))
        if "indices" in primitive:
            corners = self._accessor(primitive["indices"], "SCALAR", floats=False)[:, 0].astype(np.int64)
            check_indices(corners, len(points), self.path, "face")
        faces = _triangles(corners, primitive.get("mode", TRIANGLES), self.path)
        if np.linalg.det(pose[:3, :3]) < 0:
            faces = faces[:, ::-1]
        return _Part(vertices, faces, self._coordinates(attributes, len(points)), self._base_colour(primitive))

    def _coordinates(self, attributes: Mapping[str, Any], rows: int) -> np.ndarray | None:
        """Texture coordinates, v turned bottom-up."""
        if "TEXCOORD_0" not in attributes:
            return None
        pairs = self._accessor(attributes["TEXCOORD_0"], "VEC2", floats=None, rows=rows)
        if pairs.dtype.kind == "u":
            pairs = pairs / np.iinfo(pairs.dtype).max
        return np.stack([pairs[:, 0], 1.0 - pairs[:, 1]], axis=1).astype(np.float32)

    def _base_colour(self, primitive: Mapping[str, Any]) -> int | None:
        """The image of a primitive's material."""
        if "material" not in primitive:
            return None
        material = self.json["materials"][_index(primitive["material"])]
        texture = material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
        if texture is None:
            return None
        source = self.json["textures"][_index(texture["index"])].get("source")
        return None if source is None else _index(source)

    def _view(self, number: Any) -> tuple[memoryview, int]:
        """Bytes of a buffer view, and its stride (0: none)."""
        view = self.json["bufferViews"][_index(number)]
        start, length = _index(view.get("byteOffset", 0)), _index(view["byteLength"])
        if start + length > len(self.binary):
            detail = f"buffer view {number} ends at byte {start + length} of {len(self.binary)} of its binary chunk"
            raise ScanError("truncated", self.path, detail)
        return memoryview(self.binary)[start : start + length], _index(view.get("byteStride", 0))

    def _accessor(self, number: Any, kind: str, floats: bool | None, rows: int | None = None) -> np.ndarray:
        """Rows of an accessor; ``floats`` None takes whole numbers (shares of their largest), too."""
        accessor = self.json["accessors"][_index(number)]
        count = _index(accessor["count"])
        check_count(count, 3 * MAX_FACES if kind == "SCALAR" else MAX_VERTICES, self.path, "rows of an accessor")
        component = COMPONENTS.get(accessor["componentType"])
        is_float = component == "<f4"
        if component is None or accessor["type"] != kind or floats not in (None, is_float):
            found = f"{accessor['type']} of component type {accessor['componentType']}"
            raise ScanError("unsupported", self.path, f"accessor {number} is {found}, expected {kind}: {REMEDY}")
        if rows is not None and count != rows:
            raise ScanError("wrong-count", self.path, f"accessor {number} has {count} rows for {rows} vertices")
        if "bufferView" in accessor:
            values = self._rows(accessor, count, WIDTHS[kind], np.dtype(component))
        else:  # all zero but for what is sparse
            check_count(count, len(self.binary), self.path, "rows without numbers")
            values = np.zeros((count, WIDTHS[kind]), component)
        return self._with_sparse(values, accessor["sparse"]) if "sparse" in accessor else values

    def _rows(self, place: Mapping[str, Any], count: int, width: int, component: np.dtype[Any]) -> np.ndarray:
        raw, stride = self._view(place["bufferView"])
        start, size = _index(place.get("byteOffset", 0)), width * component.itemsize
        step = stride or size
        if step < size or (count and start + step * (count - 1) + size > len(raw)):
            raise ScanError("truncated", self.path, f"an accessor of {count} rows is longer than its buffer view")
        if not count:
            return np.zeros((0, width), component)
        body = np.frombuffer(raw, np.uint8, step * (count - 1) + size, start)
        rows = np.lib.stride_tricks.as_strided(body, (count, size), (step, 1))
        return np.ascontiguousarray(rows).view(component)

    def _with_sparse(self, values: np.ndarray, sparse: Mapping[str, Any]) -> np.ndarray:
        count, places = _index(sparse["count"]), sparse["indices"]
        check_count(count, len(values), self.path, "rows of a sparse accessor")
        rows = self._rows(places, count, 1, np.dtype(COMPONENTS[places["componentType"]]))[:, 0].astype(np.int64)
        check_indices(rows, len(values), self.path, "sparse")
        changed = values.copy()
        changed[rows] = self._rows(sparse["values"], count, values.shape[1], values.dtype)
        return changed


def _index(value: Any) -> int:
    """A whole number of the JSON that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ValueError(f"{str(value)[:20]!r} is no index")
    return value


def _pose(node: Mapping[str, Any]) -> np.ndarray:
    """The matrix of a node; it is given whole, by columns, or as translation, rotation and scale."""
    pose = np.eye(4)
    if "matrix" in node:
        pose = np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    else:
        turn = Rotation.from_quat(np.array(node.get("rotation", [0, 0, 0, 1]), dtype=np.float64)).as_matrix()
        pose[:3, :3] = turn * np.array(node.get("scale", [1, 1, 1]), dtype=np.float64).reshape(3)
        pose[:3, 3] = np.array(node.get("translation", [0, 0, 0]), dtype=np.float64).reshape(3)
    if not np.isfinite(pose).all():
        raise ValueError("a node's pose is not finite")
    return pose


def _triangles(corners: np.ndarray, mode: int, path: Path) -> np.ndarray:
    if mode == TRIANGLES:
        if len(corners) % 3:
            raise ScanError("wrong-count", path, f"{len(corners)} corners are no whole number of triangles")
        return corners.reshape(-1, 3)
    if mode not in (STRIP, FAN):
        raise ScanError("unsupported", path, f"primitives of mode {str(mode)[:20]} are not read: {REMEDY}")
    first = np.zeros(max(len(corners) - 2, 0), dtype=np.int64) if mode == FAN else np.arange(max(len(corners) - 2, 0))
    second = np.arange(1, len(first) + 1)
    faces = corners[np.stack([first, second, second + 1], axis=1)] if len(first) else np.zeros((0, 3), np.int64)
    if mode == STRIP:
        faces[1::2] = faces[1::2][:, [0, 2, 1]]
    return faces
