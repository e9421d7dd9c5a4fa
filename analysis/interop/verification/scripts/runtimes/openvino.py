"""What OpenVINO reads: its own format, and ONNX in float32 or 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openvino
import torch


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare the outputs with the float32 model's; those of 8 bits loosely, and the answers."""
    if case.facts["sparse"] and case.file.name == "model.onnx":
        raise NotImplementedError("OpenVINO reads no sparse initializers; export without them")
    core = openvino.Core()
    # By default it computes in bfloat16 where the processor has it.
    model = core.compile_model(
        core.read_model(str(case.file)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    sizes = [
        [size.get_length() if size.is_static else 0 for size in item.partial_shape]
        for item in model.inputs
    ]
    fits = case.fitting(sizes)
    found = [
        torch.from_numpy(model([part.numpy() for part in case.inputs[at]])[0].copy()) for at in fits
    ]
    expected = case.outputs("smaller", fits)
    if case.file.name == "model-int8.onnx":
        yield case.near("outputs against float32", found, expected, 0.1)
        yield case.same_answers("answers against float32", found, expected, 0.8)
    else:
        yield case.near("outputs", found, expected, 1e-5)
