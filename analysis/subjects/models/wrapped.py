"""Models as users hand them over: taken out of wrappers, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# Here, as a module of ours is loaded, and not when a model is: the compiler imports itself in a
# circle, which two threads must not enter at two places.
from torch._dynamo import OptimizedModule
from torch.jit import ScriptModule
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.nn.utils import prune
from torch.optim.swa_utils import AveragedModel

from pruners.errors import UnsupportedError, one_line
from pruners.user_code import no_exit

# Where wrappers that compute the same hold the module itself.
WRAPPERS: dict[type[nn.Module], str] = {
    nn.DataParallel: "module",
    DistributedDataParallel: "module",
    OptimizedModule: "_orig_mod",
    AveragedModel: "module",
}


def unwrapped(model: nn.Module) -> nn.Module:
    """Return a model without wrappers that compute the same, as a whole or in parts.

    Args:
        model: The model; modules in it that are wrapped are replaced.
    """
    model = _inner(model)
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):
            if child is not None and (inner := _inner(child)) is not child:
                module._modules[name] = inner
    return model


def _inner(module: nn.Module) -> nn.Module:
    while attribute := next((WRAPPERS[kind] for kind in WRAPPERS if isinstance(module, kind)), ""):
        module = getattr(module, attribute)
    return module


def check_plain(model: nn.Module) -> None:
    """Check that a model is made of modules with tensors that can be read and replaced.

    Raises:
        UnsupportedError: It is not; the message names the module and what to hand over instead.
    """
    for name, module in model.named_modules():
        reason = _reason(module)
        if reason:
            where = f"{name} ({type(module).__name__})" if name else type(module).__name__
            raise UnsupportedError(f"{where} {reason}")


def _reason(module: nn.Module) -> str:
    if isinstance(module, ScriptModule):
        return "is compiled by torch.jit; hand over the module that it was compiled from"
    tensors: list[Any] = [*module._parameters.values(), *module._buffers.values()]
    tensors = [item for item in tensors if item is not None]
    if any(isinstance(item, UninitializedParameter | UninitializedBuffer) for item in tensors):
        return "has no sizes yet; run the model once on an input in the factory"
    if _is_packed(type(module)) or any(item.is_quantized for item in tensors):
        return "is quantised; prune the float model, and quantise what comes out"
    if any(item.layout is not torch.strided for item in tensors):
        return "holds sparse tensors; hand over dense ones"
    if any(item.is_meta for item in tensors):
        return "is on the meta device, without values; load its weights in the factory"
    return ""


def _is_packed(kind: type) -> bool:
    """Return whether modules of a class hold weights, or do sums, in whole numbers.

    What sums floats in a model that will be quantised stands in the same package of torch.
    """
    is_of_torch = kind.__module__.startswith("torch.") and ".quantized" in kind.__module__
    return is_of_torch and "FloatFunctional" not in kind.__name__


def own_memory(model: nn.Module) -> None:
    """Give each value of a tensor a place of its own: those of an ``expand`` cannot be written."""
    for module in model.modules():
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None and _overlaps(tensor):
                tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)


def _overlaps(tensor: Tensor) -> bool:
    reach = 0
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return True
            reach += stride * (size - 1)
    return False


def check_methods(model: nn.Module) -> None:
    """Check that a model's own methods answer: it is named, hashed and copied by them.

    Raises:
        UnsupportedError: One raises; the message names it.
    """
    calls: dict[str, Callable[[], object]] = {
        "__repr__": lambda: repr(model),
        "modules": lambda: list(model.modules()),
        "named_modules": lambda: list(model.named_modules()),
        "parameters": lambda: list(model.parameters()),
        "named_buffers": lambda: list(model.named_buffers()),
        "state_dict": lambda: sorted(model.state_dict()),
    }
    for name, call in calls.items():
        try:
            with no_exit():
                call()
        except Exception as error:
            raise UnsupportedError(
                f"{name}() of {type(model).__name__}, or of a module in it, raises "
                f"{one_line(error)}"
            ) from error


def permanent_masks(model: nn.Module) -> tuple[str, ...]:
    """Make the masks of ``torch.nn.utils.prune`` permanent: weights are weights again.

    Its hooks compute each weight from two tensors in every pass. The outputs stay the same.

    Returns:
        What a person should know of it.
    """
    done = 0
    for module in model.modules():
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
                done += 1
    return (f"The masks of torch.nn.utils.prune on {done} tensors are kept as zeros.",) * bool(done)
