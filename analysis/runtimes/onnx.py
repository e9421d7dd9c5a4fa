"""A model as ONNX, with a free batch size and length of text."""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from analysis.runtimes.inference import OnnxModel, check_outputs
from analysis.runtimes.packages import require, require_onnx
from analysis.sentences import listed
from pruners.batches import Inputs, names_of, shortened, text_lengths
from pruners.capture import free_sizes, on_cpu
from pruners.errors import UnsupportedError, first_line

# As `free_sizes` calls the number of samples.
BATCH = "batch"
WORD = re.compile(r"\w+")


def as_onnx(model: nn.Module, example: Inputs) -> bytes:
    """Return a model as an ONNX file; its first dimension is free, and lengths of text are.

    Inputs have the names of `names_of`, and the types and order of the example's tensors.

    Args:
        model: The model in eval mode; it is left as found.
        example: An input batch ``(N, ...)`` of at least two samples.

    Raises:
        UnsupportedError: A package is missing, or the model holds what ONNX cannot say.
    """
    require_onnx()
    model = on_cpu(model)
    with tempfile.TemporaryDirectory(prefix="prunescope-") as folder:
        path = Path(folder) / "model.onnx"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                logging.getLogger("torch.onnx").setLevel(logging.ERROR)
                torch.onnx.export(
                    model,
                    (example.cpu(),),
                    str(path),
                    input_names=list(names_of(example)),
                    output_names=["logits"],
                    dynamic_shapes=free_sizes(model, example),
                    dynamo=True,
                    external_data=False,
                    verbose=False,
                )
        except Exception as error:
            # The exporter raises many unrelated types.
            raise UnsupportedError(
                f"the model cannot be written as ONNX: {first_line(error)}"
            ) from error
        return _bare(path.read_bytes())


def _bare(content: bytes) -> bytes:
    """Leave out what the exporter notes beside the model, and name its free lengths.

    It writes a trace of each node: lines of the user's code and paths of the machine, which are
    nobody's else and can be larger than the weights. Lengths of text have names such as ``s27``.
    """
    onnx = require("onnx", extra="onnx")
    model = onnx.load_from_string(content)
    graphs = [model.graph]
    free = dict.fromkeys(size for item in model.graph.input for size in _free_sizes(item))
    lengths = [size for size in free if size != BATCH]
    names = {size: f"length_{place}" if place else "length" for place, size in enumerate(lengths)}
    for graph in graphs:
        notes = [graph, *graph.node, *graph.initializer, *graph.value_info]
        for item in [*notes, *graph.input, *graph.output]:
            del item.metadata_props[:]
            item.ClearField("doc_string")
        # Branches and bodies of loops are graphs in attributes of nodes.
        inner = [item for node in graph.node for item in node.attribute]
        graphs += [item.g for item in inner if item.HasField("g")]
        for item in [*graph.input, *graph.output, *graph.value_info]:
            for size in item.type.tensor_type.shape.dim:
                if size.dim_param:
                    size.dim_param = WORD.sub(
                        lambda found: names.get(found[0], found[0]), size.dim_param
                    )
    written: bytes = model.SerializeToString()
    return written


def _free_sizes(value: Any) -> list[str]:
    sizes = value.type.tensor_type.shape.dim
    return [size.dim_param for size in sizes if size.dim_param]


def open_onnx(model: nn.Module, inputs: Inputs) -> Callable[[], object]:
    """Return what runs a model on a batch in ONNX Runtime, on the CPU with torch's threads.

    Args:
        model: The model in eval mode.
        inputs: A batch of at least two samples.

    Raises:
        UnsupportedError: A package is missing, or the model holds what ONNX cannot say.
    """
    run, batch = OnnxModel(as_onnx(model, inputs[:2])), inputs.cpu()
    return lambda: run(batch)


def check_onnx(content: bytes, model: nn.Module, example: Inputs) -> float:
    """Return how far onnxruntime's outputs are from the model's; see `check_outputs`.

    Raises:
        UnsupportedError: onnxruntime is not installed.
        PruneScopeError: They differ.
    """
    run = OnnxModel(content)
    return check_outputs("onnxruntime", run, model, example, takes=run.takes)


def length_notes(content: bytes, example: Inputs) -> tuple[str, ...]:
    """Say which length of text an ONNX file is for, if for one alone."""
    shorter = shortened(example)
    if shorter is None or OnnxModel(content).takes(shorter):
        return ()
    lengths = listed([str(size) for size in sorted(text_lengths(example))])
    return (f"the file takes texts of {lengths} tokens only",)


def count_zeros(content: bytes) -> int:
    """Return how many weights are zero in an ONNX file: of float32 and int8 tensors of rank > 1.

    Weights of 8 bits are counted as stored: symmetric ones have zero at 0.
    """
    onnx = require("onnx", extra="onnx")
    graph = onnx.load_from_string(content).graph
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.INT8)
    zeros = 0
    for item in graph.initializer:
        if item.data_type in kinds and len(item.dims) > 1:
            zeros += int((onnx.numpy_helper.to_array(item) == 0).sum())
    for item in graph.sparse_initializer:
        total = 1
        for size in item.dims:
            total *= size
        zeros += total - item.values.dims[0]
    return zeros
