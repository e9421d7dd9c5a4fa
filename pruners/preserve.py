"""Leave a model as it was found, and prove it."""

from __future__ import annotations

import copy
import hashlib
import random
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_HOOK_DICTS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@dataclass(frozen=True, slots=True)
class _SavedTensor:
    """A tensor object, the memory that it pointed to, and a copy of its values."""

    tensor: Tensor
    data: Tensor
    values: Tensor
    requires_grad: bool
    grad: Tensor | None
    grad_values: Tensor | None

    @classmethod
    def of(cls, tensor: Tensor) -> _SavedTensor:
        grad = tensor.grad if tensor.is_leaf else None
        return cls(
            tensor=tensor,
            data=tensor.data,
            values=tensor.detach().clone(),
            requires_grad=tensor.requires_grad,
            grad=grad,
            grad_values=None if grad is None else grad.detach().clone(),
        )

    def restore(self) -> None:
        self.data.copy_(self.values)
        if self.tensor.data_ptr() != self.data.data_ptr() or self.tensor.shape != self.data.shape:
            self.tensor.data = self.data
        if not self.tensor.is_leaf:
            return
        self.tensor.requires_grad_(self.requires_grad)
        if self.grad is not None and self.grad_values is not None:
            self.grad.data.copy_(self.grad_values)
        self.tensor.grad = self.grad


@dataclass(frozen=True, slots=True)
class _SavedModule:
    """The flags, slots and hooks of one module (not of its children)."""

    module: nn.Module
    training: bool
    parameters: dict[str, nn.Parameter | None]
    buffers: dict[str, Tensor | None]
    hooks: dict[str, dict[int, Any]]

    @classmethod
    def of(cls, module: nn.Module) -> _SavedModule:
        return cls(
            module=module,
            training=module.training,
            parameters=dict(module._parameters),
            buffers=dict(module._buffers),
            hooks={name: dict(getattr(module, name)) for name in _HOOK_DICTS},
        )

    def restore(self) -> None:
        # Not module.train(): that would set the children as well.
        self.module.training = self.training
        _refill(self.module._parameters, self.parameters)
        _refill(self.module._buffers, self.buffers)
        for name, saved in self.hooks.items():
            _refill(getattr(self.module, name), saved)


def _refill(target: dict[Any, Any] | OrderedDict[Any, Any], saved: dict[Any, Any]) -> None:
    target.clear()
    target.update(saved)


@contextmanager
def preserved(model: nn.Module) -> Iterator[nn.Module]:
    """Restore the model and the random generators when the block ends, also by an exception.

    Restored are the values and the identity of parameters and buffers, their gradients and
    ``requires_grad``, each module's own training flag, hooks, and the states of the generators of
    torch (CPU and CUDA) and of `random`. Needs memory for one copy of the weights.
    """
    modules = [_SavedModule.of(module) for module in model.modules()]
    tensors = [_SavedTensor.of(tensor) for tensor in _unique_tensors(model)]
    python_state = random.getstate()
    cpu_state = torch.get_rng_state()
    cuda_states = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield model
    finally:
        with torch.no_grad():
            for module in modules:
                module.restore()
            for tensor in tensors:
                tensor.restore()
        random.setstate(python_state)
        torch.set_rng_state(cpu_state)
        if cuda_states:
            torch.cuda.set_rng_state_all(cuda_states)


def _unique_tensors(model: nn.Module) -> list[Tensor]:
    seen: dict[int, Tensor] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        seen.setdefault(id(tensor), tensor)
    return list(seen.values())


def checksum(model: nn.Module) -> str:
    """Return a SHA-256 of everything that `preserved` restores in the model.

    Two checksums are equal if parameters, buffers (values, types, shapes), gradients,
    ``requires_grad``, training flags and the number of hooks are.
    """
    digest = hashlib.sha256()
    for name, module in model.named_modules():
        hooks = [len(getattr(module, slot)) for slot in _HOOK_DICTS]
        digest.update(f"{name}|{module.training}|{hooks}".encode())
    state = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    for name, tensor in state:
        digest.update(
            f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|{tensor.requires_grad}".encode()
        )
        digest.update(raw_bytes(tensor))
        if tensor.is_leaf and tensor.grad is not None:
            digest.update(b"grad" + bytes(raw_bytes(tensor.grad)))
    return digest.hexdigest()


def raw_bytes(tensor: Tensor) -> memoryview | bytes:
    """Return a tensor's content in order; also of types that NumPy does not know."""
    plain = tensor.detach().cpu().contiguous()
    if not plain.numel():
        return b""
    # Dims of size 1 may have any stride, which a view as bytes would not take.
    flat = plain.as_strided((plain.numel(),), (1,))
    content: memoryview = flat.view(torch.uint8).numpy().data
    return content


def twin(model: nn.Module) -> nn.Module:
    """Return modules of one's own over the same memory: to be watched by hooks.

    What others run through the model meanwhile does not reach the hooks. A model that cannot be
    copied is returned itself.
    """
    memo: dict[int, object] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach(), parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach()
    try:
        return copy.deepcopy(model, memo)
    except Exception:
        # A model may hold anything.
        return model
