"""Derivatives of each sample's loss by gates on the inputs of layers.

A channel is removed where layers stop reading it, so a gate on a unit of a group sits on the
inputs of all layers that read it, and on nothing else that happens to the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruners.errors import InputError, UnsupportedError
from pruners.layers import (
    CONV_TYPES,
    TRANSPOSED_TYPES,
    find_layer,
    to_samples_channels,
)
from pruners.preserve import preserved
from pruners.statistics.calibration import Batch
from pruners.statistics.gradients import gradients
from pruners.statistics.loss import Draw, Loss, cross_entropy, drawn_labels


def input_gate_gradients(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    layers: Sequence[str],
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    loss: Loss = cross_entropy,
    draw: Draw = drawn_labels,
) -> dict[str, Tensor]:
    """Return ``dL_n / dm_i`` for a gate m_i on each input channel of each layer.

    Args:
        model: The model; left as found, also after an exception.
        batches: ``(inputs, labels)``; without labels they are drawn from the model's predictions.
        layers: Names of convolution and linear layers.
        seed: Seed of drawn labels.
        progress: Called with the number of batches done.
        loss: What gradients are of.
        draw: Draws targets from outputs where the data has none.

    Returns:
        Tensors ``(samples, input channels)`` by layer name, summed over positions and calls.

    Raises:
        UnsupportedError: A layer is neither convolution nor linear.
        InputError: There are no batches, or a layer is not reached.
    """
    rows: dict[str, list[Tensor]] = {name: [] for name in layers}
    generator = torch.Generator().manual_seed(seed)
    with preserved(model):
        model.eval()
        watches = [_Watch(name, find_layer(model, name)) for name in layers]
        for done, (inputs, labels) in enumerate(batches, start=1):
            logits = model(inputs)
            target = draw(logits, generator) if labels is None else labels
            total = loss(logits, target, "sum")
            gated = [value for watch in watches for value in watch.gated]
            grads = iter(gradients(total, gated) if gated else ())
            for watch in watches:
                if (part := watch.derivative(grads, len(inputs))) is not None:
                    rows[watch.name].append(part)
            if progress is not None:
                progress(done)
    missing = [name for name, parts in rows.items() if not parts]
    if missing:
        raise InputError(f"no calibration batch reached layer(s) {', '.join(missing)}")
    return {name: torch.cat(parts) for name, parts in rows.items()}


class _Watch:
    """Pre-hook that puts a gate before a layer; `preserved` takes it away again."""

    def __init__(self, name: str, module: nn.Module) -> None:
        if isinstance(module, nn.MultiheadAttention):
            raise UnsupportedError(f"layer {name}: inputs inside of attention are not visible")
        self.name = name
        self.gated: list[Tensor] = []
        self._dim = 1 if isinstance(module, CONV_TYPES + TRANSPOSED_TYPES) else -1
        module.register_forward_pre_hook(self)

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        inputs = args[0]
        if not inputs.requires_grad:
            # Nothing before the layer has a gradient yet.
            inputs = inputs.detach().requires_grad_(True)
        # A tensor of its own, so that the derivative is by this layer's reading alone.
        self.gated.append(inputs.clone())
        return (self.gated[-1], *args[1:])

    def derivative(self, grads: Iterator[Tensor | None], samples: int) -> Tensor | None:
        """Return ``(samples, channels)`` of the batch, and forget the batch."""
        total: Tensor | None = None
        for value in self.gated:
            grad = next(grads)
            if grad is not None:
                product = (grad * value.detach()).float()
                part = to_samples_channels(product, dim=self._dim, samples=samples).sum(1)
                total = part if total is None else total + part
        self.gated = []
        return total
