"""What runtimes compute, and ONNX Runtime itself, on the CPU with torch's threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from analysis.runtimes.packages import require
from pruners.batches import Inputs, repeated
from pruners.capture import on_cpu
from pruners.errors import PruneScopeError
from pruners.float32 import strict

# Of float32 against the model in torch; what was seen is at most 4e-7.
TOLERANCE = 1e-5
# So many samples more than the example: a size that was frozen shows.
_MORE = (1, 5)


def _session(content: bytes) -> Any:
    runtime = require("onnxruntime", extra="onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxModel(nn.Module):
    """An ONNX file as a module: it takes and gives tensors, wherever they are.

    Args:
        content: The file. Its input is called ``input``.

    Raises:
        UnsupportedError: onnxruntime is not installed.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._session = _session(content)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of a batch ``(N, ...)``, on its device."""
        (found,) = self._session.run(None, {"input": inputs.cpu().numpy()})
        return torch.from_numpy(found).to(inputs.device)


def run_onnx(content: bytes, inputs: Inputs) -> Tensor:
    """Return what onnxruntime computes for a batch ``(N, ...)``, on the CPU.

    Raises:
        UnsupportedError: onnxruntime is not installed.
    """
    found: Tensor = OnnxModel(content)(inputs.cpu())
    return found


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference of two tensors, relative to the largest expected value."""
    scale = expected.abs().max().clamp_min(1e-12)
    return float((found - expected).abs().max() / scale)


@strict
def check_outputs(
    runtime: str,
    run: Callable[[Any], Tensor],
    model: nn.Module,
    example: Inputs,
) -> float:
    """Return how far a runtime's outputs are from a model's, relative to the largest.

    Two batch sizes are run, neither that of the example.

    Args:
        runtime: Its name, for messages.
        run: Runs a batch ``(N, ...)`` there.
        model: The model in eval mode.
        example: An input batch ``(N, ...)``.

    Raises:
        PruneScopeError: They differ by `TOLERANCE` or more.
    """
    model, worst = on_cpu(model), 0.0
    pool = repeated(example.flip(0), 1 + -(-max(_MORE) // len(example))).cpu()
    for more in _MORE:
        inputs = pool[: len(example) + more]
        with torch.no_grad():
            expected = model(inputs)
        worst = max(worst, relative_difference(run(inputs), expected))
    if not worst < TOLERANCE:
        raise PruneScopeError(f"{runtime}'s outputs differ by {worst:.2g} of the largest")
    return worst


def difference_words(difference: float) -> str:
    """Say how outputs compare, behind their name: ``are equal`` or ``differ by ...``.

    Args:
        difference: The largest, relative to the largest output, 0 or more.
    """
    return f"differ by {difference:.1e} of the largest" if difference else "are equal"
