"""SimCLR over the views of a face: the self-supervised peer without language that SMILE-VLM is compared with."""

import torch

from affect4d.losses.affect import supervised_contrast
from affect4d.tensors import Scalar, ViewEmbeddings

TEMPERATURE = 0.5
"""SimCLR's for small batches (Chen et al. 2020, appendix B.9)."""


def instance_contrast(views: ViewEmbeddings, temperature: float = TEMPERATURE) -> Scalar:
    """Draw the views of one sample together, apart from every view of every other: NT-Xent (Chen et al. 2020, eq. 1).

    With two views it *is* NT-Xent; with more, a row's positives are averaged outside the logarithm (Khosla et al. 2020,
    eq. 2, every sample a class of its own).

    Args:
        views: One row of features a view, of any length; at least two views.
        temperature: τ.

    Raises:
        ValueError: If there is one view only.
    """
    samples, count = views.shape[:2]
    if count < 2:
        raise ValueError("SimCLR compares the views of a sample: it needs at least two.")
    itself = torch.arange(samples, device=views.device).repeat_interleave(count)
    return supervised_contrast(views.flatten(0, 1), itself, 1 / temperature)
