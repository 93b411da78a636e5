"""A bundle as one ONNX file: image tower, view fusion and the prompts' matrix, to probabilities.

The text tower stays behind: its answer to the prompts is in the file. Views may be missing, and a batch may have any
size. Needs the extra ``export``.
"""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from affect4d.evaluation.attribution import MOTION
from affect4d.inference.bundle import Bundle
from affect4d.inference.weights import Opened
from affect4d.models.encoders import ViewEncoder
from affect4d.tensors import Embeddings, Presence, ViewImages

INPUTS = ("images", "present")
OUTPUTS = ("probabilities", "embedding", "view_weights", "sequence_probabilities")
BUNDLE = "bundle"
"""The file's metadata by which a whole bundle can be read back."""
Answers = tuple[Tensor, Tensor, Tensor, Tensor]


class AnswerGraph(nn.Module):
    """Pictures to probabilities, without the text tower.

    Args:
        image: A model's view encoder.
        classes: Unit vector of every expression's prompts.
        scale: The factor on cosines before the softmax.
    """

    classes: Tensor

    def __init__(self, image: ViewEncoder, classes: Float[Tensor, "classes dim"], scale: float) -> None:
        super().__init__()
        self.image, self.scale = image, scale
        self.register_buffer("classes", classes)

    def forward(self, images: ViewImages, present: Presence) -> Answers:
        """What is in the file.

        Returns:
            Probabilities [batch, classes]; fused unit vectors [batch, dim]; weights of the views [batch, views]; and,
            of the batch taken as the frames that speak for one sequence, its probabilities [1, classes].
        """
        hidden = self.image.hidden(images)  # [batch, views, hidden]
        views = normalize(self.image.projection(hidden), dim=-1) * present.unsqueeze(-1)
        weights = self.image.fusion.weights(views) * present
        weights = weights / weights.sum(dim=1, keepdim=True)
        fused = normalize((weights.unsqueeze(-1) * views).sum(dim=1), dim=-1)  # [batch, dim]
        return self.answer(fused), fused, weights, self.answer(normalize(fused.mean(dim=0, keepdim=True), dim=-1))

    def answer(self, fused: Embeddings) -> Tensor:
        """softmax(scale · cosine), [batch, classes]."""
        return (self.scale * fused @ self.classes.T).softmax(dim=-1)


def export_onnx(opened: Opened, path: Path) -> Path:
    """Write a bundle as one ONNX file.

    ``images`` (float32 [batch, views, channels, size, size], as :func:`affect4d.views.augment.assemble_plain` makes
    them) and ``present`` (bool [batch, views]; what lies in ``images`` where it is false must be finite, and is not
    looked at) go in; :meth:`AnswerGraph.forward` says what comes out. A sample without any view gives NaN.

    Args:
        opened: The bundle.
        path: Where to.

    Returns:
        The path.

    Raises:
        ModuleNotFoundError: If the extra ``export`` is not installed; says how to.
    """
    require_onnx()
    bundle = opened.bundle
    graph = AnswerGraph(opened.model.image, class_matrix(opened), answer_scale(opened)).eval()
    program = _translate(graph, input_shape(bundle))
    program.model.metadata_props.update(metadata_of(bundle))
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(path)
    return path


def require_onnx() -> None:
    """See that what an export needs is there.

    Raises:
        ModuleNotFoundError: If it is not; says how to get it.
    """
    for package in ("onnx", "onnxruntime", "onnxscript"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(
                f"{package} is not installed: `make setup` brings what an ONNX file needs; elsewhere, in a clone: "
                "pip install -e '.[export]'."
            )


def class_matrix(opened: Opened) -> Float[Tensor, "classes dim"]:
    """Unit vector of every expression: the normalised mean over its prompts."""
    means = [torch.from_numpy(vectors).mean(dim=0) for vectors in opened.prompts.values()]
    return normalize(torch.stack(means), dim=-1)


def answer_scale(opened: Opened) -> float:
    """The factor on cosines: the model's own, calibrated where it was."""
    calibration = opened.bundle.calibration
    scale = float(opened.model.temperature().detach())
    return scale if calibration is None else scale / calibration.temperature


def input_shape(bundle: Bundle) -> tuple[int, int, int, int]:
    """Of one sample: views, channels, size, size."""
    views, channels = bundle.inputs.input_shape(len(bundle.render.angles))
    return views, channels, bundle.inputs.size, bundle.inputs.size


def metadata_of(bundle: Bundle) -> dict[str, str]:
    """What a reader of the file must know, as JSON values: the names along its axes, and the bundle itself."""
    views, channels, motion = [*bundle.render.angles], [*map(str, bundle.inputs.channels)], bundle.inputs.motion
    if motion == "views":
        views += [f"{view} {MOTION}" for view in views]
    elif motion != "none":
        channels += [f"{channel} {MOTION}" for channel in channels]
    told = {"expressions": bundle.expressions, "views": views, "channels": channels, "size": bundle.inputs.size}
    return {BUNDLE: bundle.model_dump_json(), **{name: json.dumps(value) for name, value in told.items()}}


def _translate(graph: AnswerGraph, sample: tuple[int, int, int, int]) -> torch.onnx.ONNXProgram:
    """The graph in ONNX's terms; a batch of any size may go in."""
    example = (torch.zeros(2, *sample), torch.ones(2, sample[0], dtype=torch.bool))
    batch = {0: torch.export.Dim("batch")}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            graph,
            example,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes={"images": batch, "present": batch},
            dynamo=True,
            verbose=False,
        )
    return cast(torch.onnx.ONNXProgram, program)
