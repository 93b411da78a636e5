"""Draws the bumpy surface in a process of its own: ``python draw_elsewhere.py OUTPUT.npz``; says what drew it."""

import sys

import numpy as np
from generated_surface import bumpy_scan

from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.rasteriser import Rasteriser

rasteriser = Rasteriser(RenderOptions(size=64, channels=("texture", "normals", "shading", "depth"), device=-1))
np.savez(sys.argv[1], **rasteriser.render(bumpy_scan(lopsided=6)))
sys.stdout.write(rasteriser.driver)
