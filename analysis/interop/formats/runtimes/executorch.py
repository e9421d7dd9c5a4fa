"""A plan's model as an ExecuTorch program, checked by its runtime (extra ``executorch``)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from analysis import runtimes
from analysis.files import atomic
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.request import Exported, ExportRequest
from pruners.batches import single
from pruners.capture import on_cpu
from pruners.errors import UnsupportedError, first_line

NAME = "executorch"
FILE = "model.pte"


def require_executorch() -> None:
    """Check that ExecuTorch is installed.

    Raises:
        UnsupportedError: It is not; the message says how to install it.
    """
    runtimes.require("executorch.exir", extra=NAME)
    runtimes.require("executorch.runtime", extra=NAME)


def export_executorch(request: ExportRequest) -> Exported:
    """Write ``model.pte``, which takes one sample at a time.

    Raises:
        UnsupportedError: ExecuTorch is missing, or the model holds what it cannot say.
        PruneScopeError: Its runtime computes something else.
    """
    require_executorch()
    path = request.directory / FILE
    model = request.model()
    example = single(request.prepared.subject.example, "ExecuTorch programs")
    with atomic(path) as partial:
        partial.write_bytes(_program(model, example))
    difference = runtimes.check_outputs("ExecuTorch", _Program(path), model, example)
    text = (
        f"the {request.form_words} for XNNPACK, one sample a call; ExecuTorch's outputs "
        f"{runtimes.difference_words(difference)}"
    )
    return Exported(files=((path, text),), notes=model_notes(request))


def _program(model: nn.Module, example: Tensor) -> bytes:
    exir: Any = runtimes.require("executorch.exir", extra=NAME)
    partition: Any = runtimes.require(
        "executorch.backends.xnnpack.partition.xnnpack_partitioner", extra=NAME
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            captured = torch.export.export(on_cpu(model), (example[:1].cpu(),))
            lowered = exir.to_edge_transform_and_lower(
                captured, partitioner=[partition.XnnpackPartitioner()]
            )
            return bytes(lowered.to_executorch().buffer)
    except Exception as error:
        # Capture, lowering and serialisation raise many unrelated types.
        raise UnsupportedError(
            f"the model cannot be written for ExecuTorch: {first_line(error)}"
        ) from error


class _Program:
    """A program in ExecuTorch's runtime; a batch goes through it sample by sample."""

    def __init__(self, path: Path) -> None:
        runtime: Any = runtimes.require("executorch.runtime", extra=NAME)
        # The method does not keep the program alive.
        self._program = runtime.Runtime.get().load_program(str(path))
        self._method = self._program.load_method("forward")

    def __call__(self, inputs: Tensor) -> Tensor:
        single = (inputs[place : place + 1] for place in range(len(inputs)))
        return torch.cat([self._method.execute([one])[0].clone() for one in single])
