"""Attribution of a prediction on the face mesh, by :mod:`affect4d.evaluation.attribution`."""

import numpy as np
import torch
from jaxtyping import Float32

from affect4d.evaluation.attribution import STEPS, class_direction, empty_images, image_attribution, mesh_attribution
from affect4d.inference.predictor import Predictor
from affect4d.inference.preprocessing import PreparedSequence
from affect4d.views.batches import assemble_unaugmented


def attribution_on_mesh(
    predictor: Predictor, prepared: PreparedSequence, place: int, expression: str, steps: int = STEPS
) -> Float32[np.ndarray, " vertices"]:
    """Attribution of an expression's score, less the mean of the others', to every vertex of a face.

    The baseline is the recording's neutral frame; an empty image where there is none, and for the neutral frame itself.

    Args:
        prepared: Recording, prepared with ``keep_faces``.

    Returns:
        One number a vertex of ``prepared.usable[place].face``; positive in favour of the expression.

    Raises:
        ValueError: If the faces were not kept, or the expression is not one of the predictor's.
    """
    face = prepared.usable[place].face
    if face is None:
        raise ValueError("The meshes of this recording were not kept: prepare it with keep_faces=True.")
    if expression not in predictor.expressions:
        raise ValueError(f"{expression!r} is none of {', '.join(predictor.expressions)}.")
    inputs, row = predictor.description.inputs, prepared.rows[place]
    neutral = int(prepared.bank.neutral[row])
    images = assemble_unaugmented(prepared.bank, torch.tensor([row]), inputs)
    if prepared.has_neutral and neutral != row:
        baseline = assemble_unaugmented(prepared.bank, torch.tensor([neutral]), inputs)
    else:
        baseline = empty_images(images, inputs)
    direction = class_direction(predictor.classes, predictor.expressions.index(expression))
    maps = image_attribution(predictor.model, images, baseline, direction, steps)[0]
    return mesh_attribution(maps, face, predictor.description.render)
