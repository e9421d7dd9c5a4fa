"""ONNX files read by OpenVINO, and written as its own format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis.runtimes.packages import require
from pruners.batches import Inputs, parts_of

# By default OpenVINO computes in bfloat16 where the processor has it: 2e-3 apart instead of 3e-7.
_CONFIG = {"INFERENCE_PRECISION_HINT": "f32"}


def _core() -> Any:
    return require("openvino", extra="openvino").Core()


def run_openvino(model: bytes | Path, inputs: Inputs) -> Tensor:
    """Return what OpenVINO computes in float32 for a batch ``(N, ...)``, on the CPU.

    Args:
        model: An ONNX file's content, or the path of an ``.xml`` file.
        inputs: The batch.

    Raises:
        UnsupportedError: OpenVINO is not installed.
    """
    core = _core()
    config = {**_CONFIG, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    read = core.read_model(model=model if isinstance(model, bytes) else str(model))
    given = [part.cpu().numpy() for part in parts_of(inputs)]
    found = core.compile_model(read, "CPU", config)(given)[0]
    return torch.from_numpy(found.copy())


def write_ir(content: bytes, path: Path) -> None:
    """Write an ONNX file as OpenVINO's format: ``.xml`` and, beside it, ``.bin``, in float32.

    Args:
        content: The ONNX file.
        path: The ``.xml`` file.

    Raises:
        UnsupportedError: OpenVINO is not installed.
    """
    openvino = require("openvino", extra="openvino")
    read = _core().read_model(model=content)
    openvino.save_model(read, str(path), compress_to_fp16=False)
