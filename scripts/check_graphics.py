"""For ``render.device=-1`` or a card's number: say which system package OpenGL lacks; silent where it draws.

Not needed for the default, ``cpu``.
"""

import subprocess
import sys

PROBE = """
import pyvista
window = pyvista.Plotter(off_screen=True, window_size=(16, 16))
window.add_mesh(pyvista.Sphere())
assert window.screenshot(return_img=True).shape[0] == 16
"""
ADVICE = """OpenGL does not draw here: a graphics library is missing. On Debian or Ubuntu:

    apt-get install libgl1 libegl1 libxrender1

VTK then picks X, EGL or software rendering by itself; no display is needed. What it said:
"""

done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
if done.returncode != 0:
    sys.exit(ADVICE + done.stderr.strip()[-1500:])
