"""Report which system package OpenGL lacks, for ``render.device=-1`` or a GPU's number; silent where it renders.

Not needed for the default, ``cpu``.
"""

import subprocess
import sys

from affect4d.rendering.pyvista_renderer import REMEDY

PROBE = """
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.cameras_and_render_backends import Renderer
Renderer(RenderOptions(size=16, device=-1))
"""

done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)  # it may crash
if done.returncode != 0:
    sys.exit(f"OpenGL does not render here. It ended with {done.returncode}:\n{done.stderr.strip()[-1500:]}\n{REMEDY}")
