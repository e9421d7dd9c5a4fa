"""Mostly zero weights stored without their zeros: smaller files that compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.runtimes.packages import require

# A stored value takes four bytes and its place eight.
_MOST_NONZERO = 1 / 3


def with_sparse_initializers(content: bytes) -> bytes:
    """Return an ONNX file with each float32 tensor stored in the shorter of two ways.

    A tensor of less than a third of values that are not zero becomes a ``sparse_initializer``:
    its values and their places. ONNX Runtime reads it and computes with the dense tensor.

    Args:
        content: An ONNX file.
    """
    onnx = require("onnx", extra="onnx")
    model = onnx.load_from_string(content)
    graph = model.graph
    dense = []
    for item in graph.initializer:
        values = onnx.numpy_helper.to_array(item)
        is_float = item.data_type == onnx.TensorProto.FLOAT and values.size > 1
        if is_float and np.count_nonzero(values) < values.size * _MOST_NONZERO:
            graph.sparse_initializer.append(_sparse(onnx, item.name, values))
        else:
            dense.append(item)
    del graph.initializer[:]
    graph.initializer.extend(dense)
    written: bytes = model.SerializeToString()
    return written


def _sparse(onnx: Any, name: str, values: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
    places = np.flatnonzero(values).astype(np.int64)
    return onnx.helper.make_sparse_tensor(
        onnx.numpy_helper.from_array(values.reshape(-1)[places], name),
        onnx.numpy_helper.from_array(places, f"{name}_places"),
        list(values.shape),
    )
