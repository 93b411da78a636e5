"""Where on a face a predictor looks when it answers: :mod:`affect4d.evaluation.attribution` of what it was shown."""

import numpy as np
import torch
from jaxtyping import Float32

from affect4d.evaluation.attribution import STEPS, class_direction, empty_images, image_attribution, mesh_attribution
from affect4d.inference.predictor import Predictor
from affect4d.inference.preparation import PreparedSequence
from affect4d.views.augment import assemble_plain


def relevance_on_mesh(
    predictor: Predictor, prepared: PreparedSequence, place: int, expression: str, steps: int = STEPS
) -> Float32[np.ndarray, " vertices"]:
    """How much every place of a face speaks for an expression, against the mean of the others.

    The face is compared with the recording's neutral frame; with an empty picture where there is none, and in the
    neutral frame itself.

    Args:
        predictor: Who answers.
        prepared: What it is shown, prepared with ``keep_faces``.
        place: Which of the usable scans.
        expression: One of the predictor's.
        steps: Points of the integral.

    Returns:
        One number a vertex of ``prepared.usable[place].face``; positive where it speaks for the expression.

    Raises:
        ValueError: If the faces were not kept, or nothing is called by that expression's name.
    """
    face = prepared.usable[place].face
    if face is None:
        raise ValueError("The meshes of this recording were not kept: prepare it with keep_faces=True.")
    if expression not in predictor.expressions:
        raise ValueError(f"{expression!r} is none of {', '.join(predictor.expressions)}.")
    inputs, row = predictor.bundle.inputs, prepared.rows[place]
    rest = int(prepared.bank.neutral[row])
    images = assemble_plain(prepared.bank, torch.tensor([row]), inputs)
    compared = prepared.has_neutral and rest != row
    reference = (
        assemble_plain(prepared.bank, torch.tensor([rest]), inputs) if compared else empty_images(images, inputs)
    )
    direction = class_direction(predictor.classes, predictor.expressions.index(expression))
    maps = image_attribution(predictor.model, images, reference, direction, steps)[0]
    return mesh_attribution(maps, face, predictor.bundle.render)
