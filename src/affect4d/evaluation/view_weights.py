"""How much each view of a face counts in a model's fused embedding."""

from collections.abc import Sequence
from typing import Any

import torch

from affect4d.views.inputs import InputOptions

MOTION = "motion"


def view_names(views: Sequence[str], options: InputOptions) -> tuple[str, ...]:
    """What a model calls its views: the rendered ones, and their motion where it enters as further views."""
    return (*views, *(f"{view} {MOTION}" for view in views)) if options.motion == "views" else tuple(views)


def view_weights(model: Any, views: Sequence[str], options: InputOptions) -> dict[str, float]:
    """The fusion's softmax weights, which sum to one; of attention fusion, the part that does not look at content.

    Args:
        model: One of :data:`affect4d.models.MODELS`.
        views: Names of the rendered views.
        options: Says whether motion enters as further views.

    Raises:
        ValueError: If the model was built for another number of views.
    """
    names = view_names(views, options)
    weights = torch.softmax(model.image.fusion.view_scores.detach().float().cpu(), dim=0).tolist()
    if len(weights) != len(names):
        raise ValueError(f"The model weighs {len(weights)} views; the pictures have {len(names)}: {', '.join(names)}.")
    return dict(zip(names, weights, strict=True))
