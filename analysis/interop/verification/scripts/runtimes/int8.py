"""``model-int8.onnx`` under ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare with the float32 model: outputs, answers, zeros; and with itself, one by one."""
    path = case.folder / "model-int8.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    fits = case.fitting([item.shape for item in session.get_inputs()])
    batches, expected = [case.inputs[at] for at in fits], case.outputs("smaller", fits)

    def run(batch: Sequence[Tensor]) -> Tensor:
        return torch.from_numpy(session.run(None, case.named(batch))[0])

    found = [run(batch) for batch in batches]
    yield case.near("outputs against float32", found, expected, 0.1)
    yield case.same_answers("answers against float32", found, expected, 0.8)
    single = [
        torch.cat([run(one) for one in zip(*(part.split(1) for part in batch), strict=True)])
        for batch in batches
    ]
    yield case.near("outputs against those one by one", found, single, 1e-5)
    zeros = sum(
        int((onnx.numpy_helper.to_array(item) == 0).sum())
        for item in onnx.load(path).graph.initializer
        if item.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.INT8) and len(item.dims) > 1
    )
    state = case.state("smaller").values()
    least = sum(int((item == 0).sum()) for item in state if item.dim() > 1)
    yield case.at_least("zero weights", zeros, least)
