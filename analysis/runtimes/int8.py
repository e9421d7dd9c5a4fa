"""An ONNX model in 8 bits: static quantisation, calibrated on samples.

Weights are int8, symmetric and by output channel, so that a zero stays a zero. Activations are
uint8 with a zero point. ``QuantizeLinear`` and ``DequantizeLinear`` stand in the graph, as ONNX
Runtime, OpenVINO and TensorRT read them. Norms, softmax and GELU stay float32: they are little of
the work and lose much of the accuracy. So does the mask that is added to the scores of an
attention: its huge negative numbers would leave the scores one step of 256.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.edits import PreparedSubject
from analysis.runtimes.inference import OnnxModel
from analysis.runtimes.packages import require, require_onnx
from pruners.batches import Inputs, parts_of
from pruners.errors import InputError, UnsupportedError, first_line

# What computes with weights, and what hands its values on.
_OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "Concat"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"),
    *("Reshape", "Transpose", "Squeeze", "Slice", "Flatten"),
)

# Samples whose smallest and largest values are averaged with those of as many others.
_TOGETHER = 32


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
    """Return the calibration inputs of a subject, 32 at a time; none of them is evaluated.

    Raises:
        InputError: There are none.
    """
    split = prepared.subject.calibration
    if not split:
        raise InputError(
            "8 bits need calibration samples, which say the ranges of activations; give a data "
            "address, and calibration samples above 0 or calibration data"
        )
    return (inputs for inputs, _ in split.batches(_TOGETHER))


def quantized_onnx(content: bytes, batches: Callable[[], Iterable[Inputs]]) -> bytes:
    """Return a float32 ONNX file in 8 bits.

    Ranges of activations are from the smallest to the largest value of all batches, or from the
    mean of each batch's smallest to that of their largest, which a few odd samples move little:
    what is nearer to the outputs in float32 on these batches. Equal files and batches give an equal
    file. On processors without 8-bit instructions of their own (VNNI), sums of int8 products may
    saturate and answers differ from those elsewhere.

    Args:
        content: The file; its inputs are in the order of the model's.
        batches: Gives the calibration inputs ``(N, ...)``, the same ones each time.

    Raises:
        UnsupportedError: A package is missing, or onnxruntime cannot quantise the model.
    """
    with tempfile.TemporaryDirectory(prefix="prunescope-") as folder:
        try:
            prepared = _prepared(content, Path(folder))
            found = [_quantized(prepared, batches(), averages=False)]
            # Numbers as huge as those of a mask have no average in float32.
            with contextlib.suppress(FloatingPointError), np.errstate(over="raise"):
                found.append(_quantized(prepared, batches(), averages=True))
        except InputError:
            raise  # of the samples, whose error is a ValueError as well
        except (RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
            raise UnsupportedError(
                f"onnxruntime cannot quantise the model: {first_line(error)}"
            ) from error
    if len(set(found)) == 1:
        return found[0]
    errors = _errors(OnnxModel(content), [OnnxModel(item) for item in found], batches())
    return found[int(errors[1] < errors[0])]


def _prepared(content: bytes, folder: Path) -> Path:
    """Write a file as the quantiser takes it."""
    shapes = require("onnxruntime.quantization.shape_inference", extra="onnx")
    source, target = folder / "float.onnx", folder / "prepared.onnx"
    source.write_bytes(content)
    # With shapes that are symbolic it fails on views of a free batch size.
    shapes.quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    return target


def _quantized(prepared: Path, batches: Iterable[Inputs], *, averages: bool) -> bytes:
    """Return the file in 8 bits, with ranges that are averages over batches or hold them all."""
    tool = require("onnxruntime.quantization", extra="onnx")
    graph = require("onnx", extra="onnx").load(prepared).graph
    target = prepared.with_name("int8.onnx")
    tool.quantize_static(
        str(prepared),
        str(target),
        _Calibration([item.name for item in graph.input], batches),
        quant_format=tool.QuantFormat.QDQ,
        op_types_to_quantize=list(_OPERATORS),
        nodes_to_exclude=_sums_before_softmax(graph),
        per_channel=True,
        activation_type=tool.QuantType.QUInt8,
        weight_type=tool.QuantType.QInt8,
        extra_options={
            "WeightSymmetric": True,
            "ActivationSymmetric": False,
            "CalibMovingAverage": averages,
        },
    )
    return target.read_bytes()


def _errors(
    exact: OnnxModel, models: Sequence[OnnxModel], batches: Iterable[Inputs]
) -> list[float]:
    """Return how far each model's outputs are from the exact ones, relative to each sample's."""
    total = [0.0] * len(models)
    for inputs in batches:
        expected = exact(inputs).double().flatten(1)
        sizes = expected.square().sum(1).clamp(min=torch.finfo(torch.float64).tiny)
        for place, model in enumerate(models):
            apart = model(inputs).double().flatten(1) - expected
            total[place] += float((apart.square().sum(1) / sizes).sum())
    return total


def _sums_before_softmax(graph: Any) -> list[str]:
    """Return the names of the nodes that add a mask to the scores of an attention."""
    read = {name for node in graph.node if node.op_type == "Softmax" for name in node.input}
    return [node.name for node in graph.node if node.op_type == "Add" and node.output[0] in read]
