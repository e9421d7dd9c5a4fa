"""An ONNX model in 8 bits: static quantisation, calibrated on samples.

Weights are int8, symmetric and by output channel, so that a zero stays a zero. Activations are
uint8 with a zero point. ``QuantizeLinear`` and ``DequantizeLinear`` stand in the graph, as ONNX
Runtime, OpenVINO and TensorRT read them. Norms, softmax and GELU stay float32: they are little of
the work and lose much of the accuracy. So does the mask that is added to the scores of an
attention: its huge negative numbers would leave the scores one step of 256.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from analysis.edits import PreparedSubject
from analysis.runtimes.packages import require, require_onnx
from pruners.batches import Inputs, parts_of
from pruners.errors import InputError, UnsupportedError, first_line

# What computes with weights, and what hands its values on.
_OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "Concat"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"),
    *("Reshape", "Transpose", "Squeeze", "Slice", "Flatten"),
)


class _Calibration:
    """Batches as onnxruntime's quantiser asks for them."""

    def __init__(self, names: Sequence[str], batches: Iterable[Inputs]) -> None:
        self._names, self._batches = names, iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        inputs = next(self._batches, None)
        if inputs is None:
            return None
        pairs = zip(self._names, parts_of(inputs), strict=True)
        return {name: part.cpu().numpy() for name, part in pairs}


def require_int8(prepared: PreparedSubject) -> None:
    """Check, before any work, that a subject's models can be put in 8 bits.

    Raises:
        UnsupportedError: A package is missing.
        InputError: There are no calibration samples.
    """
    require_onnx()
    calibration_inputs(prepared)


def calibration_inputs(prepared: PreparedSubject) -> Iterator[Inputs]:
    """Return the calibration inputs of a subject, batch by batch; none of them is evaluated.

    Raises:
        InputError: There are none.
    """
    split = prepared.subject.calibration
    if not split:
        raise InputError(
            "8 bits need calibration samples, which say the ranges of activations; give a data "
            "address, and calibration samples above 0 or calibration data"
        )
    return (inputs for inputs, _ in split.finite_batches(prepared.batch_size))


def quantized_onnx(content: bytes, batches: Iterable[Inputs]) -> bytes:
    """Return a float32 ONNX file in 8 bits.

    Equal files and batches give an equal file. On processors without 8-bit instructions of their
    own (VNNI), sums of int8 products may saturate and answers differ from those elsewhere.

    Args:
        content: The file; its inputs are in the order of the model's.
        batches: Calibration inputs ``(N, ...)``, gone through once: ranges of activations are the
            smallest and largest values seen.

    Raises:
        UnsupportedError: A package is missing, or onnxruntime cannot quantise the model.
    """
    tool = require("onnxruntime.quantization", extra="onnx")
    onnx = require("onnx", extra="onnx")
    graph = onnx.load_from_string(content).graph
    shapes = require("onnxruntime.quantization.shape_inference", extra="onnx")
    with tempfile.TemporaryDirectory(prefix="prunescope-") as folder:
        source, prepared, target = (
            Path(folder) / f"{name}.onnx" for name in ("float", "prepared", "int8")
        )
        source.write_bytes(content)
        try:
            # With shapes that are symbolic it fails on views of a free batch size.
            shapes.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            tool.quantize_static(
                str(prepared),
                str(target),
                _Calibration([item.name for item in graph.input], batches),
                quant_format=tool.QuantFormat.QDQ,
                op_types_to_quantize=list(_OPERATORS),
                nodes_to_exclude=_sums_before_softmax(onnx.load(prepared).graph),
                per_channel=True,
                activation_type=tool.QuantType.QUInt8,
                weight_type=tool.QuantType.QInt8,
                extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
            )
        except (RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
            raise UnsupportedError(
                f"onnxruntime cannot quantise the model: {first_line(error)}"
            ) from error
        return target.read_bytes()


def _sums_before_softmax(graph: Any) -> list[str]:
    """Return the names of the nodes that add a mask to the scores of an attention."""
    read = {name for node in graph.node if node.op_type == "Softmax" for name in node.input}
    return [node.name for node in graph.node if node.op_type == "Add" and node.output[0] in read]
