"""Throw-away environments for peers whose requirements our own environment cannot meet."""

import os
import subprocess
import sys
import venv
from pathlib import Path

PYRENDER = ("pyrender==0.1.45", "numpy<3", "pillow", "scipy")
"""It pins PyOpenGL 3.1.0; its last release is of 2021."""


def python_with(packages: tuple[str, ...]) -> str:
    """The interpreter of an environment with these packages, made once below the user's cache folder.

    Raises:
        RuntimeError: If they cannot be installed; says why.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "affect4d" / "peers" / packages[0].replace("==", "-")
    python, finished = folder / "bin" / "python", folder / "finished"
    if not finished.exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(packages)} on Python {sys.version.split()[0]}: {done.stderr[-300:]}")
        finished.touch()
    return str(python)
