"""The process that reads what strangers send: one job a line, in limited memory and time; see ``uploads``.

``python -m affect4d.inference.reading_room MEMORY SECONDS`` reads jobs as JSON lines and answers each with one. Scans
are handed over as safetensors files, so that nothing a broken process says is ever executed.
"""

import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from affect4d.inference.unpacking import UploadLimits, UploadRefusedError, unpack
from affect4d.scans.readers import LANDMARK_READERS, READERS, read_scan
from affect4d.scans.scan import FaceScan, ScanError

OUT_OF_MEMORY = "needs more memory than a scan may"
LARGEST_RESULT = 2**30
_POINTS = "0 0 0\n9 0 0\n0 9 0\n"
SMALLEST = {
    ".wrl": "#VRML V2.0 utf8\nShape { geometry IndexedFaceSet { coord Coordinate { point [ 0 0 0, 9 0 0, 0 9 0 ] }\n"
    "coordIndex [ 0, 1, 2, -1 ] } }\n",
    ".obj": "v 0 0 0\nv 9 0 0\nv 0 9 0\nf 1 2 3\n",
    ".ply": "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    f"element face 1\nproperty list uchar int vertex_indices\nend_header\n{_POINTS}3 0 1 2\n",
    ".off": f"OFF\n3 1 0\n{_POINTS}3 0 1 2\n",
    ".stl": "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 9 0 0\nvertex 0 9 0\nendloop\nendfacet\n"
    "endsolid a\n",
}
"""One triangle in every text format: reading it brings in, and on a new machine compiles, the loops of its reader."""
STATUS = Path("/proc/self/statm")


def confine(memory: int) -> None:
    """Cap, for this process and for good, what it may allocate beyond now, write to a file, and leave behind."""
    if STATUS.exists():  # elsewhere than on Linux, nothing says what is taken now
        cap = int(STATUS.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + memory
        resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_RESULT, LARGEST_RESULT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def allow_seconds(seconds: int) -> None:
    """Let this process compute for so long from now; the system ends it then."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def warm_up() -> None:
    """Load, and on a new machine compile, what readers need, before memory and time are capped."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix, text in SMALLEST.items():
            file = Path(folder, f"face{suffix}")
            file.write_text(text)
            read_scan(file)
    from affect4d.scans import triangles  # noqa: F401


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """What became of a job: ``unpack`` a folder of sent files, or ``read`` one scan."""
    try:
        return _unpack(job) if job["do"] == "unpack" else _read(job)
    except UploadRefusedError as error:
        return {"refused": str(error), "code": "upload"}
    except ScanError as error:
        return {"refused": error.detail + (f" ({error.where})" if error.where else ""), "code": error.code}
    except MemoryError:
        return {"refused": OUT_OF_MEMORY, "code": "too-large"}


def _unpack(job: dict[str, Any]) -> dict[str, Any]:
    sent = {name: Path(place) for name, place in job["sent"].items()}
    unpacked = unpack(sent, Path(job["folder"]), UploadLimits.model_validate(job["limits"]))
    return {"scans": unpacked.scans, "refused_files": unpacked.refused}


def _read(job: dict[str, Any]) -> dict[str, Any]:
    path = Path(job["folder"]) / job["scan"]
    marks = (path.with_suffix(suffix) for suffix in LANDMARK_READERS)
    landmarks = next((file for file in marks if file.is_file()), None)
    scan = read_scan(path, _lone_picture(path), landmarks, texels=int(job["texels"]))
    save_file(_arrays(scan), job["result"])
    return {"repairs": list(scan.repairs)}


def _lone_picture(path: Path) -> Path | None:
    """The only picture that was sent with the only scan, whatever either calls the other; else the scan's own word."""
    pictures = [file for file in path.parent.iterdir() if file.suffix.lower() in {".jpg", ".jpeg", ".png", ".bmp"}]
    scans = [file for file in path.parent.iterdir() if file.suffix.lower() in READERS]
    return pictures[0] if len(pictures) == len(scans) == 1 else None


def _arrays(scan: FaceScan) -> dict[str, np.ndarray]:
    given = {
        "vertices": scan.vertices,
        "faces": scan.faces,
        "texture_coordinates": scan.texture_coordinates,
        "texture": scan.texture,
        "landmarks": scan.landmarks,
    }
    return {name: np.ascontiguousarray(array) for name, array in given.items() if array is not None}


def main() -> None:
    """Answer jobs until there are no more."""
    memory, seconds = map(int, sys.argv[1:])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is not taken for an answer
    warm_up()
    confine(memory)
    for line in sys.stdin:
        allow_seconds(seconds)
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
