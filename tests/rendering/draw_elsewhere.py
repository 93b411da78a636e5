"""Draws the bumpy surface in a process of its own: ``python draw_elsewhere.py OUTPUT.npz``; says what drew it."""

import sys

import numpy as np
from generated_surface import bumpy_scan

from affect4d.rendering.cameras_and_render_backends import Renderer
from affect4d.rendering.options import RenderOptions

renderer = Renderer(RenderOptions(size=64, channels=("texture", "normals", "shading", "depth"), device=-1))
np.savez(sys.argv[1], **renderer.render(bumpy_scan(lopsided=6)))
sys.stdout.write(renderer.driver)
