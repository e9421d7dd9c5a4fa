"""``model.onnx`` under ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnxruntime
import torch


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare the logits with the smaller model's."""
    session = onnxruntime.InferenceSession(
        str(case.folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    found = [
        torch.from_numpy(session.run(None, {"input": part.numpy()})[0]) for part in case.inputs
    ]
    yield case.near("outputs", found, case.outputs("smaller"), 1e-5)
