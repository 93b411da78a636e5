"""What a user would write for one scan: VTK's importer, a fresh plotter a view, the pictures into the same torch model.

``python naive_predictions.py BUNDLE SIZE FILE…`` prints the seconds each file took, the first one not counted. It does
less than ours: no alignment, crop or mending; one picture a view, where ours draws colours and normals.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pyvista as pv
import torch
from plotter_views import YAWS, draw
from torch.nn.functional import interpolate
from vtkmodules.vtkIOImport import vtkVRMLImporter
from vtkmodules.vtkRenderingCore import vtkRenderWindow

from affect4d.inference import Predictor


def pictures(path: Path, size: int) -> np.ndarray:
    """One picture a view, [views, size, size, 3]."""
    window, importer = vtkRenderWindow(), vtkVRMLImporter()
    window.SetOffScreenRendering(True)
    importer.SetFileName(str(path))
    importer.SetRenderWindow(window)
    importer.Update()
    mesh = pv.wrap(importer.GetRenderer().GetActors().GetLastActor().GetMapper().GetInput())
    texture = pv.read_texture(str(path.with_suffix(".jpg"))).to_array()
    parts = {"vertices": mesh.points, "faces": mesh.regular_faces, "coordinates": mesh.active_texture_coordinates}
    return np.stack([draw({**parts, "texture": texture}, yaw, size) for yaw in YAWS])


@torch.inference_mode()
def predict(predictor: Predictor, path: Path, size: int) -> np.ndarray:
    """Shares of the expressions: the picture's grey in every channel the model has."""
    bundle = predictor.description
    grey = torch.from_numpy(pictures(path, size)).float().mean(dim=-1)[:, None] / 127.5 - 1
    seen = interpolate(grey, (bundle.inputs.size, bundle.inputs.size), mode="area")
    fused = predictor.model.embed_views(seen.expand(-1, bundle.options.channels, -1, -1)[None]).fused
    return predictor.probabilities(fused.numpy())


def main(bundle: str, size: int, files: list[str]) -> None:
    """Predict every file."""
    predictor, taken = Predictor.load(bundle), []
    for name in files:
        start = time.perf_counter()
        predict(predictor, Path(name), size)
        taken.append(time.perf_counter() - start)
    print(*taken[1:])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
