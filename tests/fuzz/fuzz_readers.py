"""Fuzzing of every reader with Atheris: ``make fuzz``, or ``python tests/fuzz/fuzz_readers.py [libFuzzer options]``.

The first byte of an input chooses the reader, the rest is the file. What may come out is sound arrays or a typed error;
anything else is a crash, whose file is kept in ``build/fuzz``. A crash that is mended becomes a file in
``tests/scans/readers/regressions``.

The compiled loops run as plain Python here, where Atheris sees their branches and every index is checked; with
``FUZZ_COMPILED=1`` they run compiled, with checked indices.
"""

import functools
import os
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPILED = os.environ.get("FUZZ_COMPILED") == "1"
if COMPILED:
    os.environ.update(NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(ROOT / "build" / "fuzz" / "numba"))
else:
    os.environ["NUMBA_DISABLE_JIT"] = "1"

import atheris
import numpy as np
import PIL.BmpImagePlugin
import PIL.Image
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
import scipy.spatial.transform  # noqa: F401

READERS = "affect4d.scans.readers"
COMPILED_MODULES = [f"{READERS}.{name}" for name in ("scanner", "obj", "ply", "off_stl")]
with atheris.instrument_imports(include=[READERS], exclude=COMPILED_MODULES if COMPILED else []):
    from affect4d.scans.readers import gltf, obj, off_stl, ply, range_image, vrml  # noqa: F401

sys.path.insert(0, str(ROOT / "tests" / "scans"))
from scan_files import (
    LANDMARKS,
    MARKS,
    SCANS,
    assert_valid,
    bumpy_grid,
    write_picture,
)

from affect4d.scans.readers import LANDMARK_READERS, read_landmarks, read_scan
from affect4d.scans.readers.mesh_checks_and_textures import TextureRefusedError, read_texture
from affect4d.scans.readers.range_image import Intrinsics, read_depth
from affect4d.scans.scan import ScanError

DEPTH_READER = functools.partial(read_depth, intrinsics=Intrinsics(fx=50, fy=50, cx=4, cy=4))
KINDS = (".wrl", ".obj", ".ply", ".bnt", ".off", ".stl", ".glb", *LANDMARK_READERS, ".jpg", ".png", ".bmp", ".depth")
CRASHES = ROOT / "build" / "fuzz"
FOLDER = Path(tempfile.mkdtemp())
SEEDS, INPUTS = FOLDER / "seeds", FOLDER / "inputs"


def read_any(path: Path) -> None:
    """Read a file by its suffix; raises what no reader may raise."""
    try:
        if path.suffix in LANDMARK_READERS:
            assert read_landmarks(path).shape == (83, 3)
        elif path.suffix == ".depth":
            assert_valid(read_scan(path, reader=DEPTH_READER))
        elif path.suffix in (".jpg", ".png", ".bmp"):
            assert read_texture(path).pixels.dtype == np.uint8
        else:
            assert_valid(read_scan(path))
    except (ScanError, TextureRefusedError):
        return


def one_input(data: bytes) -> None:
    """What libFuzzer calls."""
    if not data:
        return
    path = INPUTS / f"input{KINDS[data[0] % len(KINDS)]}"
    path.write_bytes(data[1:])
    try:
        with np.errstate(all="ignore") if not COMPILED else np.errstate():
            read_any(path)
    except Exception:
        CRASHES.mkdir(parents=True, exist_ok=True)
        kept = CRASHES / f"crash-{zlib.crc32(data):08x}{path.suffix}"
        kept.write_bytes(data[1:])
        sys.stderr.write(f"kept as {kept}\n")
        raise


def write_seeds(folder: Path) -> None:
    """One small good file of every kind."""
    files = {**{name: (suffix, write(bumpy_grid(4))) for name, (suffix, write) in SCANS.items()}}
    files |= {name: (suffix, write(MARKS)) for name, (suffix, write) in LANDMARKS.items()}
    for suffix in (".jpg", ".png", ".bmp"):
        write_picture(INPUTS / f"seed{suffix}")
        files[suffix] = (suffix, (INPUTS / f"seed{suffix}").read_bytes())
    PIL.Image.fromarray((np.arange(64, dtype=np.uint16) * 10 + 300).reshape(8, 8)).save(INPUTS / "seed.png")
    files["depth"] = (".depth", (INPUTS / "seed.png").read_bytes())
    for name, (suffix, raw) in files.items():
        (folder / f"seed-{name.replace(' ', '-')}").write_bytes(bytes([KINDS.index(suffix)]) + raw)


if __name__ == "__main__":
    warnings.simplefilter("error", RuntimeWarning)
    SEEDS.mkdir()
    INPUTS.mkdir()
    write_seeds(SEEDS)
    for seed in sorted(SEEDS.iterdir()):  # compile everything before libFuzzer watches the clock
        one_input(seed.read_bytes())
    options = [option for option in sys.argv[1:] if option.startswith("-")]
    places = [option for option in sys.argv[1:] if not option.startswith("-")]
    defaults = ["-max_len=20000", "-timeout=20", "-rss_limit_mb=3000", f"-artifact_prefix={FOLDER}/"]
    atheris.Setup([sys.argv[0], *defaults, *options, *places, str(SEEDS)], one_input)
    atheris.Fuzz()
