"""An exported ONNX file, asked: pictures in, the same answers out as of the bundle it was made from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from affect4d.inference.bundle import Bundle
from affect4d.inference.onnx_export import BUNDLE, OUTPUTS, input_shape, require_onnx

Images = Float32[np.ndarray, "batch views channels size size"]


@dataclass(frozen=True)
class OnnxAnswers:
    """What the file says of a batch.

    Attributes:
        probabilities: Of every sample, in the order of the expressions.
        embedding: Unit vectors of the joint space: beside a sentence's, a cosine.
        view_weights: Share of each view, summing to one.
        sequence_probabilities: Of the batch taken as the frames that speak for one sequence (its apex window).
    """

    probabilities: Float32[np.ndarray, "batch classes"]
    embedding: Float32[np.ndarray, "batch dim"]
    view_weights: Float32[np.ndarray, "batch views"]
    sequence_probabilities: Float32[np.ndarray, "1 classes"]


class OnnxModel:
    """An exported model in onnxruntime, on the CPU.

    Args:
        path: A file written by :func:`affect4d.inference.onnx_export.export_onnx`, or its int8 form.
        threads: Threads of one call; 0: as many as onnxruntime likes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not one of ours.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        require_onnx()
        import onnxruntime

        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}: `kedro run --pipeline=export` writes one.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        metadata = self._session.get_modelmeta().custom_metadata_map
        if BUNDLE not in metadata:
            raise ValueError(f"{path} was not written by affect4d: its metadata hold no bundle.")
        self.bundle = Bundle.model_validate_json(metadata[BUNDLE])

    def answer(self, images: Images, present: Bool[np.ndarray, "batch views"] | None = None) -> OnnxAnswers:
        """Ask for a batch; every view is there where ``present`` is left out.

        Raises:
            ValueError: If the pictures are not what the model takes.
        """
        shape = input_shape(self.bundle)
        if images.shape[1:] != shape:
            raise ValueError(f"The model takes pictures of the shape (batch, {str(shape)[1:]}, not {images.shape}.")
        seen = np.ones(images.shape[:2], bool) if present is None else present
        return OnnxAnswers(*self._session.run(list(OUTPUTS), {"images": images, "present": seen}))
