"""ONNX file of a packaged model without its text encoder: images → probabilities, action units (extra ``export``)."""

import json
import tempfile
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn
from torch.nn.functional import normalize

from affect4d.evaluation.action_unit_head import ActionUnitHead
from affect4d.inference.packaged_model_description import PackagedModel
from affect4d.inference.packaged_weights import LoadedModel
from affect4d.models.encoders import ViewEncoder
from affect4d.tensor_types import Embeddings, Presence, ViewEmbeddings, ViewImages

INPUTS = ("images", "present")
OUTPUTS = ("probabilities", "embedding", "view_weights", "sequence_probabilities")
UNIT_OUTPUTS = ("action_units", "action_units_alone")
"""Further outputs of a model that gives action units."""
DESCRIPTION, FORMER_DESCRIPTION = "packaged_model", "bundle"
"""Metadata entry that holds the packaged model's description; its name in earlier files."""
CALIBRATION = 128  # most images from which the ranges of activations are taken
QUANTISED = ("Conv", "Gemm", "MatMul", "Relu", "Add", "AveragePool")
"""Operators computed in int8, but for the last product before an output: with the prompts, or of action units."""
ModelImages = Float32[np.ndarray, "batch views channels size size"]


class ActionUnitGraph(nn.Module):
    """The image encoder's output to strengths of action units, as :class:`ActionUnitHead` computes them."""

    weights: Tensor
    offsets: Tensor

    def __init__(self, head: ActionUnitHead) -> None:
        super().__init__()
        both = (head.with_neutral, head.alone)
        self.register_buffer("weights", torch.from_numpy(np.concatenate([one.weights for one in both], axis=1)))
        self.register_buffer("offsets", torch.from_numpy(np.concatenate([one.offsets for one in both])))

    def forward(self, hidden: ViewEmbeddings) -> tuple[Tensor, ...]:
        """Strengths, 0…1, [batch, units]: with a neutral reference, and of scans alone."""
        return (hidden.flatten(1) @ self.weights + self.offsets).clamp(0, 1).chunk(2, dim=1)


class ProbabilityGraph(nn.Module):
    """Images to probabilities; ``classes`` are the unit vectors of every expression's prompts."""

    classes: Tensor

    def __init__(
        self,
        image: ViewEncoder,
        classes: Float[Tensor, "classes dim"],
        scale: float,
        head: ActionUnitHead | None = None,
    ) -> None:
        super().__init__()
        self.image, self.scale = image, scale
        self.register_buffer("classes", classes)
        self.action_units = None if head is None else ActionUnitGraph(head)

    def forward(self, images: ViewImages, present: Presence) -> tuple[Tensor, ...]:
        """:data:`OUTPUTS`, and :data:`UNIT_OUTPUTS` where there is a head; see :class:`OnnxPrediction`."""
        hidden = self.image.hidden(images)  # [batch, views, hidden]
        views = normalize(self.image.projection(hidden), dim=-1) * present.unsqueeze(-1)
        weights = self.image.fusion.weights(views) * present
        weights = weights / weights.sum(dim=1, keepdim=True)
        fused = normalize((weights.unsqueeze(-1) * views).sum(dim=1), dim=-1)  # [batch, dim]
        sequence = normalize(fused.mean(dim=0, keepdim=True), dim=-1)
        found = self.probabilities(fused), fused, weights, self.probabilities(sequence)
        return found if self.action_units is None else (*found, *self.action_units(hidden * present.unsqueeze(-1)))

    def probabilities(self, fused: Embeddings) -> Tensor:
        """softmax(scale · cosine), [batch, classes]."""
        return (self.scale * fused @ self.classes.T).softmax(dim=-1)


@dataclass(frozen=True)
class OnnxPrediction:
    """Outputs for a batch. Action units are strengths, 0…1, of all views; None of a model that gives none."""

    probabilities: Float32[np.ndarray, "batch classes"]
    embedding: Float32[np.ndarray, "batch dim"]
    view_weights: Float32[np.ndarray, "batch views"]
    sequence_probabilities: Float32[np.ndarray, "1 classes"]  # with the batch as the apex window of one sequence
    action_units: Float32[np.ndarray, "batch units"] | None = None  # of scans with a neutral reference
    action_units_alone: Float32[np.ndarray, "batch units"] | None = None  # of scans without one


class OnnxModel:
    """Exported model, in full precision or int8, in onnxruntime on the CPU; 0 ``threads`` is onnxruntime's default."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        require_onnx()
        import onnxruntime

        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}: `kedro run --pipeline=export` writes one.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        metadata = self._session.get_modelmeta().custom_metadata_map
        description = metadata.get(DESCRIPTION) or metadata.get(FORMER_DESCRIPTION)
        if description is None:
            raise ValueError(f"{path} was not written by affect4d: its metadata have no entry {DESCRIPTION!r}.")
        self.description = PackagedModel.model_validate_json(description)
        self._outputs = [output.name for output in self._session.get_outputs()]

    @property
    def action_units(self) -> tuple[str, ...]:
        """Names of the action units, in the order of the outputs' columns; none of a file without them."""
        return self.description.action_unit_names if UNIT_OUTPUTS[0] in self._outputs else ()

    def answer(self, images: ModelImages, present: Bool[np.ndarray, "batch views"] | None = None) -> OnnxPrediction:
        """Outputs for a batch; all views are present by default. ValueError for images of another shape."""
        shape = input_shape(self.description)
        if images.shape[1:] != shape:
            raise ValueError(f"The model takes images of the shape (batch, {str(shape)[1:]}, not {images.shape}.")
        present = np.ones(images.shape[:2], bool) if present is None else present
        found = self._session.run(self._outputs, {"images": images, "present": present})
        return OnnxPrediction(**dict(zip(self._outputs, found, strict=True)))


def export_onnx(loaded: LoadedModel, path: Path) -> Path:
    """Write a packaged model as one ONNX file; needs the extra ``export``.

    Inputs are ``images`` (float32 [batch, views, channels, size, size], as
    ``assemble_unaugmented`` makes them) and ``present`` (bool [batch, views]; images of
    absent views must be finite and are ignored). A sample without any view gives NaN.
    Outputs are the fields of :class:`OnnxPrediction`.
    """
    require_onnx()
    graph = ProbabilityGraph(loaded.model.image, class_matrix(loaded), loaded.scale, loaded.action_units).eval()
    program = _translate(graph, input_shape(loaded.description))
    program.model.metadata_props.update(onnx_metadata(loaded.description))
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(path)
    return path


def require_onnx() -> None:
    """Raise ModuleNotFoundError, with the command to install it, without the extra ``export``."""
    for package in ("onnx", "onnxruntime", "onnxscript"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(
                f"{package} is not installed: `make setup` brings what an ONNX file needs; elsewhere, in a clone: "
                "pip install -e '.[export]'."
            )


def class_matrix(loaded: LoadedModel) -> Float[Tensor, "classes dim"]:
    """Unit vector of every expression: the normalised mean of its prompts."""
    means = [torch.from_numpy(vectors).mean(dim=0) for vectors in loaded.prompts.values()]
    return normalize(torch.stack(means), dim=-1)


def input_shape(model: PackagedModel) -> tuple[int, int, int, int]:
    """Shape of one sample: views, channels, size, size."""
    views, channels = model.inputs.input_shape(len(model.render.angles))
    return views, channels, model.inputs.size, model.inputs.size


def onnx_metadata(model: PackagedModel) -> dict[str, str]:
    """Metadata of the file as JSON values: the names along its axes, and the whole description."""
    inputs = model.inputs
    names = {"views": model.views, "channels": inputs.channel_names}
    units = {"action_units": model.action_unit_names} if model.action_units else {}
    axes = {"expressions": model.expressions, **names, "size": inputs.size, **units}
    return {DESCRIPTION: model.model_dump_json(), **{name: json.dumps(value) for name, value in axes.items()}}


def _translate(graph: ProbabilityGraph, sample: tuple[int, int, int, int]) -> torch.onnx.ONNXProgram:
    example = (torch.zeros(2, *sample), torch.ones(2, sample[0], dtype=torch.bool))
    batch = {0: torch.export.Dim("batch")}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            graph,
            example,
            input_names=INPUTS,
            output_names=OUTPUTS if graph.action_units is None else (*OUTPUTS, *UNIT_OUTPUTS),
            dynamic_shapes={"images": batch, "present": batch},
            dynamo=True,
            verbose=False,
        )
    return cast(torch.onnx.ONNXProgram, program)


def quantise_onnx(source: Path, target: Path, images: ModelImages) -> Path:
    """Write the int8 form of an exported file by onnxruntime's static quantisation; needs the extra ``export``.

    Weights are int8 with one scale a channel; activations are uint8 within the range of all but a hundred-thousandth
    of their values, on up to :data:`CALIBRATION` model inputs of other subjects than it is measured on.
    """
    require_onnx()
    if not len(images):
        raise ValueError("int8 needs images of faces, to find the range of activations: give at least one.")
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(ready),
            str(target),
            _calibration_reader(images),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_last_products(ready),
            calibrate_method=quantization.CalibrationMethod.Percentile,
        )
    return target


def _calibration_reader(images: ModelImages) -> Any:
    """Evenly spread images, as onnxruntime reads them: one at a time, since histograms are taken of equal shapes."""
    from onnxruntime.quantization import CalibrationDataReader

    chosen = images[np.linspace(0, len(images) - 1, min(len(images), CALIBRATION)).round().astype(int)]
    batches = iter(np.split(chosen, len(chosen)))

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(batches, None)
            return None if batch is None else dict(zip(INPUTS, (batch, np.ones(batch.shape[:2], bool)), strict=True))

    return Reader()


def _last_products(file: Path) -> list[str]:
    """Names of the matrix products from which probabilities and action units are computed."""
    import onnx

    graph = onnx.load(str(file)).graph
    nodes = {output: node for node in graph.node for output in node.output}
    found = set()
    for output in (one.name for one in graph.output if one.name not in ("embedding", "view_weights")):
        node = nodes[output]
        while node.op_type not in ("MatMul", "Gemm"):
            node = nodes[node.input[0]]
        found.add(str(node.name))
    return sorted(found)
