"""The smaller model as ONNX, checked under onnxruntime (extra ``onnx``)."""

from __future__ import annotations

import importlib
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from analysis.files import atomic
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.request import Exported, ExportRequest
from pruners.capture import batch_shapes
from pruners.errors import PruneScopeError, UnsupportedError, first_line

NAME = "onnx"
FILE = "model.onnx"
PACKAGES = ("onnxruntime", "onnx", "onnxscript")
TOLERANCE = 1e-3


def require_packages() -> None:
    """Import the packages of the extra ``onnx``.

    Raises:
        UnsupportedError: One is not installed; the message says how to install it.
    """
    for name in PACKAGES:
        _require(name)


def _require(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UnsupportedError(
            f"ONNX needs {name}, which is not installed: pip install 'prunescope[onnx]'"
        ) from None


def export_onnx(request: ExportRequest) -> Exported:
    """Write ``model.onnx``.

    Raises:
        UnsupportedError: A package is missing, or the model holds what ONNX cannot say.
    """
    path = request.directory / FILE
    difference = write_onnx(request.model(), request.prepared.subject.example, path)
    text = f"the smaller model; onnxruntime's logits differ by {difference:.1e} of the largest"
    return Exported(files=((path, text),), notes=model_notes(request))


def write_onnx(model: nn.Module, example: Tensor, path: Path) -> float:
    """Write a model as ONNX with a free batch size and run it under onnxruntime.

    Args:
        model: The model in eval mode; it is left as found.
        example: An input batch of at least two samples.
        path: The ``.onnx`` file.

    Returns:
        Largest difference of the logits, relative to the largest of them.

    Raises:
        UnsupportedError: A package is missing, or the model holds what ONNX cannot say.
        PruneScopeError: onnxruntime computes something else.
    """
    require_packages()
    # Another batch size than the example's, so that a size that was frozen shows.
    inputs = torch.cat([example, example.flip(0)[:1]])
    with torch.no_grad():
        expected = model(inputs).cpu()
    with atomic(path) as partial:
        _convert(model, example, partial)
        difference = relative_difference(run_onnx(partial, inputs), expected)
        if not difference < TOLERANCE:
            raise PruneScopeError(f"onnxruntime's logits differ by {difference:.2g}")
    return difference


def _convert(model: nn.Module, example: Tensor, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                model,
                (example,),
                str(path),
                input_names=["input"],
                output_names=["logits"],
                dynamic_shapes=batch_shapes(model),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        # The exporter raises many unrelated types.
        raise UnsupportedError(
            f"the model cannot be written as ONNX: {first_line(error)}"
        ) from error


def run_onnx(path: Path, inputs: Tensor) -> Tensor:
    """Return what onnxruntime computes for a batch, on the CPU.

    Raises:
        UnsupportedError: onnxruntime is not installed.
    """
    runtime = _require("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"input": inputs.cpu().numpy()})[0])


def open_onnx(model: nn.Module, inputs: Tensor) -> Callable[[], object]:
    """Return what runs a model on a batch under onnxruntime, on the CPU with torch's threads.

    Args:
        model: The model in eval mode.
        inputs: A batch of at least two samples.

    Raises:
        UnsupportedError: A package is missing, or the model holds what ONNX cannot say.
    """
    require_packages()
    runtime = _require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        _convert(model, inputs[:2], path)
        content = path.read_bytes()
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    feed = {"input": inputs.cpu().numpy()}
    return lambda: session.run(None, feed)


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference of two tensors, relative to the largest expected value."""
    scale = expected.abs().max().clamp_min(1e-12)
    return float((found - expected).abs().max() / scale)
