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
    fits = case.fitting([item.shape for item in session.get_inputs()])
    found = [torch.from_numpy(session.run(None, case.named(case.inputs[at]))[0]) for at in fits]
    yield case.near("outputs", found, case.outputs("smaller", fits), 1e-5)
