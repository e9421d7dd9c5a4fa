"""Export to ONNX, checked under onnxruntime (extra ``onnx``)."""

from __future__ import annotations

import importlib
import logging
import warnings
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from pruners.errors import PruneScopeError, UnsupportedError

TOLERANCE = 1e-3


def require(name: str) -> ModuleType:
    """Import a package of the extra ``onnx``.

    Raises:
        UnsupportedError: It is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UnsupportedError(
            f"ONNX export needs {name}, which is not installed: pip install 'prunescope[onnx]'"
        ) from None


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
    runtime = require("onnxruntime")
    require("onnx")
    require("onnxscript")
    partial = path.with_name(path.name + ".partial")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                model,
                (example,),
                str(partial),
                input_names=["input"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        partial.unlink(missing_ok=True)
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise UnsupportedError(f"the model cannot be written as ONNX: {reason}") from error
    partial.replace(path)
    # Another batch size than the example's, so that a size that was frozen shows.
    inputs = torch.cat([example, example.flip(0)[:1]])
    with torch.no_grad():
        expected = model(inputs)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = torch.from_numpy(session.run(None, {"input": inputs.cpu().numpy()})[0])
    scale = expected.abs().max().clamp_min(1e-12)
    difference = float((found - expected.cpu()).abs().max() / scale.cpu())
    if not difference < TOLERANCE:
        raise PruneScopeError(f"onnxruntime's logits differ by {difference:.2g}")
    return difference
