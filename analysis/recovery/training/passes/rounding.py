"""Passes that round as 8 bits will, so that training learns what survives it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pruners.batches import Inputs
from pruners.layers import layer_names, native_weight, to_native, to_output_first

_SMALLEST = torch.finfo(torch.float32).tiny


class RoundedPass:
    """Runs a model with rounded layers; gradients are those of the same values, not rounded.

    As the format ``onnx-int8`` does it: weights are int8, symmetric, with a scale for each output
    channel, so that zeros stay zero; inputs of layers are uint8 with a zero point, here from the
    smallest to the largest value of the batch.

    Args:
        model: The model; its weights are left as found.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        modules = dict(model.named_modules())
        self._layers = [modules[name] for name in layer_names(model)]
        names = {item: name for name, item in model.named_parameters()}
        self._weights = {names[native_weight(layer)]: layer for layer in self._layers}

    def __call__(self, inputs: Inputs) -> Any:
        """Return the model's outputs of a batch ``(N, ...)``."""
        weights = {name: _rounded_weight(layer) for name, layer in self._weights.items()}
        with self._rounding_inputs():
            return functional_call(self._model, weights, (inputs,))

    @contextlib.contextmanager
    def _rounding_inputs(self) -> Iterator[None]:
        handles = [layer.register_forward_pre_hook(_round_inputs) for layer in self._layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _round_inputs(layer: nn.Module, values: tuple[Any, ...]) -> tuple[Any, ...]:
    # Query, key and value; what else attention takes are masks.
    count = 3 if isinstance(layer, nn.MultiheadAttention) else 1
    return (*(_rounded_values(item) for item in values[:count]), *values[count:])


def _rounded_weight(layer: nn.Module) -> Tensor:
    weight = native_weight(layer)
    rows = to_output_first(weight.detach(), layer)
    largest = rows.flatten(1).abs().amax(1).reshape(-1, *[1] * (rows.dim() - 1))
    scale = (largest / 127).clamp_min(_SMALLEST)
    return _passed(weight, to_native((rows / scale).round() * scale, layer))


def _rounded_values(values: Tensor) -> Tensor:
    found = values.detach().float()
    low, high = found.min().clamp_max(0), found.max().clamp_min(0)
    scale = ((high - low) / 255).clamp_min(_SMALLEST)
    zero = (-low / scale).round()
    steps = ((found / scale).round() + zero).clamp(0, 255)
    return _passed(values, (steps - zero) * scale)


def _passed(values: Tensor, rounded: Tensor) -> Tensor:
    """Return the rounded values with the gradient of the others."""
    return values + (rounded - values.detach()).to(values.dtype)
