"""An exported file in whole numbers: a third of the size, and quicker on a processor."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from affect4d.inference.onnx_export import INPUTS, OUTPUTS, require_onnx

Images = Float32[np.ndarray, "batch views channels size size"]

CALIBRATION = 128
"""So many samples, at most, say how large activations become."""
LAYERS = ("Conv", "Gemm", "MatMul", "Relu", "Add", "AveragePool")
"""What is computed in whole numbers; the cosines with the prompts are not."""


def quantise_onnx(source: Path, target: Path, images: Images) -> Path:
    """Write the int8 form of an exported file.

    Weights are int8 with one scale a channel; activations are uint8 within the range that all but a hundred-thousandth
    of them have on some pictures (onnxruntime's static quantisation).

    Args:
        source: A file written by :func:`affect4d.inference.onnx_export.export_onnx`.
        target: Where to.
        images: Pictures of faces as the model sees them, of other people than it is measured on;
            :data:`CALIBRATION` of them are looked at, evenly spread.

    Returns:
        The target.

    Raises:
        ModuleNotFoundError: If the extra ``export`` is not installed.
        ValueError: If there is no picture.
    """
    require_onnx()
    if not len(images):
        raise ValueError("Whole numbers need pictures of faces, to find the range of activations: give at least one.")
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(ready),
            str(target),
            _reader(images),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=list(LAYERS),
            nodes_to_exclude=_answering(ready),
            calibrate_method=quantization.CalibrationMethod.Percentile,
        )
    return target


def _reader(images: Images) -> Any:
    """The pictures as onnxruntime reads them."""
    from onnxruntime.quantization import CalibrationDataReader

    chosen = images[np.linspace(0, len(images) - 1, min(len(images), CALIBRATION)).round().astype(int)]
    batches = iter(np.split(chosen, len(chosen)))

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """A sample at a time: histograms are taken of equal shapes."""

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(batches, None)
            return None if batch is None else dict(zip(INPUTS, (batch, np.ones(batch.shape[:2], bool)), strict=True))

    return Reader()


def _answering(file: Path) -> list[str]:
    """Names of the products with the prompts' matrix: what the softmax of a probability is taken of."""
    import onnx

    nodes = {output: node for node in onnx.load(str(file)).graph.node for output in node.output}
    softmaxes = [nodes[output] for output in OUTPUTS if "probabilities" in output]
    return [str(nodes[softmax.input[0]].name) for softmax in softmaxes]
