"""A plan's model as ONNX, checked under onnxruntime (extra ``onnx``)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from analysis import runtimes
from analysis.files import atomic
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.request import Exported, ExportRequest
from pruners.batches import Inputs
from pruners.errors import PruneScopeError

NAME = "onnx"
FILE = "model.onnx"


def export_onnx(request: ExportRequest) -> Exported:
    """Write ``model.onnx``.

    Raises:
        UnsupportedError: A package is missing, the model holds what ONNX cannot say, or the plan
            has no masked form.
        PruneScopeError: onnxruntime computes something else.
    """
    path = request.directory / FILE
    example = request.prepared.subject.example
    difference = write_onnx(request.model(), example, path, sparse=request.sparse)
    words = runtimes.difference_words(difference)
    text = f"the {request.form_words}; onnxruntime's outputs {words}"
    notes = model_notes(request) + runtimes.length_notes(path.read_bytes(), example)
    if request.sparse:
        notes += (
            "mostly zero weights are stored as sparse initializers, which ONNX Runtime reads and "
            "OpenVINO does not",
        )
    return Exported(files=((path, text),), notes=notes)


def write_onnx(model: nn.Module, example: Inputs, path: Path, *, sparse: bool = False) -> float:
    """Write a model as ONNX with a free batch size and run it under onnxruntime.

    Args:
        model: The model in eval mode; it is left as found.
        example: An input batch of at least two samples.
        path: The ``.onnx`` file.
        sparse: Store mostly zero weights without their zeros.

    Returns:
        Largest difference of the outputs at two batch sizes, relative to the largest of them.

    Raises:
        UnsupportedError: A package is missing, or the model holds what ONNX cannot say.
        PruneScopeError: onnxruntime computes something else.
    """
    runtimes.require_onnx()
    content = runtimes.as_onnx(model, example)
    difference = runtimes.check_onnx(content, model, example)
    if sparse:
        dense, content = content, runtimes.with_sparse_initializers(content)
        outputs = [runtimes.run_onnx(item, example) for item in (dense, content)]
        if not torch.equal(*outputs):
            raise PruneScopeError("onnxruntime computes something else with sparse initializers")
    with atomic(path) as partial:
        partial.write_bytes(content)
    return difference
