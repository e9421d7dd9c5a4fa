"""Structure trace: operators that join values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx

from pruners.tracing.labels import compact, joined, support
from pruners.tracing.trace import Trace, handles
from pruners.tracing.values import Value


@handles("cat", "stack")
def cat(trace: Trace, node: fx.Node, values: Sequence[Value], dim: int = 0) -> Value:
    """Join values; planes that describe the same channels are joined likewise."""
    shape = trace.shape(node)
    if "stack" in str(node.target):
        dim %= len(shape)
        values = [_unsqueezed(value, dim) for value in values]
    dim %= len(shape)
    # Nothing is joined of what has no elements, of whatever rank it is: `torch.empty(0)`.
    empty = [value for value in values if 0 in value.shape]
    values = [value for value in values if 0 not in value.shape] or values[:1]
    planes = []
    for family in _families(trace, values, dim):
        parts = []
        for value, plane in zip(values, family, strict=True):
            if plane is None:
                fixed = trace.labels.fixed(f"{value.reason} is joined in {trace.where(node)}")
                plane = fixed.expand(value.shape)
            parts.append(plane)
        planes.append(_appended(trace, parts, dim))
    for plane in (plane for value in empty for plane in value.planes):
        _meet_empty(trace, node, plane, planes, dim)
    return Value(
        shape,
        tuple(plane for plane in planes if support(plane)),
        reason=values[0].reason,
        weight=all(value.weight for value in values),
    )


def _meet_empty(
    trace: Trace, node: fx.Node, plane: Tensor, planes: Sequence[Tensor], dim: int
) -> None:
    """Let the channels of what has no elements go with those of what it is joined to."""
    joins = [item for item in planes if support(item) & support(plane)]
    for other in joins:
        first = other.narrow(dim, 0, 1)
        if first.shape == plane.shape:
            trace.labels.unite(first, plane)
            return
    trace.labels.freeze(plane, f"is joined without elements in {trace.where(node)}")


def _unsqueezed(value: Value, dim: int) -> Value:
    shape = (*value.shape[:dim], 1, *value.shape[dim:])
    return value.moved(lambda plane: plane.unsqueeze(dim), shape)


def _appended(trace: Trace, parts: Sequence[Tensor], dim: int) -> Tensor:
    if any(dim in support(part) for part in parts) or max(map(_rank, parts)) == 0:
        return compact(_joined_along(parts, dim))
    # Tokens put behind tokens: whatever reads the channels reads those of all parts.
    heads = [part.narrow(dim, 0, 1) for part in parts]
    for other in heads[1:]:
        trace.labels.unite(heads[0], other)
    shape = list(parts[0].shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    widest = max(heads, key=_rank)
    return widest.expand(shape)


def _rank(plane: Tensor) -> int:
    return len(support(plane))


def _joined_along(parts: Sequence[Tensor], dim: int) -> Tensor:
    """Concatenate compact planes without spelling out dims where none of them changes."""
    keep = frozenset({dim}).union(*(support(part) for part in parts))
    shape = list(parts[0].shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    cut = []
    for part in parts:
        for other in range(part.dim()):
            if other not in keep and part.shape[other] > 1:
                part = part.narrow(other, 0, 1)
        cut.append(part)
    return torch.cat(cut, dim).expand(shape)


def _families(trace: Trace, values: Sequence[Value], dim: int) -> list[list[Tensor | None]]:
    """Sort the planes of values that are joined: which describe the same set of channels."""
    families: list[list[Tensor | None]] = []
    for position, value in enumerate(values):
        for plane in value.planes:
            family = next((item for item in families if _related(item, plane, dim)), None)
            if family is None:
                family = [None] * len(values)
                families.append(family)
            old = family[position]
            family[position] = plane if old is None else joined(trace.labels, [old, plane])
    return families


def _related(family: Sequence[Tensor | None], plane: Tensor, dim: int) -> bool:
    touched = support(plane)
    return any(
        touched & support(other) or (touched <= {dim} and support(other) <= {dim})
        for other in family
        if other is not None
    )
