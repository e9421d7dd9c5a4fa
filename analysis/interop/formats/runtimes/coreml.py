"""A plan's model as a Core ML package, of which the shapes are checked (extra ``coreml``)."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from analysis import runtimes
from analysis.files import write_zip
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.request import Exported, ExportRequest
from pruners.batches import Inputs, names_of, parts_of, text_lengths
from pruners.capture import on_cpu
from pruners.errors import PruneScopeError, UnsupportedError, first_line

NAME = "coreml"
PACKAGE = "model.mlpackage"
FILE = "model.mlpackage.zip"
MOST_SAMPLES = 64


def require_coreml() -> None:
    """Check that coremltools is installed.

    Raises:
        UnsupportedError: It is not; the message says how to install it.
    """
    _tools()


def _tools() -> Any:
    # It reports each of Apple's libraries that only Apple's systems have.
    logging.getLogger("coremltools").setLevel(logging.CRITICAL)
    return runtimes.require("coremltools", extra=NAME)


def export_coreml(request: ExportRequest) -> Exported:
    """Write ``model.mlpackage.zip``.

    Raises:
        UnsupportedError: coremltools is missing, or the model holds what Core ML cannot say.
        PruneScopeError: A convolution or a linear layer has another shape in the package.
    """
    model = on_cpu(request.model())
    example = request.prepared.subject.example.cpu()
    converted = _converted(model, example)
    expected, found = _shapes(model), _program_shapes(converted)
    if missing := expected - found:
        raise PruneScopeError(
            "Core ML's convolutions and linear layers have other shapes than the model's: "
            f"{_listed(missing)} became {_listed(found - expected)}"
        )
    path = request.directory / FILE
    with tempfile.TemporaryDirectory(prefix="prunescope-") as place:
        folder = Path(place) / PACKAGE
        converted.save(str(folder))
        files = sorted(item for item in folder.rglob("*") if item.is_file())
        write_zip(path, files, folder=PACKAGE, root=folder)
    text = f"the {request.form_words}; {sum(expected.values())} layers have its shapes"
    notes = (
        *model_notes(request),
        "Core ML runs on Apple's systems alone: shapes were checked, outputs were not",
    )
    return Exported(files=((path, text),), notes=notes)


def _converted(model: nn.Module, example: Inputs) -> Any:
    tools = _tools()
    samples = tools.RangeDim(1, MOST_SAMPLES, default=1)
    lengths = text_lengths(example) if runtimes.shorter_text(model, example) is not None else ()
    sizes = {size: tools.RangeDim(2, size, default=size) for size in lengths}
    places = [
        tools.TensorType(
            name=name,
            shape=(samples, *(sizes.get(size, size) for size in part.shape[1:2]), *part.shape[2:]),
            # It knows no int64.
            dtype=np.float32 if part.is_floating_point() else np.int32,
        )
        for name, part in zip(names_of(example), parts_of(example), strict=True)
    ]
    try:
        # It draws progress bars, and warns of each version of torch that it was not tested with.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            # Of torch.export, coremltools 9 does not know pooling without a stride.
            trace: Any = torch.jit.trace
            one_by_one = runtimes.OneByOne(model, example)
            traced = trace(one_by_one, parts_of(example), check_trace=False)
            return tools.convert(
                traced,
                inputs=places,
                outputs=[tools.TensorType(name="logits")],
                minimum_deployment_target=tools.target.iOS17,
                compute_precision=tools.precision.FLOAT32,
            )
    except Exception as error:
        # The converter raises many unrelated types.
        raise UnsupportedError(
            f"the model cannot be written for Core ML: {first_line(error)}"
        ) from error


def _shapes(model: nn.Module) -> Counter[tuple[int, ...]]:
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return Counter(
        tuple(module.weight.shape) for module in model.modules() if isinstance(module, kinds)
    )


def _program_shapes(converted: Any) -> Counter[tuple[int, ...]]:
    operations: Iterable[Any] = converted._mil_program.functions["main"].operations
    return Counter(
        tuple(item.weight.shape)
        for item in operations
        if item.op_type in ("conv", "conv_transpose", "linear")
    )


def _listed(shapes: Counter[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes) or "none"
