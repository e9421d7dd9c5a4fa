"""Which operators of an exported program stay, and what becomes of the others."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx
from torch._export import utils as _utils
from torch.utils._python_dispatch import TorchDispatchMode

# They are torch's own, and may go.
_is_cia_op: Any = getattr(_utils, "_is_cia_op", None)
_is_preservable_cia_op: Any = getattr(_utils, "_is_preservable_cia_op", None)
decomposition_of: Any = getattr(_utils, "_get_decomp_for_cia", None)

ATEN = torch.ops.aten
# What composites that may return their argument, or a view of it, consist of.
PARTS = frozenset(
    {
        *(ATEN.view.default, ATEN._unsafe_view.default, ATEN.permute.default, ATEN.t.default),
        *(ATEN.transpose.int, ATEN.expand.default, ATEN.unsqueeze.default, ATEN.slice.Tensor),
        *(ATEN.select.int, ATEN.squeeze.default, ATEN.squeeze.dim, ATEN.squeeze.dims),
        *(ATEN.split.Tensor, ATEN.split_with_sizes.default, ATEN.unbind.int),
        *(ATEN.clone.default, ATEN._to_copy.default),
    }
)


class UnknownError(Exception):
    """Only torch can lower it."""


class Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which operators that yield tensors are called while it is on.

    Attributes:
        noted: Operator, arguments, named arguments and result of each, in order.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.noted: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor | list | tuple):
            self.noted.append((func, args, kwargs or {}, result))
        return result


def is_known() -> bool:
    """Say whether this torch tells which operators it keeps."""
    return _is_cia_op is not None and _is_preservable_cia_op is not None


def is_composite(target: Any) -> bool:
    """Say whether torch takes an operator apart: it has no kernel, and may return its argument."""
    return bool(_is_cia_op(target) and not _is_preservable_cia_op(target))


def is_kept_composite(target: Any) -> bool:
    """Say whether torch keeps an operator that has no kernel, taking its result for a new one."""
    if not isinstance(target, torch._ops.OpOverload):
        return False
    return target is ATEN.dropout.default or bool(_is_preservable_cia_op(target))


def writes(target: Any) -> bool:
    """Say whether an operator writes into an argument."""
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable


def is_plain(target: Any) -> bool:
    """Say whether an operator yields memory of its own, writes none, and stays as it is."""
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        return False
    said = (*target._schema.arguments, *target._schema.returns)
    return all(item.alias_info is None for item in said) and not is_composite(target)


def is_fresh(node: fx.Node) -> bool:
    """Say whether a value has memory that was made for it."""
    source: Any = node
    while source.target is operator.getitem:
        source = source.args[0]
    return source.op == "call_function" and is_plain(source.target)


def without_writing(target: Any) -> Any:
    """Return the operator that yields what another one writes into its first argument."""
    first, *others = target._schema.arguments
    packet = getattr(ATEN, target.overloadpacket.__name__.removesuffix("_"), None)
    found = getattr(packet, target._overloadname, None)
    if (
        found is None
        or first.alias_info is None
        or any(item.alias_info is not None for item in others)
        or torch.Tag.inplace_view in target.tags
        or not is_plain(found)
        or _parameters(found) != _parameters(target)
    ):
        raise UnknownError
    return found


def _parameters(target: Any) -> list[tuple[str, str]]:
    return [(item.name, str(item.type)) for item in target._schema.arguments]


def layout(value: Any) -> Any:
    """Return what tells two tensors without numbers apart; comparing sizes would ask for them."""
    if not isinstance(value, Tensor):
        raise UnknownError
    sizes = (*value.shape, *value.stride(), value.storage_offset())
    return value.dtype, value.device, [str(item) for item in sizes]
