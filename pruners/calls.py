"""Run a model with other tensors in the place of its parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from pruners.batches import Inputs, repeated
from pruners.capture import named_state


def as_batch(run: Callable[[Any], Tensor], inputs: Inputs) -> Tensor:
    """Return ``run(inputs)`` of a batch ``(N, ...)``; a single sample is given twice.

    Models that squeeze away all dims of size 1 would take its dim for one of those.
    """
    return run(inputs) if len(inputs) != 1 else run(repeated(inputs, 2))[:1]


def spans(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last position (exclusive) of pieces of ``size``; none has length 1.

    >>> list(spans(9, 4))
    [(0, 4), (4, 9)]
    """
    first = 0
    while first < total:
        last = min(first + size, total)
        last = total if last == total - 1 and size > 1 else last
        yield first, last
        first = last


def call_with(model: nn.Module, tensors: Mapping[str, Tensor], inputs: Inputs) -> Any:
    """Return what a model gives with some of its tensors replaced; the model is left as found.

    A replaced tensor is replaced wherever it is used: under all names that it has (tied weights),
    and once where one module is registered under several names. ``torch.func.functional_call`` by
    itself would put back such a module's new tensor in the place of its old one.

    Args:
        model: The model.
        tensors: Replacements by any fully qualified name of a parameter or buffer.
        inputs: The batch ``(N, ...)``.
    """
    state = named_state(model)
    new = {id(state[name]): tensor for name, tensor in tensors.items()}
    slots: dict[str, Tensor] = {}
    # Each module once, under its first name.
    for path, module in model.named_modules():
        own = {**module._parameters, **module._buffers}
        for name, tensor in own.items():
            if tensor is not None and id(tensor) in new:
                slots[f"{path}.{name}" if path else name] = new[id(tensor)]
    return functional_call(model, slots, (inputs,), tie_weights=False)
