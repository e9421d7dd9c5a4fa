"""Re-estimate batch-norm statistics of a pruned model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruners.calls import call_with
from pruners.errors import InputError
from pruners.float32 import strict
from pruners.reconstruction.moments import Batches


@strict
def batch_norm_buffers(
    model: nn.Module,
    batches: Batches,
    *,
    edit: Mapping[str, Tensor] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Tensor]:
    """Return running means and variances of the edited model over the batches.

    Only batch norms run in train mode, on copies of their buffers that start from nothing and take
    the cumulative average over batches (a momentum would leave part of the old values). All other
    modules stay in eval mode; the model is left as found.

    Args:
        model: The dense model in eval mode.
        batches: Calibration batches of at least two values a channel; labels are not used.
        edit: Tensors of the pruned model by fully qualified name.
        progress: Called with the number of batches done.

    Returns:
        New ``running_mean`` and ``running_var`` by fully qualified name; empty without batch norm.

    Raises:
        InputError: There are no batches.
    """
    norms = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    }
    if not norms:
        return {}
    buffers = _fresh_buffers(norms)
    before = [(module, module.training, module.momentum) for module in norms.values()]
    done = 0
    try:
        for module in norms.values():
            module.training = True
            module.momentum = None
        with torch.no_grad():
            for done, (inputs, _) in enumerate(batches, start=1):
                call_with(model, {**(edit or {}), **buffers}, inputs)
                if progress is not None:
                    progress(done)
    finally:
        for module, training, momentum in before:
            module.training = training
            module.momentum = momentum
    if not done:
        raise InputError("batch norm cannot be estimated again without calibration data")
    return {
        name: value for name, value in buffers.items() if not name.endswith("num_batches_tracked")
    }


def _fresh_buffers(norms: Mapping[str, _BatchNorm]) -> dict[str, Tensor]:
    buffers: dict[str, Tensor] = {}
    for name, module in norms.items():
        assert module.running_mean is not None
        assert module.running_var is not None
        assert module.num_batches_tracked is not None
        prefix = f"{name}." if name else ""
        buffers[f"{prefix}running_mean"] = torch.zeros_like(module.running_mean)
        buffers[f"{prefix}running_var"] = torch.ones_like(module.running_var)
        buffers[f"{prefix}num_batches_tracked"] = torch.zeros_like(module.num_batches_tracked)
    return buffers
