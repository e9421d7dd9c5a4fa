"""Derivatives of each sample's loss by gates on the inputs of layers.

A channel is removed where layers stop reading it, so a gate on a unit of a group sits on the
inputs of all layers that read it, and on nothing else that happens to the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruners.batches import Inputs
from pruners.errors import InputError, UnsupportedError
from pruners.layers import (
    CONV_TYPES,
    TRANSPOSED_TYPES,
    find_layer,
)
from pruners.preserve import preserved
from pruners.statistics.arrangement import Arrangement, Key, Observed, find_arrangements
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
        UnsupportedError: A layer is neither convolution nor linear, or samples cannot be told apart
            in its inputs.
        InputError: There are no batches, or a layer is not reached.
    """
    rows: dict[str, list[Tensor]] = {name: [] for name in layers}
    generator = torch.Generator().manual_seed(seed)
    with preserved(model):
        model.eval()
        watches = [_Watch(name, find_layer(model, name)) for name in layers]
        arrangements: Mapping[Key, Arrangement] = {}
        for done, (inputs, labels) in enumerate(batches, start=1):
            if done == 1:
                arrangements = find_arrangements(lambda few: _observed(model, watches, few), inputs)
            logits = model(inputs)
            target = draw(logits, generator) if labels is None else labels
            total = loss(logits, target, "sum")
            gated = [value for watch in watches for value in watch.gated]
            grads = iter(gradients(total, gated) if gated else ())
            for watch in watches:
                if (part := watch.derivative(grads, len(inputs), arrangements)) is not None:
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
        module.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # Keyword arguments of a layer have one name: that of its input.
        inputs = args[0] if args else next(iter(kwargs.values()))
        if not inputs.requires_grad:
            # Nothing before the layer has a gradient yet.
            inputs = inputs.detach().requires_grad_(True)
        # A tensor of its own, so that the derivative is by this layer's reading alone.
        self.gated.append(inputs.clone())
        if args:
            return (self.gated[-1], *args[1:]), kwargs
        return args, {**kwargs, next(iter(kwargs)): self.gated[-1]}

    def taken(self) -> Observed:
        """Return the inputs of all calls, and forget them."""
        gated, self.gated = self.gated, []
        return [((self.name, call), item.detach(), self._dim) for call, item in enumerate(gated)]

    def derivative(
        self,
        grads: Iterator[Tensor | None],
        samples: int,
        arrangements: Mapping[Key, Arrangement],
    ) -> Tensor | None:
        """Return ``(samples, channels)`` of the batch, and forget the batch."""
        total: Tensor | None = None
        for key, value, _ in self.taken():
            grad = next(grads)
            if grad is None:
                continue
            if key not in arrangements:
                raise UnsupportedError(
                    f"layer {self.name}: samples cannot be told apart in its inputs"
                )
            product = (grad * value).float()
            apart = arrangements[key].apart(product, channels=self._dim, samples=samples)
            part = apart.sum(1)
            total = part if total is None else total + part
        return total


def _observed(model: nn.Module, watches: Iterable[_Watch], inputs: Inputs) -> Observed:
    """Run a model, and return the inputs of watched layers."""
    model(inputs)
    return [item for watch in watches for item in watch.taken()]
