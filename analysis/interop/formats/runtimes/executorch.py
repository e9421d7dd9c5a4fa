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
from analysis.sentences import listed
from pruners.batches import Inputs, parts_of, text_lengths
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
    """Write ``model.pte``, which takes one sample at a time, and texts up to the example's length.

    Raises:
        UnsupportedError: ExecuTorch is missing, or the model holds what it cannot say.
        PruneScopeError: Its runtime computes something else.
    """
    require_executorch()
    path = request.directory / FILE
    model, example = on_cpu(request.model()), request.prepared.subject.example.cpu()
    is_free = runtimes.shorter_text(model, example) is not None
    try:
        content = _program(model, example, is_free=is_free)
    except UnsupportedError:
        if not is_free:
            raise
        is_free, content = False, _program(model, example, is_free=False)
    with atomic(path) as partial:
        partial.write_bytes(content)
    difference = runtimes.check_outputs(
        "ExecuTorch", _Program(path), model, example, takes=lambda _: is_free
    )
    text = (
        f"the {request.form_words} for XNNPACK, one sample a call; ExecuTorch's outputs "
        f"{runtimes.difference_words(difference)}"
    )
    notes = model_notes(request)
    if lengths := [str(size) for size in sorted(text_lengths(example))]:
        most = "at most" if is_free else "exactly"
        notes += (f"the program takes texts of {most} {listed(lengths)} tokens",)
    return Exported(files=((path, text),), notes=notes)


def _program(model: nn.Module, example: Inputs, *, is_free: bool) -> bytes:
    exir: Any = runtimes.require("executorch.exir", extra=NAME)
    partition: Any = runtimes.require(
        "executorch.backends.xnnpack.partition.xnnpack_partitioner", extra=NAME
    )
    parts, lengths = parts_of(example[:1]), text_lengths(example)
    # Memory is planned ahead, so that there is a longest text.
    sizes = {size: torch.export.Dim(f"length_{size}", min=2, max=size) for size in lengths}
    shapes = [
        {1: sizes[part.shape[1]]} if is_free and part.dim() > 1 and part.shape[1] in sizes else None
        for part in parts
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            captured = torch.export.export(
                runtimes.OneByOne(model, example), parts, dynamic_shapes=(tuple(shapes),)
            )
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

    def __call__(self, inputs: Inputs) -> Tensor:
        single = (parts_of(inputs[place : place + 1]) for place in range(len(inputs)))
        return torch.cat([self._method.execute(list(one))[0].clone() for one in single])
