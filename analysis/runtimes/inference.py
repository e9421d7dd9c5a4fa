"""What runtimes compute, and ONNX Runtime itself, on the CPU with torch's threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from analysis.runtimes.packages import require
from pruners.batches import Inputs, like_parts, parts_of, repeated, shortened
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
        content: The file. Its inputs are in the order of the model's.

    Raises:
        UnsupportedError: onnxruntime is not installed.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._session = _session(content)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the outputs of a batch ``(N, ...)``, on its device."""
        pairs = zip(self._session.get_inputs(), parts_of(inputs), strict=True)
        named = {place.name: part.cpu().numpy() for place, part in pairs}
        (found,) = self._session.run(None, named)
        return torch.from_numpy(found).to(inputs.device)

    def takes(self, inputs: Inputs) -> bool:
        """Return whether a batch has the sizes that the file fixes."""
        pairs = zip(self._session.get_inputs(), parts_of(inputs), strict=True)
        return all(
            not isinstance(size, int) or size == own
            for place, part in pairs
            for size, own in zip(place.shape, part.shape, strict=True)
        )


class OneByOne(nn.Module):
    """A model that takes its inputs as arguments, one after another.

    Args:
        model: The model, which takes a batch.
        example: A batch of the kind that it takes.
    """

    def __init__(self, model: nn.Module, example: Inputs) -> None:
        super().__init__()
        self.model, self._example = model, example[:1]

    def forward(self, *parts: Tensor) -> Any:
        """Return the model's outputs."""
        return self.model(like_parts(self._example, parts))


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
    *,
    takes: Callable[[Inputs], bool] = lambda _: True,
) -> float:
    """Return how far a runtime's outputs are from a model's, relative to the largest.

    Two batch sizes are run, neither that of the example, and texts of another length.

    Args:
        runtime: Its name, for messages.
        run: Runs a batch ``(N, ...)`` there.
        model: The model in eval mode.
        example: An input batch ``(N, ...)``.
        takes: Whether the runtime's file takes texts of another length, where the model does.

    Raises:
        PruneScopeError: They differ by `TOLERANCE` or more.
    """
    model, worst = on_cpu(model), 0.0
    pool = repeated(example.flip(0), 1 + -(-max(_MORE) // len(example))).cpu()
    batches = [pool[: len(example) + more] for more in _MORE]
    shorter = shorter_text(model, batches[0])
    batches += [shorter] if shorter is not None and takes(shorter) else []
    for inputs in batches:
        with torch.no_grad():
            expected = model(inputs)
        worst = max(worst, relative_difference(run(inputs), expected))
    if not worst < TOLERANCE:
        raise PruneScopeError(f"{runtime}'s outputs differ by {worst:.2g} of the largest")
    return worst


def shorter_text(model: nn.Module, inputs: Inputs) -> Inputs | None:
    """Return a batch of shorter texts; None where there is no text or the model takes no other.

    Args:
        model: The model in eval mode.
        inputs: A batch ``(N, ...)``.
    """
    shorter = shortened(inputs)
    if shorter is None:
        return None
    try:
        with torch.no_grad():
            model(shorter)
    except Exception:
        # Which exception another length raises depends on the layer that meets it.
        return None
    return shorter


def difference_words(difference: float) -> str:
    """Say how outputs compare, behind their name: ``are equal`` or ``differ by ...``.

    Args:
        difference: The largest, relative to the largest output, 0 or more.
    """
    return f"differ by {difference:.1e} of the largest" if difference else "are equal"
