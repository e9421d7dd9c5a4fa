"""An oracle for groups that knows nothing of labels: which parameters a removal leaves dead."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def reference_influence(
    model: nn.Module, inputs: Tensor, edit: Mapping[str, Tensor], *, seed: int = 0
) -> dict[str, Tensor]:
    """Return how much the outputs depend on each element of each parameter.

    The summed magnitudes of the gradients of two random projections of the outputs, divided by
    the largest of all; 0 is no influence. Positions within a kernel are taken together: which of
    them a max pooling reads depends on the data, which of the channels does not.

    Args:
        model: The model in eval mode.
        inputs: A batch.
        edit: Tensors that replace parameters.
    """
    state = {name: tensor.detach() for name, tensor in model.named_parameters()}
    leaves = {
        name: edit.get(name, tensor).detach().clone().requires_grad_()
        for name, tensor in state.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        # A ReLU that does not fire would look like a removed channel: take one that always does.
        for name in ("relu", "relu6", "hardtanh"):
            patch.setattr(F, name, lambda x, *_, **__: F.softplus(x))
        outputs = torch.func.functional_call(model, leaves, (inputs,))
    generator = torch.Generator().manual_seed(seed)
    total = {name: torch.zeros_like(tensor) for name, tensor in leaves.items()}
    for _ in range(2):
        projection = torch.randn(outputs.shape, generator=generator)
        gradients = torch.autograd.grad(
            (outputs * projection).sum(),
            list(leaves.values()),
            retain_graph=True,
            allow_unused=True,
        )
        for name, gradient in zip(leaves, gradients, strict=True):
            if gradient is not None:
                kernel = tuple(range(2, gradient.dim()))
                size = gradient.abs().sum(kernel, keepdim=True) if kernel else gradient.abs()
                total[name] += size.expand_as(gradient)
    largest = max(float(tensor.max()) for tensor in total.values())
    return {name: tensor / largest for name, tensor in total.items()}
